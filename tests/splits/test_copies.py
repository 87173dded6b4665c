from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.splits.copies import find_copies, no_copies
from workflow.splits.kmers import sample_kmers


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


@pytest.fixture
def family(genome_of, tmp_path: Path):
    """Three copies of one sequence, of which the third is new in its second half; and a sequence of its own."""
    base = random_bases(4_000, 1)
    sequences = {"a1": base, "a2": base, "a3": base[:2_000] + random_bases(2_000, 2), "b1": random_bases(4_000, 3)}
    genome = genome_of(sequences)
    contigs = pd.DataFrame([(name, 0, 4_000) for name in sequences], columns=["seqid", "start", "end"])
    kmers = sample_kmers(genome, contigs, tmp_path / "kmers", 1)
    groups = {name: name[0] for name in sequences}
    return find_copies(kmers, groups, genome.lengths, 0.5)


def test_copies_are_counted_in_any_order(family) -> None:
    windows = pd.DataFrame(
        [("b1", 0, 1_000), ("a3", 500, 1_500), ("a1", 0, 1_000), ("a2", 3_000, 4_000), ("a3", 3_000, 4_000)],
        columns=["seqid", "start", "end"],
    )
    assert family.count(windows).to_dict("list") == {
        "copies": [1, 3, 3, 2, 1],
        "is_first": [True, False, True, False, True],
    }


def test_a_window_half_of_which_has_copies(family) -> None:
    shifted = pd.DataFrame({"seqid": "a3", "start": [1_300, 1_600], "end": [2_300, 2_600]})
    assert family.count(shifted)["copies"].tolist() == [3, 1]


def test_nothing_to_count(family, genome_of, tmp_path: Path) -> None:
    windows = pd.DataFrame({"seqid": ["a", "b"], "start": 0, "end": 100})
    assert no_copies().count(windows)["copies"].tolist() == [1, 1]
    assert family.count(windows[:0]).empty
    genome = genome_of({"a": random_bases(500, 1), "b": random_bases(500, 1)})
    contigs = pd.DataFrame({"seqid": ["a", "b"], "start": 0, "end": 500})
    kmers = sample_kmers(genome, contigs, tmp_path / "two", 1)
    apart = find_copies(kmers, {"a": "1", "b": "2"}, genome.lengths, 0.5)
    assert apart.count(windows)["copies"].tolist() == [1, 1]
    assert not (tmp_path / "two" / "holders").exists()


def test_more_homologs_than_are_told_apart(genome_of, tmp_path: Path) -> None:
    base = random_bases(300, 5)
    sequences = {f"s{number:02}": base for number in range(70)}
    genome = genome_of(sequences)
    contigs = pd.DataFrame([(name, 0, 300) for name in sequences], columns=["seqid", "start", "end"])
    copies = find_copies(
        sample_kmers(genome, contigs, tmp_path / "kmers", 1), dict.fromkeys(sequences, "1"), genome.lengths, 0.5
    )
    counted = copies.count(contigs)
    assert counted["copies"].iloc[0] == 64
    assert counted["is_first"].tolist() == [True] + 69 * [False]


def test_what_is_alone_among_many_is_no_copy(genome_of, tmp_path: Path) -> None:
    sequences = {f"s{number:03}": random_bases(200, number) for number in range(80)}
    genome = genome_of(sequences)
    contigs = pd.DataFrame([(name, 0, 200) for name in sequences], columns=["seqid", "start", "end"])
    kmers = sample_kmers(genome, contigs, tmp_path / "kmers", 1)
    counted = find_copies(kmers, dict.fromkeys(sequences, "1"), genome.lengths, 0.5).count(contigs)
    assert counted["copies"].eq(1).all()
    assert counted["is_first"].all()
