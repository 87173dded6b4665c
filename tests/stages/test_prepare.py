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

from workflow.config import GatesConfig, GenomeConfig, SplitConfig, WindowsConfig
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.prepare import prepare

TABLES = ("contigs", "split", "windows", "annotation")


def run(
    out: Path, fasta: Path | str, annotation: Path | str | None = None, gates: GateLog | None = None, **options
) -> dict[str, object]:
    """Run the stage into `out`; options are those of the split, and `names` and `unplaced`."""
    out.mkdir()
    config = SimpleNamespace(
        genome=GenomeConfig(
            name="x",
            fasta=str(fasta),
            annotation=annotation and str(annotation),
            source="the archive",
            sequence_names=options.pop("names", None),
            unplaced_names=options.pop("unplaced", None),
        ),
        windows=WindowsConfig(length=options.pop("window", 1_000), min_length=options.pop("min_length", 128)),
        seed=options.pop("seed", 42),
        split=SplitConfig(**options),
    )
    return prepare(StageContext(config, out, out.parent, gates or GateLog(asdict(GatesConfig()))))


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
    assert counts["share_of_kmers_also_in_train"]["test"] < 0.005
    read = tables(out)
    with Genome(out / "genome.fa") as genome:
        for window in read["windows"].itertuples():
            bases = genome.fetch(window.seqid, window.start, window.end).tobytes().decode()
            assert window.gc == pytest.approx((bases.count("G") + bases.count("C")) / len(bases))
    assert list(read["windows"]) == ["sequence_id", "seqid", "start", "end", "strand", "split", "gc", "soft_masked"]
    assert list(read["split"]) == ["seqid", "start", "end", "split", "group"]
    assert list(read["contigs"]) == ["seqid", "start", "end"]
    assert read["windows"]["sequence_id"].is_unique
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
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
    options = {"method": method, "purge": purge, "block_length": block_length, "seed": seed, "window": 100}
    patterns = {"names": r"chr(?P<group>\d+)(?P<haplotype>[A-Z])", "unplaced": r"un\d+"}
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
        inside = read["windows"][read["windows"]["split"] == split]
        assert accounting["windows"][split]["bases_in"] == (inside["end"] - inside["start"]).sum()
        assert accounting["windows"][split]["bases_in"] + accounting["windows"][split]["bases_outside"] == kept
    for row in read["windows"].itertuples():
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
        (">un1\nACGT\n", {"unplaced": "un.*"}, r"genome\.unplaced_names=un\.\* leaves no sequence"),
        (">chr1\nACGT\n", {"names": "Chr(?P<group>.)"}, r"1 sequence names are read by neither .*: chr1;"),
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
    with pytest.raises(GateError, match=r"gate train_test_similarity: saw 1\d\.\d% of the (val|test) k-mers .*memory"):
        run(tmp_path / "stop", fasta)
    gates = GateLog({"train_test_similarity": "warn"})
    counts = run(tmp_path / "warn", fasta, gates=gates)
    assert max(counts["share_of_kmers_also_in_train"].values()) > 0.1
    assert [gate.passed for gate in gates.results] == [False, True]
    assert (tmp_path / "warn" / "split.parquet").exists()


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
    assert (tmp_path / "one" / "prepare" / "split.parquet").exists()


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
        counts = run(tmp_path / folder, write(tmp_path / f"{folder}.fa", sequences), names=pattern, method="sequence")
        assert counts["split_by"] == "sequence, 3 groups"
    one, other = (tables(tmp_path / folder) for folder in ("up", "low"))
    pd.testing.assert_frame_equal(one["split"], other["split"])
    pd.testing.assert_series_equal(one["windows"]["gc"], other["windows"]["gc"])
    assert set(other["windows"]["soft_masked"]) == {1.0}


def test_annotation_of_another_genome(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"phix174.*gff3, line 3: sequence NC_001422\.1 is not in the FASTA; it has NC_00"
    ):
        run(
            tmp_path / "out",
            "data/demo/athaliana_plastid_NC_000932.1.fa",
            "data/demo/phix174_NC_001422.1.gff3",
        )
