from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq

from workflow.genome.karyotype import read_karyotype
from workflow.genome.names import natural_key
from workflow.splits.homology import Homology, confirm_groups, trust_names
from workflow.splits.kmers import sample_kmers

NAMES, UNPLACED = r"Chr(?P<group>[0-9_]+)(?P<haplotype>[A-Z])", "scaffold.*"


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


def diverged(bases: str, seed: int, rate: float = 0.01) -> str:
    random = np.random.default_rng(seed)
    letters = np.array(list(bases))
    where = random.random(len(letters)) < rate
    letters[where] = random.choice(list("ACGT"), where.sum())
    return "".join(letters)


@pytest.fixture
def polyploid() -> dict[str, str]:
    """Five groups of three copies that differ in 1 % from a common ancestor."""
    ancestors = {group: random_bases(6_000, group) for group in range(1, 6)}
    return {
        f"Chr{group}{copy}": diverged(bases, 10 * group + number)
        for group, bases in ancestors.items()
        for number, copy in enumerate("ABC")
    }


@pytest.fixture
def confirmed(genome_of, tmp_path: Path):
    def confirm(sequences: dict[str, str], unplaced: str = "exclude") -> Homology:
        names = sorted(sequences, key=natural_key)
        contigs = pd.DataFrame([(name, 0, len(sequences[name])) for name in names], columns=["seqid", "start", "end"])
        sketch = sample_kmers(genome_of(sequences), contigs, tmp_path / "kmers", 1).sketch()
        return confirm_groups(read_karyotype(sequences, NAMES, UNPLACED), contigs, sketch, unplaced)

    return confirm


def test_names_that_are_right_are_left(polyploid, confirmed) -> None:
    homology = confirmed(polyploid)
    assert homology.groups == {name: name[3] for name in polyploid}
    assert homology.counts() == {"homologs": 15}
    assert homology.pairs["containment"].between(0.4, 0.8).all()


def test_a_misnamed_sequence_moves_to_the_group_it_is_a_copy_of(polyploid, confirmed) -> None:
    polyploid["Chr5D"] = str(Seq(diverged(polyploid["Chr2A"], 99)).reverse_complement())
    homology = confirmed(polyploid)
    assert homology.groups == {name: name[3] for name in polyploid} | {"Chr5D": "2"}
    assert homology.named_groups["Chr5D"] == "5"
    found = homology.pairs[homology.pairs["finding"] == "moved"]
    assert found[["seqid_b", "group_a", "group_b"]].to_numpy().tolist() == [["Chr5D", "2", "5"]] * 3


def test_a_translocation_ties_two_groups(polyploid, confirmed) -> None:
    polyploid["Chr5C"] = polyploid["Chr5C"][:3_000] + diverged(polyploid["Chr2A"][:3_000], 98)
    homology = confirmed(polyploid)
    assert {group for name, group in homology.groups.items() if name[3] in "25"} == {"2+5"}
    assert set(homology.groups.values()) == {"1", "2+5", "3", "4"}
    assert homology.counts()["joined"] >= 1


def test_scaffolds_that_are_copies(polyploid, confirmed) -> None:
    polyploid |= {
        "scaffold1": diverged(polyploid["Chr3B"][1_000:3_000], 97),
        "scaffold2": random_bases(2_000, 96),
        "scaffold3": polyploid["Chr1A"][:1_000] + polyploid["Chr4A"][:1_000],
    }
    excluded = confirmed(polyploid)
    assert not {"scaffold1", "scaffold2", "scaffold3"} & excluded.groups.keys()
    assert set(excluded.counts()) == {"homologs", "scaffold excluded"}
    joined = confirmed(polyploid, "join")
    assert joined.groups["scaffold1"] == "3"
    assert not {"scaffold2", "scaffold3"} & joined.groups.keys()
    assert joined.counts()["scaffold joined"] == 3
    assert joined.named_groups["scaffold1"] == "3"


def test_a_small_part_in_common_is_told_but_ties_nothing(polyploid, confirmed) -> None:
    polyploid["Chr5C"] = polyploid["Chr5C"][:5_300] + polyploid["Chr2A"][:700]
    homology = confirmed(polyploid)
    assert set(homology.groups.values()) == set("12345")
    assert homology.counts()["similar"] >= 1


def test_without_comparison_names_are_trusted(polyploid) -> None:
    homology = trust_names(read_karyotype(polyploid, NAMES, UNPLACED))
    assert homology.groups == homology.named_groups == {name: name[3] for name in polyploid}
    assert homology.counts() == {}
