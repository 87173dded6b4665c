from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.classification import write
from evaluation.classification.__main__ import main
from evaluation.classification.analysis import analyse
from evaluation.classification.section import report_section, sections
from evaluation.classification.verdict import judge
from evaluation.drawing import style
from workflow.artifacts import read_json, write_json

Make = Callable[..., Path]
HOSTILE = "<script>alert(1)</script>"
SKILLS = {"kmer": 0.8, "lora": 1.5}


@pytest.fixture
def folder(make: Make) -> Path:
    return make(
        rows=80,
        sizes=(2, 3),
        skills=SKILLS,
        titles={"kmer": "k-mer counts", "lora": HOSTILE},
        names=lambda level, k: f"{HOSTILE} ${level}.{k}",
        missing=0.05,
        unseen=2,
        leaks=3,
    )


def test_page_and_tables(folder: Path) -> None:
    outcome = write(folder, samples=200, confidence=0.9, seed=1)
    page = (folder / "report.html").read_text()
    assert HOSTILE not in page
    assert escape(HOSTILE) in page
    assert outcome.headline["best_method"] == "lora"
    assert outcome.headline["leaked_test_sequences"] == 3
    assert [check["subject"] for check in outcome.checks] == ["classify: lora"]
    metrics = read_json(folder / "metrics.json")
    assert metrics["verdict"]["headline"] == outcome.headline["verdict"]

    method = folder / "methods" / "lora"
    told = pd.read_csv(method / "level 1_predictions.csv", keep_default_na=False, na_values=[""])
    given = pd.read_parquet(method / "test.parquet")
    assert told.columns.tolist() == ["id", "Predicted_Label", "Actual_Label", "Reciprocal_Rank"]
    assert told["Predicted_Label"].tolist() == given["predicted.level 1"].tolist()
    assert told["Actual_Label"].isna().equals(given["true.level 1"].isna())
    assert (told.loc[told["Actual_Label"] == "never seen", "Reciprocal_Rank"] == 0).all()
    right = told["Actual_Label"] == told["Predicted_Label"]
    assert (told.loc[right, "Reciprocal_Rank"] == 1).all()
    probabilities = pd.read_csv(method / "level 1_probabilities.csv")
    stored = np.load(method / "probabilities.level 1.npy")
    assert probabilities.iloc[:, 1:].to_numpy() == pytest.approx(stored, rel=1e-4)
    by_class = pd.read_csv(method / "class_metrics.csv")
    assert by_class.columns.tolist() == ["Rank", "Class", "Precision", "Recall", "F1-score", "Support"]
    assert by_class.groupby("Rank")["Support"].sum().to_dict() == {
        level: int(given[f"true.{level}"].notna().sum()) for level in ("level 0", "level 1")
    }
    summary = pd.read_csv(method / "test_metrics_summary.csv").set_index(["Rank", "Metric"])["Value"]
    known = told["Actual_Label"].notna()
    assert summary["level 1", "accuracy"] == pytest.approx(right[known].mean())
    in_truth = by_class[(by_class["Rank"] == "level 1") & (by_class["Support"] > 0)]
    assert summary["level 1", "f1_macro"] == pytest.approx(in_truth["F1-score"].mean())
    above, below = (given[f"predicted.level {level}"].str[-1].astype(int) for level in (0, 1))
    known_paths = given[["true.level 0", "true.level 1"]].notna().any(axis=1)
    clash = (np.array([0, 0, 1])[below] != above)[known_paths]
    assert summary["path", "contradictory"] == pytest.approx(clash.mean())
    history = pd.read_csv(method / "training_history.csv")
    assert history.columns.tolist() == ["epoch", "step", "train_loss", "val_loss"]
    assert not (folder / "methods" / "kmer" / "training_history.csv").exists()
    comparison = pd.read_csv(folder / "comparison.csv").set_index(["level", "method", "metric"])
    gain = comparison.loc[("level 1", "lora", "mcc"), "over_kmer_estimate"]
    difference = comparison["estimate"]["level 1", "lora", "mcc"] - comparison["estimate"]["level 1", "kmer", "mcc"]
    assert gain == pytest.approx(difference)

    # Again from the files, with the settings of the stage: the same page.
    manifest = {"config": {"evaluation": {"bootstrap_samples": 200, "confidence": 0.9}, "seed": 1}, "outputs": []}
    write_json(folder / "manifest.json", manifest)
    assert main([str(folder)]) == 0
    assert (folder / "report.html").read_text() == page
    again = read_json(folder / "manifest.json")
    paths = [output["path"] for output in again["outputs"]]
    assert "report.html" in paths
    assert "manifest.json" not in paths
    assert again["gates"] == outcome.checks


def test_a_folder_that_is_no_stage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings",
    [
        {"rows": 100, "sizes": (62,), "skills": {"kmer": 1.0}},
        {"rows": 60, "task": "regression", "skills": SKILLS},
        {"rows": 12, "task": "per_base", "sizes": (3,), "skills": SKILLS, "missing": 0.2},
        {"rows": 1, "probabilities": False, "skills": {"kmer": 1.0}},
        {"rows": 4, "missing": 1.0, "skills": SKILLS},
    ],
    ids=["many classes", "numbers", "bases", "one row and method", "no label at all"],
)
def test_every_kind_of_result_has_its_sections(make: Make, settings: dict[str, object]) -> None:
    analysis = analyse(make(**settings), 60, 0.95, 1)
    with style.applied():
        parts, of_run = sections(analysis), report_section(analysis)
    assert of_run.links == [("The whole comparison, class by class", "../classify/report.html")]
    assert of_run.remarks[0] == judge(analysis).headline
    titles = [part.title for part in parts]
    assert titles[0] == "Comparison of methods"
    assert titles[-1] == "The data"
    names = [picture.name for part in parts for picture in part.pictures]
    assert len(names) == len(set(names))
    for part in parts:
        for picture in part.pictures:
            picture.figure.draw_without_rendering()
            assert picture.figure.get_figwidth() < 7.2
