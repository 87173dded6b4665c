from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sourmash
from Bio.Seq import Seq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.splits.hashing import K
from workflow.splits.kmers import KmerFile, sample_kmers
from workflow.splits.leakage import audit_windows, random_split, resemblance, summarise

LENGTH = 1_000


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


def tiled(seqid: str, bases: int) -> pd.DataFrame:
    starts = np.arange(0, bases, LENGTH)
    return pd.DataFrame({"seqid": seqid, "start": starts, "end": np.minimum(starts + LENGTH, bases)})


def sampled(genome, folder: Path, scaled: int) -> KmerFile:
    contigs = pd.DataFrame([(name, 0, n) for name, n in genome.lengths.items()], columns=["seqid", "start", "end"])
    return sample_kmers(genome, contigs, folder, scaled)


def whole(**lengths: int) -> pd.DataFrame:
    return pd.DataFrame([(name, 0, n) for name, n in lengths.items()], columns=["seqid", "start", "end"])


@pytest.mark.parametrize("scaled", [1, 5])
def test_a_copy_is_found_with_its_place_and_strand(genome_of, tmp_path: Path, scaled: int) -> None:
    train, held = random_bases(20_000, 0), random_bases(8_000, 1)
    held = held[:2_000] + train[7_300:8_300] + held[3_000:5_000] + str(Seq(train[11_450:12_450]).reverse_complement())
    held += random_bases(2_000, 2)
    kmers = sampled(genome_of({"train": train, "held": held}), tmp_path, scaled)
    audit = audit_windows(kmers, tiled("held", 8_000), whole(train=20_000), LENGTH)
    assert audit["containment"].tolist() == [0, 0, 1, 0, 0, 1, 0, 0]
    assert audit["in_train"].tolist() == [0, 0, 1, 0, 0, 1, 0, 0]
    for row, start, strand in ((2, 7_300, "+"), (5, 11_450, "-")):
        found = audit.iloc[row]
        assert (found["train_seqid"], found["train_strand"]) == ("train", strand)
        assert found["train_start"] <= start and start + LENGTH <= found["train_end"]
        assert found["train_end"] - found["train_start"] == 2 * LENGTH
    assert audit["train_seqid"].isna().tolist() == [True, True, False, True, True, False, True, True]


def test_all_kmers_are_those_of_sourmash(genome_of, tmp_path: Path) -> None:
    train = random_bases(30_000, 3)
    held = random_bases(500, 4) + train[4_000:4_250] + random_bases(250, 5)
    kmers = sampled(genome_of({"train": train, "held": held}), tmp_path, 3)
    audit = audit_windows(kmers, whole(held=1_000), whole(train=30_000), LENGTH)
    one, other = sourmash.MinHash(0, K, scaled=3), sourmash.MinHash(0, K, scaled=3)
    one.add_sequence(held)
    other.add_sequence(train)
    assert audit["kmers"].tolist() == [len(one)]
    assert audit["in_train"].to_numpy() == pytest.approx(one.contained_by(other))
    assert audit["containment"].to_numpy() == pytest.approx(one.contained_by(other))


def test_pieces_far_apart_add_up_anywhere_but_not_in_one_stretch(genome_of, tmp_path: Path) -> None:
    train = random_bases(40_000, 6)
    held = "".join(train[start : start + 250] for start in (500, 10_500, 20_500, 30_500))
    kmers = sampled(genome_of({"train": train, "held": held}), tmp_path, 1)
    audit = audit_windows(kmers, whole(held=1_000), whole(train=40_000), LENGTH)
    assert audit["in_train"].to_numpy() == pytest.approx(4 * 220 / 970, abs=0.01)
    assert audit["containment"].to_numpy() == pytest.approx(220 / 970, abs=0.01)


def test_stretches_do_not_reach_from_one_interval_of_train_into_the_next(genome_of, tmp_path: Path) -> None:
    one, other = random_bases(1_000, 7), random_bases(1_000, 8)
    kmers = sampled(genome_of({"a": one, "b": other, "held": one[-500:] + other[:500]}), tmp_path, 1)
    audit = audit_windows(kmers, whole(held=1_000), whole(a=1_000, b=1_000), LENGTH)
    assert audit["in_train"].to_numpy() == pytest.approx(2 * 470 / 970, abs=0.01)
    assert audit["containment"].to_numpy() == pytest.approx(470 / 970, abs=0.01)


def test_dispersed_repeats_are_told_apart(genome_of, tmp_path: Path) -> None:
    repeat = random_bases(500, 9)
    held = "".join(repeat + random_bases(500, 100 + row) for row in range(70))
    kmers = sampled(genome_of({"train": random_bases(2_000, 10) + repeat, "held": held}), tmp_path, 1)
    audit = audit_windows(kmers, tiled("held", 70_000), whole(train=2_500), LENGTH)
    assert np.allclose(audit["in_train"], 470 / 970, atol=0.01)
    assert np.allclose(audit["containment"], 0)


def test_windows_without_kmers_are_not_compared(genome_of, tmp_path: Path) -> None:
    kmers = sampled(genome_of({"train": random_bases(500, 1), "held": "ACGT" * 5}), tmp_path, 1)
    audit = audit_windows(kmers, whole(held=20), whole(train=500), LENGTH)
    assert audit["kmers"].tolist() == [0]
    assert audit[["in_train", "containment"]].isna().all(axis=None)
    assert summarise(audit) == {"windows": 1, "compared": 0}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_against_sets_of_kmers(genome_of, tmp_path: Path, seed: int, pieces: int) -> None:
    """The largest share of a window's k-mers in any pair of neighbouring bins, counted the plain way."""
    random = np.random.default_rng(seed)
    train = random_bases(3_000, seed)
    held = ""
    for _ in range(pieces):
        start, length = random.integers(0, 2_500), random.integers(20, 400)
        held += train[start : start + length] + random_bases(int(random.integers(0, 100)), seed + 1)
    held = held[:LENGTH]
    folder = tmp_path / f"{seed}-{pieces}"
    kmers = sampled(genome_of({"train": train, "held": held}), folder, 1)
    audit = audit_windows(kmers, whole(held=len(held)), whole(train=3_000), LENGTH)

    def kmers_of(text: str) -> set[str]:
        return {text[i : i + K] for i in range(len(text) - K + 1)}

    ours = kmers_of(held)
    pairs = [kmers_of(train[start : start + 2 * LENGTH + K - 1]) for start in (0, 1_000, 2_000)]
    best = max(len(ours & theirs) for theirs in pairs)
    assert audit["containment"].to_numpy() == pytest.approx(best / len(ours) if ours else np.nan, nan_ok=True)


def test_a_random_split() -> None:
    windows = pd.DataFrame({"start": range(10_000)})
    fractions = {"train": 0.8, "val": 0.1, "test": 0.1}
    split = random_split(windows, fractions, 100, seed=1)
    assert split.equals(random_split(windows, fractions, 100, seed=1))
    counts = split.value_counts()
    assert 7_800 < counts["train"] < 8_200
    assert counts["val"] + counts["test"] == 100


def test_summary() -> None:
    audit = pd.DataFrame({"containment": [0.0, 0.5, 1.0, np.nan], "in_train": [0.0, 0.5, 1.0, 0.5]})
    assert summarise(audit) == {
        "windows": 4,
        "compared": 3,
        "mean": 0.5,
        "median": 0.5,
        "mean_in_train": 0.5,
        "share_at_least": {"0.1": 2 / 3, "0.25": 2 / 3, "0.5": 2 / 3, "0.75": 1 / 3, "0.9": 1 / 3},
    }


def test_a_copy_with_gaps_is_still_one(genome_of, tmp_path: Path) -> None:
    held = random_bases(3_000, 11)
    train = "".join("N" if place % 150 == 0 else base for place, base in enumerate(held, start=1))
    genome = genome_of({"train": train, "held": held})
    pieces = pd.DataFrame({"seqid": "train", "start": range(0, 3_000, 150), "end": range(149, 3_000, 150)})
    contigs = pd.concat([pieces, whole(held=3_000)], ignore_index=True)
    kmers = sample_kmers(genome, contigs, tmp_path, 1)
    audit = audit_windows(kmers, tiled("held", 3_000), pieces, LENGTH)
    assert (audit["containment"] > 0.75).all()


def test_windows_of_nothing_but_dispersed_repeats(genome_of, tmp_path: Path) -> None:
    repeat = random_bases(500, 9)
    kmers = sampled(genome_of({"train": repeat, "held": repeat * 140}), tmp_path, 1)
    audit = audit_windows(kmers, tiled("held", 70_000), whole(train=500), LENGTH)
    assert audit["containment"].isna().all()
    assert resemblance(audit).gt(0.9).all()
