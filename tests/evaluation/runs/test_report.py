from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evaluation.runs.report import main_for_runs
from workflow.artifacts import InputError, run_lock

Make = Callable[..., Path]
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Filled by the first test that needs it: building is most of the time."""
    return []


@pytest.fixture
def runs(named_run: Make, predictors: dict[str, Callable[..., object]], planted: list[Path]) -> list[Path]:
    """Two runs of one checkpoint, whose adapted models have an NLL of 0.92 and of 0 nats per base; a gate has fired."""
    if not planted:
        gates = ({"name": "loud", "passed": False, "saw": HOSTILE, "limit": "2", "why": "Because."},)
        half, better = (predictors["confident"], predictors["certain"])
        changes = {"train": {"counts__bases_seen": 10_000_000}}
        planted += [
            named_run("small", base=predictors["uniform"], adapted=half, gates=gates),
            named_run(f"large{HOSTILE}", changes, base=predictors["uniform"], adapted=better),
        ]
    return planted


def test_several_runs_become_one_page_which_is_always_the_same(runs: list[Path], tmp_path: Path) -> None:
    page = main_for_runs(runs, tmp_path / "out")
    assert page == tmp_path / "out" / "comparison.html"
    assert main_for_runs(runs, tmp_path / "again").read_bytes() == page.read_bytes()
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    nll = {row["label"]: row["nll_all"] for row in found["models"]}
    assert nll[f"large{HOSTILE}"] == pytest.approx(1e-4, abs=1e-5)
    assert nll["small"] == pytest.approx(0.916, abs=1e-3)
    assert nll["tiny, as published"] == pytest.approx(1.386, abs=1e-3)
    assert nll["uniform guess"] == pytest.approx(1.3863, abs=1e-4)
    assert sum(label.startswith(("Markov model", "copy")) for label in nll) == 2
    assert [pair["model"] for pair in found["pairs"]] == [f"large{HOSTILE}", f"large{HOSTILE}", "small"]
    assert found["verdict"]["outcome"] == "better"
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "out" / "tables").glob("*.csv")}
    assert set(tables) == {"models", "pairs", "training"}
    assert tables["training"]["bases_seen"].tolist() == [819_200, 10_000_000]
    figures = {path.stem for path in (tmp_path / "out" / "figures").glob("*.png")}
    assert figures == {"leaderboard", "pairs", "training_effect", "learning_curves", "distributions"}
    text = page.read_text()
    assert HOSTILE not in text
    assert text.count("<script>") == 1
    places = [
        text.index(words) for words in ("nats per base more than the next best", "<b>loud</b>", "Leaderboard</h2>")
    ]
    assert places == sorted(places)
    assert f"({runs[0].name}, predict)" in text


def test_a_folder_is_needed_and_never_overwritten(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name it with --out"):
        main_for_runs(runs, None)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds other files than a comparison"):
        main_for_runs(runs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_runs_at_work_are_left_alone(runs: list[Path], tmp_path: Path) -> None:
    with run_lock(runs[1]), pytest.raises(InputError, match="another process works on"):
        main_for_runs(runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()
