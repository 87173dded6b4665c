from pathlib import Path

import pandas as pd
import pytest
import yaml

from workflow.errors import InputError
from workflow.genome.karyotype import karyotype_text, read_karyotype

CONFIGS = Path(__file__).parents[2] / "configs" / "genome"


def groups_of(seqids, sequence_names, unplaced_names=None, table=None) -> tuple[dict[str, str], list[str]]:
    """Group of each placed sequence, and the unplaced ones."""
    karyotype = read_karyotype(seqids, sequence_names, unplaced_names, table)
    placed = karyotype[karyotype["placed"]]
    groups = dict(zip(placed["seqid"], placed["group"], strict=True))
    return groups, karyotype[~karyotype["placed"]]["seqid"].tolist()


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
    groups, unplaced = groups_of(seqids, config["sequence_names"], config["unplaced_names"])
    assert groups == {"Chr1A": "1", "Chr1B": "1", "Chr10G": "7_10", "Chr7A": "7_10", "Chr7_10A": "7_10", "Chr02H": "2"}
    assert unplaced == ["Chr00", "Contig7", "scaffold_12", "utg000001l"]


def test_a_config_begins_with_its_command() -> None:
    for path in set(CONFIGS.glob("*.yaml")) - {CONFIGS / "custom.yaml", CONFIGS / "plain.yaml"}:
        command, name = path.read_text().splitlines()[:2]
        assert command.startswith("# python -m workflow.run ") and f"genome={path.stem}" in command.split()
        assert name == f"name: {path.stem}"


def test_without_a_pattern_each_sequence_is_a_group() -> None:
    assert groups_of(["a_b", "b"], None, None) == ({"a_b": "a_b", "b": "b"}, [])


def test_chains_of_recombinants_are_one_group() -> None:
    groups, _ = groups_of(["1_2", "2_3", "4"], r"(?P<group>[\d_]+)", None)
    assert groups == {"1_2": "1_2_3", "2_3": "1_2_3", "4": "4"}


def test_unread_names_are_listed() -> None:
    with pytest.raises(InputError, match=r"^6 sequence names are read by neither .*: u0, u1, u2, u3, u4, …; extend"):
        groups_of(["chr1", *(f"u{i}" for i in range(6))], r"chr(?P<group>\d)", None)


def test_names_are_matched_whole() -> None:
    with pytest.raises(InputError, match=r"1 sequence names .*: chr12;"):
        groups_of(["chr1", "chr12"], r"chr(?P<group>\d)", None)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("chr(", r"genome\.sequence_names=chr\( is not a regular expression"),
        (r"chr(\d)", r"genome\.sequence_names has no named group"),
    ],
)
def test_bad_patterns(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        groups_of(["chr1"], pattern, None)


def test_haplotypes_and_subgenomes() -> None:
    karyotype = read_karyotype(
        ["Chr2Ba", "Chr1Aa", "u1"], r"Chr(?P<group>\d)(?P<subgenome>[AB])(?P<haplotype>[a-z])", "u.*"
    )
    assert karyotype.to_dict("list") == {
        "seqid": ["Chr1Aa", "Chr2Ba", "u1"],
        "placed": [True, True, False],
        "own_group": ["1", "2", ""],
        "group": ["1", "2", ""],
        "haplotype": ["a", "a", ""],
        "subgenome": ["A", "B", ""],
    }


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_in_place_of_patterns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"names{suffix}"
    table = pd.DataFrame(
        {"seqid": ["x", "y", "z", "u"], "group": ["1", "1_2", "2", ""], "haplotype": ["A", "B", "A", ""]}
    )
    if suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    assert groups_of(["u", "x", "y", "z"], "ignored", None, path) == ({"x": "1_2", "y": "1_2", "z": "1_2"}, ["u"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seqid,group\nx,1\n", r"t\.csv, line 1: no column haplotype; it has seqid, group"),
        ("seqid,group,haplotype\n", r"t\.csv holds no rows"),
        ("", r"t\.csv cannot be read as a table"),
        ("seqid,group,haplotype\nx,1,A\nx,2,A\n", r"t\.csv, line 3: sequence x stands in an earlier line too"),
        ("seqid,group,haplotype\nx,1,A\nq,2,A\n", r"t\.csv, line 3: sequence q is not in the FASTA"),
        ("seqid,group,haplotype\nx,1,A\n", r"t\.csv: 1 sequences of the FASTA are missing: y; add a line for each"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_karyotype(["x", "y"], None, None, tmp_path / "t.csv")


def test_karyotype_in_words() -> None:
    names = ["Chr1A", "Chr1B", "Chr2A", "scaffold1"]
    karyotype = read_karyotype(names, r"Chr(?P<group>\d)(?P<haplotype>[A-Z])", "scaffold.*")
    assert karyotype_text(karyotype, dict(zip(names, [3_000_000, 2_500_000, 1_000_000, 10_000], strict=True))) == (
        "karyotype: 4 sequences, 6.51 Mb, 2 groups\n"
        "  group 1: 2 × (Chr1A 3.00, Chr1B 2.50 Mb)\n"
        "  group 2: 1 × (Chr2A 1.00 Mb)\n"
        "  unplaced: 1 sequences, 0.01 Mb (scaffold1)"
    )
