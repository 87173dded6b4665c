from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq

from workflow.splits import kmers as module
from workflow.splits.hashing import K, max_hash
from workflow.splits.kmers import sample_kmers, scaled_for


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


def whole(sequences: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(name, 0, len(bases)) for name, bases in sequences.items()], columns=["seqid", "start", "end"])


def test_places_are_those_of_sequences_laid_end_to_end(genome_of, tmp_path: Path) -> None:
    sequences = {"a": random_bases(70_000, 1), "b": "ACGT", "c": random_bases(K, 2)}
    kmers = sample_kmers(genome_of(sequences), whole(sequences), tmp_path, 1)
    sketch = kmers.sketch()
    assert kmers.size == 70_000 - K + 2 == len(sketch.hashes)
    assert sketch.positions.tolist() == [*range(70_000 - K + 1), 70_004]
    assert kmers.find(np.array([0, 5, 70_000 - K, 70_004, 70_005])).tolist() == [0, 5, 69_969, 69_970, 69_971]


def test_chunks_make_no_difference(genome_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = {"a": random_bases(5_000, 1) + "N" * 50 + random_bases(3_000, 2), "b": random_bases(2_000, 3)}
    contigs = pd.DataFrame([("a", 0, 5_000), ("a", 5_050, 8_050), ("b", 100, 2_000)], columns=["seqid", "start", "end"])
    genome = genome_of(sequences)
    one = sample_kmers(genome, contigs, tmp_path / "one", 3)
    monkeypatch.setattr(module, "CHUNK_BASES", 617)
    monkeypatch.setattr(module, "_CHUNK_KMERS", 100)
    many = sample_kmers(genome, contigs, tmp_path / "many", 3)
    for name in ("hashes", "places"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    assert np.array_equal(one.sketch(500).hashes, many.sketch(500).hashes)


def test_both_strands_and_cases_are_sampled_alike(genome_of, tmp_path: Path) -> None:
    bases = random_bases(50_000, 3)
    sequences = {"a": bases, "b": str(Seq(bases).reverse_complement()).lower()}
    sketch = sample_kmers(genome_of(sequences), whole(sequences), tmp_path, 4).sketch(max_kmers=5_000)
    on_b = sketch.positions >= 50_000
    assert sketch.scaled == 20
    assert 0.8 < len(sketch.hashes) / (100_000 / 20) < 1.2
    assert sorted(sketch.hashes[on_b]) == sorted(sketch.hashes[~on_b])
    assert sketch.hashes.max() <= max_hash(20)


@pytest.mark.parametrize(
    ("bases", "window", "scaled"),
    [(100_000, 1_024, 1), (12_000_000, 1_024, 3), (10**9, 1_024, 30), (10**9, 8_192, 64), (10**10, 8_192, 299)],
)
def test_how_finely_a_genome_is_sampled(bases: int, window: int, scaled: int) -> None:
    assert scaled_for(bases, window) == scaled
