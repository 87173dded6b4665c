import gzip
import json
import random
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.config import (
    WINDOW_KINDS,
    GatesConfig,
    GenomeConfig,
    SplitConfig,
    WindowsConfig,
    WindowSetConfig,
)
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.download import download
from workflow.stages.prepare import prepare

TABLES = ("contigs", "split", "annotation", "sequences", "homology", "leakage", "density", "windows/tiling")


def run(
    out: Path, fasta: Path | str, annotation: Path | str | None = None, gates: GateLog | None = None, **options
) -> dict[str, object]:
    """Run the stages download and prepare into folders beside `out`; options are those of the split and of `SET`."""
    folder = out.with_name(out.name + "-run")
    for stage in ("download", "prepare"):
        (folder / stage).mkdir(parents=True)
    names = {key: options.pop(key, None) for key in ("sequence_names", "unplaced_names", "sequence_table")}
    windows = {key: options.pop(key) for key in ("length", "min_length", "copies", "sets") if key in options}
    config = SimpleNamespace(
        genome=GenomeConfig(
            name="x", fasta=str(fasta), annotation=annotation and str(annotation), source="the archive", **names
        ),
        windows=WindowsConfig(**{"length": 1_000} | windows),
        seed=options.pop("seed", 42),
        split=SplitConfig(**options),
    )
    gates = gates or GateLog(asdict(GatesConfig()))
    download(StageContext(config, folder / "download", folder, gates))
    counts = prepare(StageContext(config, folder / "prepare", folder, gates))
    (folder / "prepare").rename(out)
    return counts


def tables(out: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(out / f"{name}.parquet") for name in TABLES}


def test_plastid(tmp_path: Path) -> None:
    out = tmp_path / "prepare"
    stem = "data/demo/athaliana_plastid_NC_000932.1"
    counts = run(out, f"{stem}.fa", f"{stem}.gff3")
    accounting = json.loads((out / "accounting.json").read_text())
    assert accounting["total_bases"] == 154_478
    assert sum(accounting["kept"].values()) + sum(accounting["dropped"].values()) == 154_478
    assert counts["bases_kept"] == accounting["kept"]
    assert counts["windows_with_a_copy_in_train"] == {"val": 0.0, "test": 0.0}
    read = tables(out)
    with Genome(out / "genome.fa") as genome:
        for window in read["windows/tiling"].itertuples():
            bases = genome.fetch(window.seqid, window.start, window.end).tobytes().decode()
            assert window.gc == pytest.approx((bases.count("G") + bases.count("C")) / len(bases))
    assert list(read["split"]) == ["seqid", "start", "end", "split", "group"]
    assert list(read["contigs"]) == ["seqid", "start", "end"]
    assert read["windows/tiling"]["sequence_id"].is_unique
    assert len(read["annotation"]) == counts["features"]


def made_up(n_sequences: int, seed: int, longest: int = 3_000) -> dict[str, str]:
    """Sequences with runs of N, both cases, names of placed and unplaced ones."""
    chance = random.Random(seed)
    sequences = {}
    for number in range(n_sequences):
        name = f"un{number}" if chance.random() < 0.2 and number > 3 else f"chr{number}{chance.choice('AB')}"
        pieces = [
            "".join(chance.choices("ACGTacgt" if chance.random() < 0.8 else "Nn", k=chance.randint(1, longest // 4)))
            for _ in range(chance.randint(1, 6))
        ]
        sequences[name] = "".join(pieces)
    return sequences


def write(path: Path, sequences: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in sequences.items()))
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(0, 10_000),
    st.sampled_from(["auto", "sequence", "block"]),
    st.sampled_from([0, 10, 101]),
    st.sampled_from([100, 400, None]),
    st.integers(1, 90),
)
def test_every_base_is_accounted_for(tmp_path: Path, n, seed, method, purge, block_length, min_length) -> None:
    sequences = made_up(n, seed)
    number = len(list(tmp_path.iterdir()))
    fasta, out = write(tmp_path / f"{number}.fa", sequences), tmp_path / f"out{number}"
    options = {"method": method, "purge": purge, "block_length": block_length, "seed": seed, "length": 100}
    patterns = {"sequence_names": r"chr(?P<group>\d+)(?P<haplotype>[A-Z])", "unplaced_names": r"un\d+"}
    try:
        run(out, fasta, min_length=min_length, **options, **patterns)
    except InputError as error:
        assert re.search(r"three|leaves no \d+ bases|no stretch|nothing but N", str(error))
        return
    accounting, read = json.loads((out / "accounting.json").read_text()), tables(out)
    total = sum(map(len, sequences.values()))
    assert accounting["total_bases"] == total
    assert sum(accounting["kept"].values()) + sum(accounting["dropped"].values()) == total
    assert accounting["dropped"]["unplaced"] == sum(len(b) for name, b in sequences.items() if name.startswith("un"))
    assert min(accounting["kept"].values()) > 0
    painted = {name: [""] * len(bases) for name, bases in sequences.items()}
    for row in read["split"].itertuples():
        assert row.end - row.start >= min_length
        for position in range(row.start, row.end):
            assert painted[row.seqid][position] == ""
            assert sequences[row.seqid][position] not in "Nn"
            painted[row.seqid][position] = row.split
    for split, kept in accounting["kept"].items():
        assert kept == sum(column.count(split) for column in painted.values())
        inside = read["windows/tiling"][read["windows/tiling"]["split"] == split]
        assert (inside["end"] - inside["start"]).sum() <= kept
    for row in read["windows/tiling"].itertuples():
        assert set(painted[row.seqid][row.start : row.end]) == {row.split}


@pytest.mark.parametrize("method", ["sequence", "block"])
def test_order_and_packing_of_the_file_change_no_table(tmp_path: Path, method: str) -> None:
    sequences = made_up(8, 1)
    one = write(tmp_path / "one.fa", sequences)
    other = tmp_path / "other.fasta"
    other.write_bytes(gzip.compress(write(tmp_path / "x", dict(reversed(sequences.items()))).read_bytes()))
    for name, fasta in (("a", one), ("b", other)):
        run(tmp_path / name, fasta, method=method, purge=50, block_length=500)
    for name, table in tables(tmp_path / "a").items():
        pd.testing.assert_frame_equal(table, tables(tmp_path / "b")[name])


def test_without_annotation(tmp_path: Path) -> None:
    fasta = write(tmp_path / "x.fa", made_up(6, 2))
    assert run(tmp_path / "out", fasta)["features"] == 0
    assert tables(tmp_path / "out")["annotation"].empty


@pytest.mark.parametrize(
    ("fasta", "options", "message"),
    [
        (None, {}, r"none\.fa does not exist \(the archive\)"),
        ("", {}, r"x\.fa, line 1: the file is empty"),
        (">a\n" + "Nn" * 250 + "\n", {}, r"x\.fa: the placed sequences hold nothing but N"),
        (">a\nACGT\n", {}, "no stretch without N has 128 bases; lower windows.min_length"),
        (">un1\nACGT\n", {"unplaced_names": "un.*"}, r"all sequences are unplaced: mend genome\.unplaced_names"),
        (">chr1\nACGT\n", {"sequence_names": "Chr(?P<group>.)"}, r"1 sequence names are read by neither .*: chr1;"),
        (">a\n" + "ACGT" * 100 + "\n", {}, r"blocks form 1 groups that share no sequence, three are needed"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, fasta: str | None, options: dict[str, str], message: str) -> None:
    path = tmp_path / "none.fa"
    if fasta is not None:
        path = tmp_path / "x.fa"
        path.write_text(fasta)
    with pytest.raises(InputError, match=message):
        run(tmp_path / "out", path, **options)


def test_a_circle_is_purged_across_its_origin(tmp_path: Path) -> None:
    stem = "data/demo/athaliana_plastid_NC_000932.1"
    seen = set()
    for seed in range(20):
        run(tmp_path / f"{seed}", f"{stem}.fa", f"{stem}.gff3", seed=seed, block_length=4_000)
        regions = tables(tmp_path / f"{seed}")["split"]
        across = regions["start"].iloc[0] + 154_478 - regions["end"].iloc[-1]
        differ = regions["split"].iloc[0] != regions["split"].iloc[-1]
        assert across >= 1_000 if differ else across == 0
        seen.add(differ)
    assert seen == {False, True}


def test_phage(tmp_path: Path) -> None:
    gates = GateLog()
    stem = "data/demo/phix174_NC_001422.1"
    counts = run(tmp_path / "out", f"{stem}.fa", f"{stem}.gff3", gates)
    assert counts["bases_kept"]["train"] > 0.75 * 5_386
    assert counts["purge_gap"] == 67
    assert [(gate.name, gate.passed) for gate in gates.results] == [
        ("train_test_similarity", True),
        ("split_fractions", True),
    ]


def with_copies(path: Path) -> Path:
    """Twelve sequences with one 600-base piece in four kilobases in common: too little to tie two sequences."""
    chance = random.Random(3)
    bases = ["".join(chance.choices("ACGT", k=length)) for length in [600] + 12 * [3_400]]
    return write(path, {f"s{i}": bases[0] + rest for i, rest in enumerate(bases[1:])})


def test_gate_of_similarity(tmp_path: Path) -> None:
    fasta = with_copies(tmp_path / "x.fa")
    with pytest.raises(
        GateError, match=r"gate train_test_similarity: saw \d\d\.\d% of the (val|test) windows .*memory"
    ):
        run(tmp_path / "stop", fasta)
    gates = GateLog({"train_test_similarity": "warn"})
    counts = run(tmp_path / "warn", fasta, gates=gates)
    assert max(counts["windows_with_a_copy_in_train"].values()) > 0.2
    assert [gate.passed for gate in gates.results] == [False, True]
    leakage = pd.read_parquet(tmp_path / "warn" / "leakage.parquet")
    accounting = json.loads((tmp_path / "warn" / "accounting.json").read_text())
    assert accounting["dropped"]["similar_to_train"] == (leakage["end"] - leakage["start"])[leakage["excluded"]].sum()


def test_gate_of_similarity_without_an_audit(tmp_path: Path) -> None:
    fasta = write(tmp_path / "x.fa", made_up(9, 1))
    with pytest.raises(GateError, match=r"gate train_test_similarity: saw no audit of the split"):
        run(tmp_path / "stop", fasta, audit=False, method="sequence")
    gates = GateLog({"train_test_similarity": "warn"})
    counts = run(tmp_path / "warn", fasta, gates=gates, audit=False, method="sequence")
    assert counts["windows_with_a_copy_in_train"] == "not audited"
    warnings = json.loads((tmp_path / "warn" / "summary.json").read_text())["warnings"]
    assert any("nothing is known of leakage" in warning for warning in warnings)
    assert not (tmp_path / "warn" / "leakage.parquet").exists()


def test_gate_of_similarity_stops_before_anything_is_published(tmp_path: Path) -> None:
    settings = ["genome=custom", "genome.name=x", f"genome.fasta={with_copies(tmp_path / 'x.fa')}", "stage=prepare"]
    folders = [f"runs_folder={tmp_path}", "run_name=one", "split.method=sequence"]
    command = [sys.executable, "-m", "workflow.run", *settings, *folders]
    stopped = subprocess.run(command, capture_output=True, text=True)
    assert stopped.returncode == 2
    assert "gate train_test_similarity" in stopped.stderr
    assert not (tmp_path / "one" / "prepare").exists()
    warned = subprocess.run([*command, "gates.train_test_similarity=warn"], capture_output=True, text=True)
    assert warned.returncode == 0, warned.stderr
    assert (tmp_path / "one" / "prepare" / "summary.html").exists()


def test_gate_of_fractions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(1)
    lengths = {"a": 20_000, "b": 300, "c": 300}
    fasta = write(tmp_path / "x.fa", {name: "".join(chance.choices("ACGT", k=n)) for name, n in lengths.items()})
    run(tmp_path / "warn", fasta, method="sequence")
    assert re.search(
        r"WARNING gate split_fractions: saw train 97\.1%, val 1\.5%, test 1\.5% of the bases, "
        r"limit half to twice train 80\.0%, val 10\.0%, test 10\.0%",
        capsys.readouterr().out,
    )
    with pytest.raises(GateError, match="split_fractions"):
        run(tmp_path / "stop", fasta, gates=GateLog({"split_fractions": "stop"}), method="sequence")
    run(tmp_path / "passed", fasta, gates=GateLog({"split_fractions": "stop"}))


def test_case_and_subgenomes_change_nothing(tmp_path: Path) -> None:
    chance = random.Random(5)
    names = [f"Chr{number}{subgenome}{copy}" for number in (1, 2, 3) for subgenome in "XY" for copy in "ab"]
    upper = {name: "".join(chance.choices("ACGT", k=2_000)) for name in names}
    pattern = r"Chr(?P<group>\d)(?P<subgenome>[XY])(?P<haplotype>[ab])"
    for folder, sequences in (("up", upper), ("low", {name: bases.lower() for name, bases in upper.items()})):
        counts = run(
            tmp_path / folder, write(tmp_path / f"{folder}.fa", sequences), sequence_names=pattern, method="sequence"
        )
        assert counts["split_by"] == "sequence, 3 groups"
    one, other = (tables(tmp_path / folder) for folder in ("up", "low"))
    pd.testing.assert_frame_equal(one["split"], other["split"])
    pd.testing.assert_series_equal(one["windows/tiling"]["gc"], other["windows/tiling"]["gc"])
    assert set(other["windows/tiling"]["soft_masked"]) == {1.0}


def test_annotation_of_another_genome(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"phix174.*gff3, line 3: sequence NC_001422\.1 is not in the FASTA; it has NC_00"
    ):
        run(
            tmp_path / "out",
            "data/demo/athaliana_plastid_NC_000932.1.fa",
            "data/demo/phix174_NC_001422.1.gff3",
        )


POLYPLOID = r"Chr(?P<group>[0-9_]+)(?P<haplotype>[A-Z])"


def polyploid(path: Path, groups: int = 5, haplotypes: str = "ABCD") -> dict[str, str]:
    """Homologs that differ in 1 %, with a misnamed one and unplaced scaffolds; written as FASTA."""
    chance = random.Random(8)
    sequences = {}
    for group in range(1, groups + 1):
        base = chance.choices("ACGT", k=6_000)
        for haplotype in haplotypes:
            copy = [chance.choice("ACGT") if chance.random() < 0.007 else letter for letter in base]
            sequences[f"Chr{group}{haplotype}"] = "".join(copy)
    sequences["Chr1E"] = sequences["Chr2A"][::-1].translate(str.maketrans("ACGT", "TGCA"))
    sequences["scaffold1"] = sequences["Chr3B"][1_000:3_000]
    sequences["scaffold2"] = "".join(chance.choices("ACGT", k=500)) + 100 * "N" + "".join(chance.choices("ACGT", k=50))
    write(path, sequences)
    return sequences


def test_a_polyploid(tmp_path: Path) -> None:
    sequences = polyploid(tmp_path / "x.fa")
    options = {"sequence_names": POLYPLOID, "unplaced_names": "scaffold.*", "test": ["3"], "method": "sequence"}
    counts = run(tmp_path / "out", tmp_path / "x.fa", unplaced="join", **options)
    read = tables(tmp_path / "out")
    split = read["split"].set_index("seqid")["split"]
    karyotype = read["sequences"].set_index("seqid")
    assert karyotype.loc["Chr1E", ["own_group", "named_group", "group"]].tolist() == ["1", "1", "2"]
    assert karyotype.loc["scaffold1", ["placed", "group"]].tolist() == [True, "3"]
    assert not karyotype.loc["scaffold2", "placed"]
    assert {name for name, part in split.items() if part == "test"} == {"Chr3A", "Chr3B", "Chr3C", "Chr3D", "scaffold1"}
    assert read["split"].groupby("group")["split"].nunique().max() == 1
    dropped = json.loads((tmp_path / "out" / "accounting.json").read_text())["dropped"]
    assert dropped["unplaced"] == 650
    assert dropped["n_run"] == 0
    windows = read["windows/tiling"]
    assert windows["copies"].between(1, 5).all()
    assert windows["copies"].mean() > 2
    assert (windows["weight"] * windows["copies"]).round(6).eq(1).all()
    assert counts["warnings"] >= 2
    told = (tmp_path / "out" / "summary.html").read_text()
    assert "it moved there" in told
    removed = run(tmp_path / "removed", tmp_path / "x.fa", copies="remove", **options)
    kept = pd.read_parquet(tmp_path / "removed" / "windows" / "tiling.parquet")
    assert len(kept) < len(windows) / 2
    in_json = json.loads((tmp_path / "removed" / "windows.json").read_text())["tiling"]
    assert in_json["dropped"]["removed_copies"] > 0
    assert sum(in_json["windows"].values()) == len(kept)
    assert removed["windows"]["tiling"] == in_json["windows"]
    assert len(sequences) == len(karyotype)


def test_homologs_in_train_and_test_are_refused(tmp_path: Path) -> None:
    polyploid(tmp_path / "x.fa")
    rows = [
        f"Chr{group}{copy},{'train' if copy in 'AB' else 'val' if copy == 'C' else 'test'}"
        for group in range(1, 6)
        for copy in "ABCD"
    ]
    (tmp_path / "split.csv").write_text("seqid,split\n" + "\n".join(rows) + "\n")
    options = {"sequence_names": POLYPLOID, "unplaced_names": "scaffold.*", "method": "table"}
    with pytest.raises(GateError, match=r"saw 100\.0% of the (val|test) windows with a copy in train"):
        run(tmp_path / "out", tmp_path / "x.fa", table=str(tmp_path / "split.csv"), **options)


def test_sets_of_windows(tmp_path: Path) -> None:
    stem = "data/demo/athaliana_plastid_NC_000932.1"
    sets = {kind: WindowSetConfig(kind) for kind in WINDOW_KINDS}
    sets["background"] = WindowSetConfig("background", 200, upstream=0, downstream=0)
    run(tmp_path / "out", f"{stem}.fa", f"{stem}.gff3", sets=sets)
    told = json.loads((tmp_path / "out" / "windows.json").read_text())
    for kind in WINDOW_KINDS:
        table = pd.read_parquet(tmp_path / "out" / "windows" / f"{kind}.parquet")
        assert len(table) == sum(told[kind]["windows"].values()) > 0
        with Genome(tmp_path / "out" / "windows" / f"{kind}.fa") as windows:
            assert list(windows.lengths) == table["sequence_id"].tolist()
    coding = pd.read_parquet(tmp_path / "out" / "windows" / "cds.parquet")
    with Genome(tmp_path / "out" / "windows" / "cds.fa") as windows:
        stops = [windows.fetch(name, n - 3, n).tobytes() for name, n in windows.lengths.items()]
    assert sum(stop in (b"TAA", b"TAG", b"TGA") for stop in stops) > 0.9 * len(coding)


def test_genbank_brings_its_annotation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"GenBank and brings its annotation: leave genome\.annotation out"):
        (tmp_path / "x.gb").write_text("LOCUS       X\n")
        run(tmp_path / "out", tmp_path / "x.gb", "data/demo/phix174_NC_001422.1.gff3")


def test_the_gate_does_not_hang_on_what_is_left_out(tmp_path: Path) -> None:
    fasta = with_copies(tmp_path / "x.fa")
    with pytest.raises(GateError, match=r"gate train_test_similarity: saw \d\d\.\d%"):
        run(tmp_path / "out", fasta, max_containment=1.0)


def test_homologs_in_several_splits_are_refused_however_far_apart(tmp_path: Path) -> None:
    chance = random.Random(1)
    names = [f"Chr{group}{copy}" for group in range(1, 4) for copy in "ABC"]
    fasta = write(tmp_path / "x.fa", {name: "".join(chance.choices("ACGT", k=3_000)) for name in names})
    rows = [f"{name},{split}" for name, split in zip(names, 3 * ["train", "val", "test"], strict=True)]
    (tmp_path / "split.csv").write_text("seqid,split\n" + "\n".join(rows) + "\n")
    options = {"sequence_names": POLYPLOID, "method": "table", "table": str(tmp_path / "split.csv")}
    with pytest.raises(GateError, match=r"saw sequences of homolog group 1 in several splits \(3 groups\)"):
        run(tmp_path / "out", fasta, **options)
