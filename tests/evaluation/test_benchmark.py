from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evaluation import benchmark


@pytest.fixture
def run(make_run: Callable[..., Path], predictors: dict[str, object]) -> Path:
    return make_run(adapted=predictors["confident"], seqid="chr1", windows=12, generated=False)


def test_from_a_run_to_the_results_of_two_models(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "toy-1.2"
    assert benchmark.main(["pack", str(run), str(folder), "--name", "toy test", "--version", "1.2"]) == 0
    assert "(markov)" in capsys.readouterr().out
    assert benchmark.main(["score", str(folder), str(run / "predict" / "base")]) == 0
    assert benchmark.main(["score", str(folder), str(run / "predict" / "adapted"), "--model", "ours"]) == 0
    capsys.readouterr()
    assert benchmark.main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].startswith("ours")
    results = pd.read_csv(folder / "results.csv").set_index("model")
    assert results.loc["ours", "nll_all"] == pytest.approx(0.9163, abs=1e-3)
    assert results.loc["base", "nll_all"] == pytest.approx(1.3863, abs=1e-3)


def test_faults_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["show", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    (tmp_path / "notes.txt").write_text("mine")
    assert benchmark.main(["pack", str(run), str(tmp_path)]) == 2
    assert "holds files: name a new folder" in capsys.readouterr().err


def test_a_benchmark_is_never_replaced(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "benchmark.json").write_text("{}")
    assert benchmark.main(["pack", str(run), str(tmp_path)]) == 2
    assert "is a benchmark already" in capsys.readouterr().err


def test_no_torch_is_needed() -> None:
    code = "import sys, evaluation.benchmark, evaluation.runs.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
