"""The tables of the tutorials are what their script makes, and say of the genome what is true."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from Bio.Seq import Seq

from workflow import console

DEMO = Path(__file__).parent.parent / "data" / "demo"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tutorial_tables", DEMO / "make_tutorial_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(script: ModuleType) -> dict[str, pd.DataFrame]:
    tables: dict[str, pd.DataFrame] = script.tables()
    return tables


def test_they_are_made_again_to_the_byte(made: dict[str, pd.DataFrame]) -> None:
    assert sorted(made) == sorted(path.stem for path in DEMO.glob("tutorial_*.csv"))
    for name, table in made.items():
        assert table.to_csv(index=False) == (DEMO / f"{name}.csv").read_text(), name


def test_every_consequence_is_that_of_the_protein(script: ModuleType, made: dict[str, pd.DataFrame]) -> None:
    """Each gene is spliced, changed and translated whole, which the script does not do."""
    (genome,) = script.read_fasta(DEMO / f"{script.GENOME}.fa").values()
    features = script.read_features(DEMO / f"{script.GENOME}.gff3")
    proteins: dict[str, list[tuple[list[int], str]]] = {}
    for _, parts in features[features["type"] == "CDS"].groupby("id", sort=False):
        strand = parts["strand"].iloc[0]
        places = [
            place
            for start, end in parts[["start", "end"]].itertuples(index=False)
            for place in (range(start, end) if strand == "+" else reversed(range(start, end)))
        ]
        proteins.setdefault(parts["name"].iloc[0], []).append((places, strand))

    def translated(bases: str, places: list[int], strand: str) -> str:
        read = Seq("".join(bases[place] for place in places))
        return str((read if strand == "+" else read.complement()).translate(table=11))

    table = made["tutorial_variants"]
    assert (table["ref"] == [genome[position - 1] for position in table["position"]]).all()
    assert (table["ref"] != table["alt"]).all() and not table["position"].duplicated().any()
    for position, alt, consequence, place, gene in table[
        ["position", "alt", "consequence", "codon_position", "gene"]
    ].itertuples(index=False):
        at = position - 1
        covering = [copy for copy in proteins[gene] if at in copy[0]]
        if consequence == "intron":
            assert not covering
            continue
        changed = genome[:at] + alt + genome[at + 1 :]
        ((places, strand),) = covering
        before, after = translated(genome, places, strand), translated(changed, places, strand)
        residue = places.index(at) // 3
        assert place == ("first", "second", "third")[places.index(at) % 3]
        differs = after[residue] != before[residue]
        assert consequence == ("nonsense" if after[residue] == "*" else "missense" if differs else "synonymous")


def test_windows_do_not_lie_in_two_splits(script: ModuleType, made: dict[str, pd.DataFrame]) -> None:
    (genome,) = script.read_fasta(DEMO / f"{script.GENOME}.fa").values()
    stretches = {
        split: {genome.index(sequence) // script.STRETCH for sequence in made[f"tutorial_{split}"]["sequence"]}
        for split in ("train", "dev", "test")
    }
    assert not stretches["train"] & stretches["dev"] | stretches["train"] & stretches["test"]
    assert not stretches["dev"] & stretches["test"]
    assert {len(sequence) for sequence in made["tutorial_train"]["sequence"]} == {101}


def test_reads_are_cut_from_genomes_of_ones_own(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "say", lambda text: None)
    (tmp_path / "a.fa").write_text(">x\n" + "ACGTTGCA" * 100 + "\n")
    (tmp_path / "b.fa").write_text(">y\n" + "AATTCCGG" * 20 + "\n")
    sheet = f"fasta,domain,species\n{tmp_path / 'a.fa'},D,a\n{tmp_path / 'b.fa'},D,b\n"
    (tmp_path / "sheet.csv").write_text(sheet)
    arguments = ["script", "--organisms", str(tmp_path / "sheet.csv"), "--out", str(tmp_path / "reads.csv")]
    monkeypatch.setattr(sys, "argv", arguments)
    script.main()
    reads = pd.read_csv(tmp_path / "reads.csv")
    assert list(reads.columns) == ["id", "piece", "sequence", "domain", "species"]
    assert reads["species"].value_counts().to_dict() == {"a": script.READS, "b": script.READS}
    genome = "ACGTTGCA" * 100
    for sequence in reads.loc[reads["species"] == "a", "sequence"]:
        assert len(sequence) == script.READ
        assert sequence in genome or str(Seq(sequence).reverse_complement()) in genome
