"""The command `python -m workflow.runs`."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.registry.conftest import config_of, make_run, make_study, runs  # noqa: F401 - a fixture
from workflow import runs as command
from workflow.artifacts import run_lock, write_json
from workflow.registry.listing import KEYS
from workflow.registry.records import refresh


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def output(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What the command prints, when it succeeds."""
    assert command.main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that the command refuses with."""
    assert command.main([str(word) for word in words]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and not told.out
    return told.err


def listed(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(output(capsys, "list", "--folder", folder, "--json", *words))
    return rows


def test_a_line_for_each_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    make_run(runs, "second", config_of("maize"), day=2)
    make_run(runs, "first")
    header, first, second, *legend = output(capsys, "list", "--folder", runs).splitlines()
    assert header.split()[:4] == ["run", "state", "stage", "genome"]
    assert first.startswith("first ") and second.startswith("second ")
    assert "1.330 → 1.300" in first and "+0.050 [+0.040, +0.060]" in first
    assert "2026-05-01T10:01Z" in first and "2026-05-02T10:01Z" in second
    assert "cannot be compared" in legend[-1]


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 133, 200])
def test_no_line_is_wider_than_the_terminal(
    runs: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    make_run(runs, "a-name-that-is-much-longer-than-names-should-be-" + "x" * 40)
    make_run(runs, "b")
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (("list",), ("compare", "b", "a-name-that-is-much-longer-than-names-should-be-" + "x" * 40)):
        lines = output(capsys, *words, "--folder", runs).splitlines()
        # A path is not broken, so that it can be copied.
        assert max(len(line) for line in lines if str(runs) not in line) <= columns


def test_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no runs in" in output(capsys, "list", "--folder", tmp_path)
    assert "python -m workflow.run makes one" in output(capsys, "list", "--folder", tmp_path / "none")


def test_what_is_no_run_is_not_listed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    (runs / "tracking" / "mlflow").mkdir(parents=True)
    (runs / "planned").mkdir()
    (runs / "planned" / "commands.sh").write_text("true")
    (runs / "notes.txt").write_text("x")
    make_run(runs, "a")
    assert [row["run"] for row in listed(capsys, runs)] == ["a"]


def test_a_broken_run_breaks_no_list(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    make_run(runs, "good")
    broken = make_run(runs, "broken")
    (broken / "train" / "manifest.json").write_text('{"a":\n')
    told = output(capsys, "list", "--folder", runs)
    assert "good" in told and "damaged" in told
    assert f"broken: {broken}/train/manifest.json, line 2: not valid JSON" in " ".join(told.split())
    assert {row["run"]: row["state"] for row in listed(capsys, runs)} == {"good": "done", "broken": "damaged"}


def test_sorting_and_filters(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    for name, genome, gain in (("a", "rice", 0.2), ("b", "maize", 0.1), ("c", "rice-2", 0.3)):
        make_run(runs, name, config_of(genome), gain=gain)
    make_run(runs, "d", stages=("prepare",))
    assert [row["run"] for row in listed(capsys, runs, "--sort", "gain")] == ["b", "a", "c", "d"]
    assert [row["run"] for row in listed(capsys, runs, "--sort", "gain", "--reverse")] == ["c", "a", "b", "d"]
    assert {row["run"] for row in listed(capsys, runs, "--filter", "genome=rice")} == {"a", "d"}
    assert {row["run"] for row in listed(capsys, runs, "--filter", "genome~RICE")} == {"a", "c", "d"}
    both = listed(capsys, runs, "--filter", "genome~rice", "--filter", "stage=evaluate")
    assert {row["run"] for row in both} == {"a", "c"}
    assert {row["run"] for row in listed(capsys, runs, "--filter", "gain=0.10")} == {"b"}
    assert output(capsys, "list", "--folder", runs, "--filter", "genome=wheat") == "no run fits the filters\n"


def test_csv_holds_every_key(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    make_run(runs, "a")
    (row,) = csv.DictReader(io.StringIO(output(capsys, "list", "--folder", runs, "--csv")))
    assert tuple(row) == KEYS
    assert (row["run"], row["size"], float(row["gain"])) == ("a", "5000", 0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sort", "gian"), "--sort: a run has no gian; did you mean gain"),
        (("--filter", "genom=rice"), "--filter: a run has no genom; did you mean genome?"),
        (("--filter", "rice"), "--filter rice is no condition: give KEY=VALUE, or KEY~PART"),
    ],
)
def test_errors_of_use(runs: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:  # noqa: F811
    make_run(runs, "a")
    assert message in refused(capsys, "list", "--folder", runs, *words)


def test_trials_are_one_line_unless_asked_for(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    study = make_study(runs, [("complete", 1.0), ("complete", 2.0), ("failed", 3.0)])
    told = {"stage": "train", "kind": "gate", "gate": "g", "message": "m", "time": "2026-06-01T00:00:00+00:00"}
    write_json(study / "trials" / "0002" / "failed.json", told)
    make_run(study, "final", stages=("train",))
    make_run(study / "repeats", "seed-1", stages=("train",))
    rows = listed(capsys, runs)
    assert {row["run"]: (row["state"], row["role"]) for row in rows} == {
        "search (3 trials)": ("2 done, 1 failed", "study"),
        "search/repeats/seed-1": ("done", "repeat"),
        "search/final": ("done", "final"),
    }
    (folded,) = (row for row in rows if row["role"] == "study")
    assert (folded["size"], folded["best_validation_loss"], folded["genome"]) == (3000, None, "rice")
    trials = listed(capsys, runs, "--trials", "--filter", "role=trial")
    assert [row["run"] for row in trials] == [f"search/trials/000{number}" for number in range(3)]


def test_a_run_that_a_process_works_on(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run = make_run(runs, "a", stages=("prepare",))
    with run_lock(run), run_lock(runs / "new"):
        assert {row["run"]: row["state"] for row in listed(capsys, runs)} == {"a": "running", "new": "running"}
    assert {row["run"]: row["state"] for row in listed(capsys, runs)} == {"a": "done"}


def test_show_tells_everything(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run = make_run(runs, "a")
    (run / "train.superseded-1").mkdir()
    (run / "train.superseded-1" / "weights").write_bytes(bytes(2048))
    (run / "predict" / "logs").mkdir()
    (run / "predict" / "logs" / "predict_evo2.log").write_text("x")
    failure = {
        "stage": "infer",
        "kind": "tool",
        "gate": None,
        "message": "infer_evo2 failed",
        "time": "2026-06-01T00:00:00Z",
    }
    write_json(run / "failed.json", failure)
    told = output(capsys, "show", "a", "--folder", runs)
    for part in (
        "state     failed",
        "+0.050 [+0.040, +0.060] nats per base",
        "markov 1.3100, base 1.3000, adapted 1.2500 nats per base; 1,000 bases",
        "1.3300 before the training, 1.3000 at its best",
        "+0.010 [+0.000, +0.020] nats per base on phage",
        "prepare: split_fractions",
        "infer_evo2 failed",
        "train.superseded-1  2.0 KiB",
        "predict/logs/predict_evo2.log",
        "evaluate/metrics.json",
    ):
        assert part in told
    assert output(capsys, "show", run) == told


def test_a_run_that_is_not_there(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    make_run(runs, "rice-lora")
    make_study(runs, [("complete", 1.0)])
    assert "did you mean rice-lora?" in refused(capsys, "show", "rice-lra", "--folder", runs)
    assert "python -m workflow.runs list shows those" in refused(capsys, "show", "zzz", "--folder", runs)
    assert "is a study: its runs are" in refused(capsys, "show", "search", "--folder", runs)


def test_compare_settings_and_numbers(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    make_run(runs, "a")
    make_run(runs, "b", config_of(rate=0.5, extra={"new": 1}), gain=0.07)
    told = output(capsys, "compare", "a", "b", "--folder", runs)
    assert "All were scored on the same windows of the same genome" in told
    assert "train.learning_rate  0.001  0.5" in told and "lora.rank" not in told
    assert "+0.050 [+0.040, +0.060]  +0.070 [+0.060, +0.080]" in told
    assert "1 settings are not known of all of them, and not compared (extra)" in told


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (config_of("maize"), "(A against B: another genome, or other splits of it)"),
        (config_of(seed=7), "(A against B: another genome, or other splits of it)"),
        (config_of(predict={"windows": "genes", "split": "test"}), "(A against B: other windows of the same genome)"),
    ],
)
def test_numbers_of_different_test_sets(
    runs: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    other: dict[str, object],
    message: str,
) -> None:
    make_run(runs, "a")
    make_run(runs, "b", other)
    told = output(capsys, "compare", "a", "b", "--folder", runs)
    assert told.index("WARNING scored on different test sets " + message) < told.index("test NLL")


def test_a_run_that_scored_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    make_run(runs, "a")
    make_run(runs, "b", stages=("prepare",))
    assert "WARNING B has scored no test windows" in output(capsys, "compare", "a", "b", "--folder", runs)
    assert "1 runs cannot be compared: give 2 to 26 of them" in refused(capsys, "compare", "a", "--folder", runs)


def test_prune_is_dry_unless_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run = make_run(runs, "a")
    assert output(capsys, "prune", "--folder", runs) == "nothing to remove\n"
    (run / "train.superseded-1").mkdir()
    (run / "train.superseded-1" / "weights").write_bytes(bytes(2048))
    told = output(capsys, "prune", "--folder", runs)
    assert "a/train.superseded-1  2.0 KiB" in told
    assert "2.0 KiB could be removed; nothing was touched: --yes removes it" in told
    assert (run / "train.superseded-1").exists()
    assert output(capsys, "prune", "--folder", runs, "--yes").endswith("removed 2.0 KiB\n")
    assert not (run / "train.superseded-1").exists()
    assert "--keep -1 must not be negative" in refused(capsys, "prune", "--folder", runs, "--keep", "-1")


def test_a_run_that_is_worked_on_is_told_of(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run = make_run(runs, "a")
    (run / "train.superseded-1").mkdir()
    with run_lock(run):
        told = output(capsys, "prune", "--folder", runs, "--yes")
    assert f"left alone, as a process works on it: {run}" in told and (run / "train.superseded-1").exists()


def test_as_a_program(runs: Path) -> None:  # noqa: F811
    """In a pipe nothing is cut off."""
    name = "a-long-name-" + "x" * 100
    refresh(make_run(runs, name))
    words = [sys.executable, "-m", "workflow.runs", "list", "--folder", str(runs)]
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    assert name in done.stdout and not done.stderr
