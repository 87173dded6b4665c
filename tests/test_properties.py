"""What holds for every polyploid genome, from its FASTA file to the token files."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evaluation.drawing import style
from evaluation.page import images
from workflow.command import resolve
from workflow.config import SPLITS
from workflow.dataset.megatron import TokenFile
from workflow.genome.sequences import Genome
from workflow.pipeline import Run

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
COMPLEMENT = str.maketrans("ACGTNacgtn", "TGCANtgcan")
SETS = {
    "tiling": {"stride": 150},
    "genic": {"upstream": 60, "downstream": 40, "max_length": 500, "merge_distance": 80},
    "transcript": {"upstream": 0},
    "cds": {},
    "promoter": {"upstream": 100, "downstream": 60},
    "background": {"upstream": 0, "downstream": 0},
}
#: These depend on the order of the sequences in the file, or tell of paths and times.
OF_THE_FILE = ("genome.fa", "genome.fa.fai", "classes.npy", "manifest.json", "files.json", "run.json")


@dataclass
class Plant:
    """A made-up polyploid.

    Attributes
    ----------
    sequences : dict
        Bases by name.
    family : dict
        Whose copy each sequence is, whatever its name says; a recombinant's is that of its first half.
    features : list of str
        Lines of GFF3.
    spliced : dict
        What is read of each transcript, exons and coding parts.
    """

    sequences: dict[str, str] = field(default_factory=dict)
    family: dict[str, int] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    spliced: dict[str, dict[str, str]] = field(default_factory=lambda: {"transcript": {}, "cds": {}})

    def write(self, folder: Path, names: list[str]) -> tuple[Path, Path]:
        """FASTA with the sequences in this order, and GFF3."""
        folder.mkdir(parents=True)
        fasta, annotation = folder / "plant.fa", folder / "plant.gff3"
        fasta.write_text("".join(f">{name} made up\n{self.sequences[name]}\n" for name in names))
        annotation.write_text("##gff-version 3\n" + "".join(f"{line}\n" for line in self.features))
        return fasta, annotation


def reverse_complement(bases: str) -> str:
    return bases[::-1].translate(COMPLEMENT)


def made_up(seed: int, groups: int, copies: int) -> Plant:
    """Homologs that differ in 1 %, one of them misnamed, with a recombinant, scaffolds, N and repeats."""
    chance, plant = random.Random(seed), Plant()
    founders = ["".join(chance.choices("ACGT", k=chance.randint(1_200, 2_000))) for _ in range(groups)]

    def copy_of(founder: int) -> str:
        bases = [chance.choice("ACGT") if chance.random() < 0.013 else base for base in founders[founder]]
        at = chance.randrange(len(bases))
        bases[at : at + 30] = "N" * len(bases[at : at + 30])
        at = chance.randrange(len(bases))
        bases[at : at + 200] = "".join(bases[at : at + 200]).lower()
        return "".join(bases)

    def add(name: str, founder: int, bases: str) -> None:
        plant.sequences[name], plant.family[name] = bases, founder

    for group in range(groups):
        for copy in range(copies):
            add(f"Chr{group + 1}{'ABCD'[copy]}", group, copy_of(group))
    if chance.random() < 0.5:
        add("Chr1X", 1, reverse_complement(copy_of(1)))
    if chance.random() < 0.5:
        add("Chr2_3X", 1, copy_of(1)[:600] + copy_of(2)[600:])
    add("scaffold_1", 0, copy_of(0)[200:700])
    add("scaffold_2", -1, "".join(chance.choices("ACGT", k=400)))
    for name in list(plant.sequences):
        add_genes(plant, name, chance)
    return plant


def add_genes(plant: Plant, seqid: str, chance: random.Random) -> None:
    """Genes of two exons on either strand; the first and the last nine bases of a transcript are not coding."""
    bases, at = plant.sequences[seqid], chance.randint(0, 200)
    while at + 300 < len(bases):
        gene, strand = f"{seqid}.g{at}", chance.choice("+-")
        second = at + 99 + chance.randint(10, 60)
        exons = [(at, at + 99), (second, second + 81)]
        coding = [(exons[0][0] + 9, exons[0][1]), (exons[1][0], exons[1][1] - 9)]
        start, end, tail = exons[0][0] + 1, exons[1][1], f".\t{strand}\t.\tID={gene}"
        plant.features.append(f"{seqid}\ttest\tgene\t{start}\t{end}\t{tail}")
        plant.features.append(f"{seqid}\ttest\tmRNA\t{start}\t{end}\t{tail}.t;Parent={gene}")
        for kind, parts, phase in (("exon", exons, "."), ("CDS", coding, "0")):
            plant.features += [
                f"{seqid}\ttest\t{kind}\t{start + 1}\t{end}\t.\t{strand}\t{phase}\tParent={gene}.t"
                for start, end in parts
            ]
            read = "".join(bases[start:end] for start, end in parts)
            of_kind = plant.spliced["cds" if kind == "CDS" else "transcript"]
            of_kind[f"{gene}.t"] = reverse_complement(read) if strand == "-" else read
        at = exons[1][1] + chance.randint(20, 400)


def overrides(fasta: Path, annotation: Path, runs: Path, options: Mapping[str, object]) -> list[str]:
    """Settings of a run up to the token files, as the command takes them."""
    sets = {name: {"kind": name} | given for name, given in SETS.items()}
    given = {
        "genome": "custom",
        "genome.name": "plant",
        "genome.fasta": fasta,
        "genome.annotation": annotation,
        "genome.sequence_names": r"'Chr(?P<group>[0-9_]+)(?P<haplotype>[A-Z])'",
        "genome.unplaced_names": r"'scaffold_\d+'",
        "split.method": "sequence",
        "stage": "[prepare,preprocess]",
        "train": "none",
        "windows.length": 200,
        "windows.min_length": 40,
        "++windows.sets": json.dumps(sets).replace('"', ""),
        "++mixture.weights": "{regions:1.0," + ",".join(f"{name}:0.5" for name in SETS) + "}",
        "gates.train_test_similarity": "warn",
        "runs_folder": runs,
        "run_name": "one",
    }
    return [f"{key}={value}" for key, value in (given | dict(options)).items()]


def run(*settings_given: str) -> Path:
    """Prepare and preprocess in this process; the run folder."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = resolve(compose("config", list(settings_given)))
    Run(config).execute()
    return Path(config.runs_folder) / config.run_name


def records(fasta: Path) -> Iterator[tuple[str, str]]:
    with Genome(fasta) as genome:
        for name in genome.lengths:
            yield name, genome.whole(name).tobytes().decode("ascii")


def rows(table: pd.DataFrame) -> Iterator[Any]:
    yield from table.itertuples()


# ---------------------------------------------------------------- properties


def check_groups(prepared: Path, plant: Plant) -> None:
    """No homolog group and no family of true homologs lies in two splits."""
    regions = pd.read_parquet(prepared / "split.parquet")
    assert set(regions["split"]) == set(SPLITS)
    assert regions.groupby("group")["split"].nunique().max() == 1
    family = regions["seqid"].map(plant.family)
    assert regions.groupby(family)["split"].nunique().max() == 1


def check_accounting(prepared: Path, plant: Plant) -> None:
    """Every base is kept in one split or dropped for one reason; every window is counted."""
    accounting = json.loads((prepared / "accounting.json").read_text())
    regions = pd.read_parquet(prepared / "split.parquet")
    total = sum(map(len, plant.sequences.values()))
    assert accounting["total_bases"] == total
    assert sum(accounting["kept"].values()) + sum(accounting["dropped"].values()) == total
    kept = (regions["end"] - regions["start"]).groupby(regions["split"]).sum()
    assert kept.to_dict() == accounting["kept"]
    told = json.loads((prepared / "windows.json").read_text())
    for name in SETS:
        windows = pd.read_parquet(prepared / "windows" / f"{name}.parquet")
        counted = windows["split"].value_counts()
        assert told[name]["windows"] == {split: counted.get(split, 0) for split in SPLITS}
        lengths = windows.groupby("split")["length"].sum()
        assert told[name]["bases"] == {split: lengths.get(split, 0) for split in SPLITS}


def check_windows(prepared: Path, plant: Plant) -> None:
    """Every window lies in one region of its split, and its record is what the genome has there."""
    regions = pd.read_parquet(prepared / "split.parquet")
    for name in SETS:
        windows = pd.read_parquet(prepared / "windows" / f"{name}.parquet")
        found = list(records(prepared / "windows" / f"{name}.fa"))
        assert [record for record, _ in found] == windows["sequence_id"].tolist()
        assert windows["sequence_id"].is_unique
        for window, (_, bases) in zip(rows(windows), found, strict=True):
            whole = plant.sequences[window.seqid]
            assert 0 <= window.start < window.end <= len(whole)
            around = (regions["seqid"] == window.seqid) & (regions["start"] <= window.start)
            around &= (window.end <= regions["end"]) & (regions["split"] == window.split)
            assert around.sum() == 1
            expected = whole[window.start : window.end]
            expected = reverse_complement(expected) if window.strand == "-" else expected
            if name in plant.spliced:
                expected = plant.spliced[name][window.sequence_id.partition(":")[0]]
            assert bases == expected
            assert window.length == len(bases) >= 40


def check_tokens(folder: Path, plant: Plant) -> None:
    """The documents are the records, each once, and an end."""
    documents = pd.read_parquet(folder / "preprocess" / "documents.parquet")
    prepared = folder / "prepare"
    expected = {name: dict(records(prepared / "windows" / f"{name}.fa")) for name in SETS}
    regions = pd.read_parquet(prepared / "split.parquet")
    expected["regions"] = {
        f"{row.seqid}:{row.start}-{row.end}": plant.sequences[row.seqid][row.start : row.end] for row in rows(regions)
    }
    for name, of_set in documents.groupby("set"):
        assert sorted(of_set["sequence_id"]) == sorted(expected[str(name)])
    files = {path.stem for path in (folder / "preprocess").glob("*.bin")}
    assert files == set(documents["file"])
    for file, of_file in documents.groupby("file"):
        tokens = TokenFile(folder / "preprocess" / str(file))
        assert len(tokens) == len(of_file)
        assert of_file["document"].tolist() == list(range(len(tokens)))
        for row in rows(of_file):
            assert tokens[row.document].tobytes() == expected[row.set][row.sequence_id].encode() + b"\0"


# A smaller seed makes no simpler plant: there is nothing to shrink.
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=10,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    seed=st.integers(0, 10_000),
    groups=st.integers(4, 5),
    copies=st.integers(1, 3),
    unplaced=st.sampled_from(["exclude", "join"]),
    treatment=st.sampled_from(["weight", "remove", "keep"]),
)
def test_a_polyploid_from_fasta_to_tokens(
    tmp_path: Path, seed: int, groups: int, copies: int, unplaced: str, treatment: str
) -> None:
    plant = made_up(seed, groups, copies)
    folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    options = {"split.unplaced": unplaced, "windows.copies": treatment, "seed": seed}
    done = run(*overrides(*plant.write(folder, list(plant.sequences)), folder, options))
    check_groups(done / "prepare", plant)
    check_accounting(done / "prepare", plant)
    check_windows(done / "prepare", plant)
    check_tokens(done, plant)


# ---------------------------------------------------------------- the same bytes


def hashes(folder: Path, left_out: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of the artefacts, in which the run folder has no name."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", *left_out)]
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            path.read_bytes().replace(os.fsencode(folder), b"RUN")
        ).hexdigest()
        for path in paths
    }


@pytest.fixture(scope="module")
def plant() -> Plant:
    return made_up(5, 5, 3)


@pytest.fixture(scope="module")
def reference(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the plant with tags that are drawn at random."""
    folder = tmp_path_factory.mktemp("reference") / "one"
    return run(*overrides(*plant.write(folder, list(plant.sequences)), folder, TAGS))


TAGS = {
    "genome.lineage": "'d__Eukaryota;p__Streptophyta;c__Liliopsida;o__Poales;f__Poaceae;g__Saccharum;s__x'",
    "mixture.lineage_dropout": 0.5,
}


def test_order_of_the_file_changes_no_table(plant: Plant, reference: Path, tmp_path: Path) -> None:
    names = random.Random(1).sample(list(plant.sequences), len(plant.sequences))
    other = run(*overrides(*plant.write(tmp_path / "x", names), tmp_path, TAGS))
    one, two = hashes(reference, OF_THE_FILE), hashes(other, OF_THE_FILE)
    assert len(one) > 40
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_hash_seed_changes_nothing(plant: Plant, reference: Path, tmp_path: Path) -> None:
    given = overrides(*plant.write(tmp_path / "x", list(plant.sequences)), tmp_path, TAGS)
    environment = os.environ | {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}
    # With figures as coarse as those of the reference.
    coarse = f"images.style.PRINT_DPI, images.PAGE_DPI = {style.PRINT_DPI}, {images.PAGE_DPI}"
    code = f"from evaluation.page import images; {coarse}; from workflow.run import main; main()"
    command = [sys.executable, "-c", code, *given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left_out = ("manifest.json", "files.json", "run.json")
    one, two = hashes(reference, left_out), hashes(tmp_path / "one", left_out)
    assert np.isin(OF_THE_FILE[:2], [Path(name).name for name in one]).all()
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
