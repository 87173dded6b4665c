from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.stages.conftest import Configure
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.genome.alphabet import reverse_complement
from workflow.genome.fasta import import_fasta
from workflow.stages import experiment as stage
from workflow.stages.context import StageContext
from workflow.stages.scoring import StrandScore

BY_SEQUENCE = ("experiment.sequence_column=promoter", "experiment.value_column=activity")
BY_ID = ("experiment.id_column=window", "experiment.value_column=activity")
Run = Callable[..., tuple[pd.DataFrame, dict[str, object]]]


def dna(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def share_of(letters: str, bases: np.ndarray) -> float:
    return float(np.isin(bases, np.frombuffer(letters.encode(), np.uint8)).sum())


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models without weights: a base costs 1 nat (base) or 2 (adapted), and an A on the strand that is read nothing."""

    def score(
        context: StageContext, sequences: dict[str, np.ndarray], *, both: bool = True, why: str
    ) -> Iterator[StrandScore]:
        for model, cost in (("base", 1.0), ("adapted", 2.0)):
            for name, bases in sequences.items():
                for strand in "+-" if both else "+":
                    read = bases if strand == "+" else reverse_complement(bases)
                    total = -cost * share_of("CGT", read)
                    number = int(share_of("ACGT", read))
                    yield StrandScore(name, model, strand, number, total, 0.0, np.zeros((len(read), 4), np.float32))

    monkeypatch.setattr(stage, "score_strands", score)


@pytest.fixture
def run(configure: Configure, tmp_path: Path) -> Run:
    """Runs the stage on a table; the published table and the counts."""

    def call(table: pd.DataFrame | str, *overrides: str, name: str = "measured.csv") -> tuple[pd.DataFrame, dict]:
        path = tmp_path / name
        if isinstance(table, str):
            path.write_text(table)
        else:
            table.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
        config = configure("train=none", f"experiment.table={path}", *overrides)
        out = tmp_path / "out"
        out.mkdir()
        counts = stage.experiment(StageContext(config, out, tmp_path / "run", GateLog(asdict(config.gates))))
        return pd.read_parquet(out / "experiment.parquet"), counts

    return call


@pytest.mark.usefixtures("scored")
def test_scores_are_means_per_base_of_both_strands(run: Run) -> None:
    table, counts = run("name,promoter,activity\np1,AAAC,1.5\np2,ggNNc,-2\n", *BY_SEQUENCE, "experiment.id_column=null")
    assert table["sequence"].tolist() == ["AAAC", "GGNNC"]
    assert table["row"].tolist() == [2, 3] and table["value"].tolist() == [1.5, -2]
    assert table["id"].isna().all() and table["group"].isna().all()
    assert table["gc"].tolist() == [0.25, 1.0] and table["length"].tolist() == [4, 5]
    assert table["score_forward_base"].tolist() == [-0.25, -1]
    # The reverse complement of AAAC is GTTT.
    assert table["score_base"].tolist() == [-0.625, -1]
    assert table["score_adapted"].tolist() == [-1.25, -2]
    assert counts["rows"] == 2 and counts["bases"] == 9
    assert counts["mean_score_adapted"] == pytest.approx(-1.625)
    assert not any("forward" in key for key in counts)


@pytest.mark.usefixtures("scored")
def test_one_strand(run: Run) -> None:
    table, _ = run("promoter,activity\nAAAC,1\nAAAA,2\n", *BY_SEQUENCE, "experiment.reverse_complement=false")
    assert table["score_base"].tolist() == table["score_forward_base"].tolist() == [-0.25, 0]


@pytest.mark.usefixtures("scored")
def test_what_is_left_out_and_repeated_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    text = "promoter\tactivity\tfamily\nACGT\t1\ta\nacgt\t2\ta\nCCCC\t\tb\n\t4\tb\nNNNN\t5\tc\nGGGG\tNA\tc\n"
    table, counts = run(text, *BY_SEQUENCE, "experiment.group_column=family", name="measured.tsv")
    assert table["row"].tolist() == [2, 3, 6]
    assert table["group"].tolist() == ["a", "a", "c"]
    assert np.isnan(table["score_base"].iloc[2]) and np.isnan(table["gc"].iloc[2])
    assert (counts["rows"], counts["rows_left_out"], counts["rows_with_a_repeated_sequence"]) == (3, 3, 2)
    assert counts["groups"] == 2
    told = capsys.readouterr().out
    assert "3 of 6 rows without a value or sequence left out" in told
    assert "2 rows share their sequence with another row" in told


def write_windows(folder: Path, **sets: dict[str, str]) -> None:
    windows = folder / "run" / "prepare" / "windows"
    windows.mkdir(parents=True)
    for name, sequences in sets.items():
        source = folder / f"{name}.fa"
        source.write_text("".join(f">{window}\n{bases}\n" for window, bases in sequences.items()))
        import_fasta(source, windows / f"{name}.fa")


@pytest.mark.usefixtures("scored")
def test_windows_of_the_run_are_found_by_their_ids(run: Run, tmp_path: Path) -> None:
    write_windows(
        tmp_path, tiling={"c:0-8(+)": "ACGTACGT", "c:8-12(+)": "GGGG"}, genes={"c:2-6(-)": "tACG", "c:8-12(+)": "GGGG"}
    )
    table, _ = run("window,activity\nc:2-6(-),1\nc:0-8(+),2\nc:8-12(+),3\n", *BY_ID)
    assert table["sequence"].tolist() == ["TACG", "ACGTACGT", "GGGG"]
    assert table["id"].tolist() == ["c:2-6(-)", "c:0-8(+)", "c:8-12(+)"]


@pytest.mark.usefixtures("scored")
def test_ids_that_name_no_window_or_two(run: Run, tmp_path: Path) -> None:
    write_windows(tmp_path, tiling={"w1": "ACGT", "w2": "GGGG"}, genes={"w2": "TTTT"})
    with pytest.raises(InputError, match=r"row 3: w9 names no window of the sets genes, tiling .* named like w2"):
        run("window,activity\nw1,1\nw9,2\n", *BY_ID)
    (tmp_path / "out").rmdir()
    with pytest.raises(InputError, match=r"row 2: w2 names different windows in the sets genes, tiling"):
        run("window,activity\nw2,1\n", *BY_ID)


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (
            "a,activity\nACGT,1\n",
            BY_SEQUENCE,
            r"has no column promoter; it has a, activity.*experiment\.sequence_column",
        ),
        ("promoter,b\nACGT,1\n", BY_SEQUENCE, r"has no column activity; it has promoter, b.*experiment\.value_column"),
        ("window,activity\nw,1\n", (*BY_ID, "experiment.group_column=g"), r"no column g;.*experiment\.group_column"),
        ("promoter,activity\nAC,1\nGT,high\n", BY_SEQUENCE, r"row 3, column activity: 'high' is not a finite number"),
        ("promoter,activity\nAC,1\n\nGU,2\n", BY_SEQUENCE, r"row 4: the sequence holds 'U'; only A, C, G, T and N"),
        ("promoter,activity\nA C-G,1\n", BY_SEQUENCE, r"row 2: the sequence holds ' ', '-'"),
        ("promoter,activity\nACGT,\n,2\n", BY_SEQUENCE, r"no row has both promoter and activity"),
        ("promoter,activity\n", BY_SEQUENCE, r"holds no rows below its header"),
        (
            "promoter,activity,g\nA,1,x\nC,2,\n",
            (*BY_SEQUENCE, "experiment.group_column=g"),
            r"row 3, column g: no group",
        ),
    ],
)
def test_faults_name_file_row_and_setting(run: Run, text: str, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(text, *overrides)
    assert "\n" not in str(caught.value) and "measured.csv" in str(caught.value)


def test_a_table_that_does_not_exist(configure: Configure, tmp_path: Path) -> None:
    config = configure("experiment.table=nowhere.csv", *BY_SEQUENCE)
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist \(experiment\.table names it\)"):
        stage.experiment(StageContext(config, tmp_path, tmp_path))


def test_real_models_score_as_the_run_predicts(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    """The tiny model, through the backend: sequences of different lengths, one of them twice."""
    sequences = [dna(130, 1), dna(200, 2), dna(130, 1)]
    path = tmp_path / "measured.csv"
    pd.DataFrame({"promoter": sequences, "activity": [0.5, 1.5, 2.5]}).to_csv(path, index=False)
    config = configure("train=none", f"experiment.table={path}", *BY_SEQUENCE, "gates.mass_outside_acgt=warn")
    tables = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stage.experiment(StageContext(config, tmp_path / name, prepared, GateLog(asdict(config.gates))))
        tables.append(pd.read_parquet(tmp_path / name / "experiment.parquet"))
    table = tables[0]
    pd.testing.assert_frame_equal(*tables)
    assert table["score_base"].between(-3, -1).all()
    assert table["score_base"].iloc[0] == table["score_base"].iloc[2] != table["score_base"].iloc[1]
    assert (table["score_base"] != table["score_forward_base"]).all()
    assert "score_adapted" not in table
