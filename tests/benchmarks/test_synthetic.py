"""The made-up genome that the benchmark of the preparation runs on."""

import gzip
import importlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx
import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "synthetic.py"
# The scripts are no package: they import one another from their own folder.
sys.path.insert(0, str(BENCHMARKS))
synthetic = importlib.import_module("synthetic")
synthetic_genes = importlib.import_module("synthetic_genes")

BASES, GENES, GROUPS, HAPLOTYPES = 6_000_000, 200, 2, 3


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def make(out: Path, *more: object) -> Path:
    sizes = ("--bases", BASES, "--genes", GENES, "--groups", GROUPS, "--haplotypes", HAPLOTYPES)
    done = run(*sizes, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("synthetic") / "made")


@pytest.fixture(scope="module")
def genome(made: Path) -> dict[str, np.ndarray]:
    fasta = pyfaidx.Fasta(str(made / "genome.fa"))
    return {record.name: np.frombuffer(str(record).encode(), np.uint8) for record in fasta}


@pytest.fixture(scope="module")
def annotation(made: Path) -> pd.DataFrame:
    names = ["seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes"]
    table = pd.read_csv(made / "genes.gff3", sep="\t", names=names, skiprows=1)
    table["start"] -= 1
    for column, key in (("id", "ID"), ("parent", "Parent")):
        table[column] = table["attributes"].str.extract(rf"(?:^|;){key}=([^;]*)", expand=False)
    return table


def spliced(genome: dict[str, np.ndarray], parts: pd.DataFrame) -> tuple[str, list[int]]:
    """The coding sequence of one gene, and the bases of each part."""
    pieces = []
    for seqid, start, end, strand in parts[["seqid", "start", "end", "strand"]].itertuples(index=False):
        piece = Seq(genome[seqid][start:end].tobytes().decode())
        pieces.append(str(piece.reverse_complement() if strand == "-" else piece))
    return "".join(pieces), [len(piece) for piece in pieces]


def test_sequences_are_named_and_as_many_and_long_as_asked(genome) -> None:
    lengths = {seqid: len(bases) for seqid, bases in genome.items()}
    chromosomes = [seqid for seqid in genome if seqid.startswith("Chr")]
    assert chromosomes == ["Chr1A", "Chr1B", "Chr1C", "Chr2A", "Chr2B", "Chr2C"]
    unplaced = [length for seqid, length in lengths.items() if seqid.startswith("scaffold_")]
    total = sum(lengths.values())
    assert total == pytest.approx(BASES, rel=0.01)
    assert sum(unplaced) / total == pytest.approx(synthetic.UNPLACED_SHARE, abs=0.01)


def test_lines_have_80_letters(made: Path) -> None:
    records = (made / "genome.fa").read_text().split(">")[1:]
    for record in records:
        _, *lines = record.splitlines()
        assert {len(line) for line in lines[:-1]} <= {80}
        assert 1 <= len(lines[-1]) <= 80


def test_composition_is_that_of_a_plant(genome) -> None:
    for seqid in ("Chr1A", "Chr2C"):
        bases = genome[seqid]
        assert 0.5 < (bases >= ord("a")).mean() < 0.65
        gaps = np.diff(np.flatnonzero(np.diff(bases == ord("N"), prepend=False, append=False)).reshape(-1, 2))
        assert len(gaps) >= 1
        assert gaps.min() >= 100
        upper = bases & ~np.uint8(32)
        assert np.isin(upper[upper != ord("N")], list(b"CG")).mean() == pytest.approx(0.44, abs=0.02)


def test_every_gene_of_every_copy_has_an_open_reading_frame(genome, annotation) -> None:
    coding = annotation[annotation["type"] == "CDS"]
    assert (annotation["type"] == "gene").sum() == pytest.approx(GENES, abs=HAPLOTYPES * GROUPS)
    assert coding["id"].nunique() == (annotation["type"] == "gene").sum()
    for _, parts in coding.groupby("id", sort=False):
        bases, lengths = spliced(genome, parts)
        assert bases.isupper()
        assert len(bases) % 3 == 0
        protein = str(Seq(bases).translate())
        assert protein[0] == "M"
        assert protein.index("*") == len(protein) - 1
        assert parts["phase"].astype(int).tolist() == (-np.cumsum([0, *lengths[:-1]]) % 3).tolist()


def test_exons_lie_in_their_genes_around_their_coding_parts(annotation) -> None:
    of_type = {name: rows.reset_index(drop=True) for name, rows in annotation.groupby("type")}
    exons, coding, genes = of_type["exon"], of_type["CDS"], of_type["gene"].set_index("id")
    assert (exons["parent"] == coding["parent"]).all()
    assert (exons["start"] <= coding["start"]).all()
    assert (coding["end"] <= exons["end"]).all()
    spans = exons.assign(gene=exons["parent"].str.removesuffix(".t1")).groupby("gene")
    assert (spans["start"].min() == genes["start"].sort_index()).all()
    assert (spans["end"].max() == genes["end"].sort_index()).all()
    assert set(genes["strand"]) == {"+", "-"}


def test_two_copies_differ_by_the_divergence() -> None:
    rng = np.random.default_rng(0)
    ancestor = synthetic.random_bases(rng, 1_000_000)
    (one, lift_one), (other, lift_other) = (synthetic.diverge(ancestor, 0.01 / 2, rng) for _ in range(2))
    places = np.arange(len(ancestor))
    kept = np.ones(len(ancestor), bool)
    for lift in (lift_one, lift_other):
        kept &= lift.ends(places + 1) == lift.starts(places) + 1
    same = one[lift_one.starts(places[kept])] == other[lift_other.starts(places[kept])]
    assert 1 - same.mean() == pytest.approx(0.01, rel=0.05)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(100, 20_000), st.floats(0, 0.2))
def test_lifted_places_hold_the_same_bases(seed: int, length: int, share: float) -> None:
    """Coding bases are never changed, so all of them must be found, in order and without others between."""
    rng = np.random.default_rng(seed)
    ancestor = synthetic.random_bases(rng, length)
    start, end = sorted(int(place) for place in rng.integers(0, length, 2))
    ancestor[start:end] |= synthetic_genes.CODING
    if end - start <= 20:
        return
    copy, lift = synthetic.diverge(ancestor, share, rng)
    assert lift.target[-1] + lift.length[-1] == len(copy)
    begin, stop = int(lift.starts(np.array([start]))[0]), int(lift.ends(np.array([end]))[0])
    assert np.array_equal(copy[begin:stop], ancestor[start:end])
    assert np.count_nonzero(copy & synthetic_genes.CODING) == end - start


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 10_000))
def test_genes_do_not_overlap_and_lie_in_the_sequence(seed: int, count: int, more: int) -> None:
    length = count * synthetic_genes.BASES_PER_GENE + more
    genes = synthetic_genes.lay_out_genes(length, count, np.random.default_rng(seed))
    assert np.array_equal(np.unique(genes.gene), np.arange(count))
    order = np.argsort(genes.start)
    borders = np.column_stack([genes.start, genes.end])[order].ravel()
    assert (np.diff(borders) > 0).all()
    assert ((genes.coding_start >= genes.start) & (genes.coding_end <= genes.end)).all()
    if count:
        assert borders[0] >= 0
        assert borders[-1] <= length
        assert (np.bincount(genes.gene, genes.coding_end - genes.coding_start) % 3 == 0).all()


def test_the_annotation_alone_names_the_same_genes(annotation) -> None:
    text = io.BytesIO()
    plan = synthetic.Plan(BASES, GENES, GROUPS, HAPLOTYPES)
    lengths = synthetic.write_annotation(plan, text)
    assert list(lengths) == [name for group in range(GROUPS) for name, _ in plan.names(group)]
    lines = [line.split("\t") for line in text.getvalue().decode().splitlines()]
    assert [line[2] for line in lines] == annotation["type"].tolist()
    assert [line[8] for line in lines] == annotation["attributes"].tolist()
    assert all(int(line[4]) <= lengths[line[0]] for line in lines)


def test_the_same_seed_gives_the_same_files_and_gzip_only_packs_them(made: Path, tmp_path: Path) -> None:
    again = make(tmp_path / "again", "--gzip")
    assert gzip.decompress((again / "genome.fa.gz").read_bytes()) == (made / "genome.fa").read_bytes()
    assert (again / "genes.gff3").read_bytes() == (made / "genes.gff3").read_bytes()
    other = make(tmp_path / "other", "--seed", 1)
    assert (other / "genes.gff3").read_bytes() != (made / "genes.gff3").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--genes", 1000, "--bases", 1e6), "genes do not fit into"),
        (("--haplotypes", 27), "--haplotypes must lie between 1 and 26"),
        (("--groups", 0), "--groups must be positive"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line(arguments, message: str, tmp_path: Path) -> None:
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(made: Path) -> None:
    done = run("--out", made)
    assert done.returncode == 2
    assert "is already there" in done.stderr.splitlines()[-1]
