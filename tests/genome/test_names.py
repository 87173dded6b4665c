from pathlib import Path

import pytest
import yaml

from workflow.errors import InputError
from workflow.genome.names import homolog_groups, natural_key, suggest_name

CONFIGS = Path(__file__).parents[2] / "configs" / "genome"


@pytest.mark.parametrize("name", ["XTT22", "R570", "ZZ1"])
def test_sugarcane_names(name: str) -> None:
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    seqids = [
        "Chr1A",
        "Chr1B",
        "Chr10G",
        "Chr7A",
        "Chr7_10A",
        "Chr02H",
        "scaffold_12",
        "utg000001l",
        "Contig7",
        "Chr00",
    ]
    groups, unplaced = homolog_groups(seqids, config["sequence_names"], config["unplaced_names"])
    assert groups == {"Chr1A": "1", "Chr1B": "1", "Chr10G": "7_10", "Chr7A": "7_10", "Chr7_10A": "7_10", "Chr02H": "2"}
    assert unplaced == ["scaffold_12", "utg000001l", "Contig7", "Chr00"]


def test_a_config_begins_with_its_command() -> None:
    for path in set(CONFIGS.glob("*.yaml")) - {CONFIGS / "custom.yaml"}:
        command, name = path.read_text().splitlines()[:2]
        assert command.startswith("# python -m workflow.run ") and f"genome={path.stem}" in command.split()
        assert name == f"name: {path.stem}"


def test_without_a_pattern_each_sequence_is_a_group() -> None:
    assert homolog_groups(["a_b", "b"], None, None) == ({"a_b": "a_b", "b": "b"}, [])


def test_chains_of_recombinants_are_one_group() -> None:
    groups, _ = homolog_groups(["1_2", "2_3", "4"], r"(?P<group>[\d_]+)", None)
    assert groups == {"1_2": "1_2_3", "2_3": "1_2_3", "4": "4"}


def test_unread_names_are_listed() -> None:
    with pytest.raises(InputError, match=r"^6 sequence names are read by neither .*: u0, u1, u2, u3, u4, …; extend"):
        homolog_groups(["chr1", *(f"u{i}" for i in range(6))], r"chr(?P<group>\d)", None)


def test_names_are_matched_whole() -> None:
    with pytest.raises(InputError, match=r"1 sequence names .*: chr12;"):
        homolog_groups(["chr1", "chr12"], r"chr(?P<group>\d)", None)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("chr(", r"genome\.sequence_names=chr\( is not a regular expression"),
        (r"chr(\d)", r"genome\.sequence_names has no named group"),
    ],
)
def test_bad_patterns(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        homolog_groups(["chr1"], pattern, None)


def test_natural_order() -> None:
    names = ["chr10", "chr2", "Chr1", "chr2_b", "2"]
    assert sorted(names, key=natural_key) == ["2", "Chr1", "chr2", "chr2_b", "chr10"]


@pytest.mark.parametrize(
    ("unknown", "known"), [("1", "Chr1"), ("chromosome_01", "Chr1"), ("NC_1", "NC_1.2"), ("0", "chr0")]
)
def test_suggestions(unknown: str, known: str) -> None:
    assert suggest_name(unknown, ["other", known]) == f"did you mean {known}? Rename one of the two"
