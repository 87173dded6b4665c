from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from evaluation.drawing import style
from evaluation.page.layout import Section
from evaluation.per_base import figures_strata, tables
from evaluation.per_base.analysis import PerBaseResult, analyse
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.section import sections
from workflow.artifacts import PerBaseScores

LABELS = {
    "uniform": "uniform guess",
    "base": "base model",
    "adapted": "adapted model",
    "markov": "Markov order 3",
    "copy": "copy from train",
}


class Even:
    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def analysed(run: Path, **columns: str) -> PerBaseResult:
    """The whole analysis of a run; `columns` change the table of its sequences."""
    folders = sorted((run / "predict").iterdir(), reverse=True)
    predictions = {folder.name: PerBaseScores(folder) for folder in folders if folder.is_dir()}
    sequences = pd.read_parquet(run / "prepare" / "sequences.parquet").assign(**columns)
    return analyse(
        predictions, {"markov": Even(), "copy": Even()}, ClassTrack(run / "prepare"), sequences, 200, 0.95, 1
    )


@pytest.fixture(scope="module")
def result(improved_run: Path) -> PerBaseResult:
    return analysed(improved_run)


@pytest.fixture(scope="module")
def page(result: PerBaseResult) -> dict[str, Section]:
    with style.applied():
        return {section.title: section for section in sections(result, LABELS, {"base": 1e-4, "adapted": 2e-4})}


def test_everything_is_on_the_page(page: dict[str, Section]) -> None:
    assert list(page) == ["Models compared", "By class of base", "Calibration", "All windows"]
    names = [picture.name for section in page.values() for picture in section.pictures]
    assert names == ["classes", "class_distributions", "calibration", "scores"]
    assert [len(section.tables) for section in page.values()] == [3, 1, 1, 1]


def test_every_model_stands_beside_its_baselines(page: dict[str, Section]) -> None:
    models, repeats, differences = page["Models compared"].tables
    assert [row[0] for row in models.rows] == [
        LABELS[name] for name in ("uniform", "base", "adapted", "markov", "copy")
    ]
    assert [row[0] for row in repeats.rows] == [row[0] for row in models.rows]
    assert len(differences.rows) == 5
    assert differences.rows[0][0] == "adapted model over base model"
    assert differences.rows[0][1].startswith("+0.0")
    classes = page["By class of base"].tables[0]
    assert classes.columns[3:7] == ["base model", "adapted model", "Markov order 3", "copy from train"]
    assert {len(row) for row in classes.rows} == {len(classes.columns)}


def test_rows_that_would_repeat_others_are_left_out(page: dict[str, Section]) -> None:
    rows = [(row[0], row[1]) for row in page["By class of base"].tables[0].rows]
    assert ("CDS", "all bases") in rows
    assert ("CDS", "outside repeats") not in rows


def test_a_genome_without_masking_is_told_so(result: PerBaseResult) -> None:
    parts = {name: part for name, part in result.comparison.parts.items() if name == "all bases"}
    unmasked = dataclasses.replace(result, comparison=dataclasses.replace(result.comparison, parts=parts))
    compared = sections(unmasked, LABELS, {})[0]
    assert "No scored base is soft-masked" in compared.remarks[1]
    assert len(compared.tables) == 2


def test_one_model_and_few_windows_can_be_drawn(make_run: object, tmp_path: Path) -> None:
    run = make_run(windows=2, generated=False, trained=False)  # type: ignore[operator]
    result = analysed(run, haplotype="A")
    with style.applied():
        found = sections(result, LABELS, {})
        style.save(found[1].pictures[0].figure, tmp_path / "classes.png")
    assert found[0].tables[2].rows[0][1] == "0.000 [no interval]"


def test_forest_shows_each_stratum_with_its_interval(result: PerBaseResult) -> None:
    difference = result.comparison.difference("adapted", "base")
    assert difference is not None
    figure = figures_strata.forest(result.strata, "class", LABELS, difference.gain)
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["CDS", "codon position 1", "codon position 2", "codon position 3", "intron, rest", "intergenic"]
    shown = result.strata.kind("class")
    drawn = [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 1]
    assert drawn == pytest.approx(shown.loc[shown["repeats"] != "all bases", "gain"].tolist())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "uniform guess",
        *[LABELS[model] for model in result.strata.models],
        "outside repeats",
        "in repeats",
    ]


def test_names_from_the_input_stay_text(result: PerBaseResult, tmp_path: Path) -> None:
    name = "a $very$ long name of a haplotype that no axis has room for"
    table = result.strata.kind("class").assign(kind="haplotype", name=name)
    strata = dataclasses.replace(result.strata, table=table.drop_duplicates("repeats"))
    difference = result.comparison.difference("adapted", "base")
    assert difference is not None
    with style.applied(), mpl.rc_context({"figure.dpi": 50}):
        figure = figures_strata.forest(strata, "haplotype", LABELS, difference.gain)
        style.save(figure, tmp_path / "forest.png")
    assert figure.axes[0].get_yticklabels()[0].get_text().startswith(r"a \$very\$")
    assert len(figure.axes[0].get_yticklabels()[0].get_text()) < 40


def test_reliability_lies_where_the_table_says(result: PerBaseResult) -> None:
    figure = figures_strata.reliability(result.calibration, LABELS)
    curve = result.calibration.curve
    base = curve[(curve["model"] == "base") & (curve["bases"] >= 100)]
    drawn = figure.axes[0].lines[1]
    np.testing.assert_allclose(drawn.get_xdata(), base["confidence"])
    np.testing.assert_allclose(drawn.get_ydata(), base["accuracy"])
    table = tables.calibration_table(result.calibration, LABELS)
    assert [row[0] for row in table.rows] == [LABELS[model] for model in result.scores.models]


def test_ranked_windows(result: PerBaseResult) -> None:
    ranked = tables.ranked_windows(result.scores)
    assert ranked["rank"].tolist() == list(range(1, 25))
    assert ranked["gain"].is_monotonic_decreasing
    np.testing.assert_allclose(ranked["nll_base"] - ranked["nll_adapted"], ranked["gain"])
    shown = tables.windows_table(result.scores, LABELS)
    assert [row[1] for row in shown.rows] == [str(rank) for rank in [*range(1, 11), *range(15, 25)]]
    assert shown.caption.startswith("Both ends of the 24 windows")
