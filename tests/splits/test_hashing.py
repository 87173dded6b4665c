import numpy as np
import pytest
import sourmash
from hypothesis import given
from hypothesis import strategies as st

from workflow.splits.hashing import K, max_hash, sampled_kmers


def as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


@given(st.text("ACGTacgtNR", max_size=200), st.sampled_from([1, 2, 10]))
def test_the_hashes_are_those_of_sourmash(text: str, scaled: int) -> None:
    text = text + "ACGGTCATTGCAAGTCCGATTTACGGACTTACCG"
    oracle = sourmash.MinHash(0, K, scaled=scaled)
    oracle.add_sequence(text, force=True)
    hashes, places = sampled_kmers(as_bytes(text), scaled)
    assert set(hashes.tolist()) == set(oracle.hashes)
    for hashed, place in zip(hashes.tolist(), places.tolist(), strict=True):
        alone = sourmash.MinHash(0, K, scaled=1)
        kmer = text[place // 2 : place // 2 + K].upper()
        alone.add_sequence(kmer)
        assert list(alone.hashes) == [hashed]
        other = kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))
        assert (place % 2 == 1) == (other < kmer)


def test_a_long_sequence_as_sourmash_has_it() -> None:
    random = np.random.default_rng(0)
    bases = random.choice(as_bytes("ACGTacgt"), 300_000)
    bases[random.integers(0, len(bases), 300)] = ord("N")
    oracle = sourmash.MinHash(0, K, scaled=100)
    oracle.add_sequence(bases.tobytes().decode(), force=True)
    assert set(sampled_kmers(bases, 100)[0].tolist()) == set(oracle.hashes)


@pytest.mark.parametrize("scaled", [1, 2, 3, 7, 100, 1_000, 12_345])
def test_limits_are_those_of_sourmash(scaled: int) -> None:
    assert max_hash(scaled) == sourmash.MinHash(0, K, scaled=scaled)._max_hash


def test_a_repeat_that_is_sampled_more_than_expected() -> None:
    unit = "ACGGTCATTGCAAGTCCGATTTACGGACTTACC"
    hashes, places = sampled_kmers(as_bytes(unit * 3_000), 5)
    kept = sampled_kmers(as_bytes(unit * 3), 5)[0]
    assert set(hashes.tolist()) == set(kept.tolist())
    assert np.all(np.diff(places) > 0)
