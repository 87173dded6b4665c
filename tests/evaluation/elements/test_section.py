from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from evaluation.baselines.markov import MarkovModel
from evaluation.drawing import style
from evaluation.elements.contrasts import Elements, analyse
from evaluation.elements.section import metrics, remarks, section
from evaluation.page.layout import Section
from tests.evaluation.elements.conftest import Publish
from workflow.artifacts import write_json

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 3"}


def shown(elements: Elements) -> Section:
    with style.applied():
        return section(elements, LABELS)


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Tick labels of an axis, and titles of neighbours, that lie over each other."""
    figure.draw_without_rendering()
    groups = [[axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]]  # type: ignore[attr-defined]
    for axes in figure.axes:
        groups += [axes.get_xticklabels(), axes.get_yticklabels()]
    found = []
    for group in groups:
        boxes = [
            (text.get_text(), text.get_window_extent()) for text in group if text.get_text() and text.get_visible()
        ]
        for number, (text, box) in enumerate(boxes):
            found += [(text, other) for other, beside in boxes[number + 1 :] if box.overlaps(beside)]
    return found


def test_the_section_shows_what_was_planted_beside_its_baselines(publish: Publish, markov: MarkovModel) -> None:
    elements = analyse(publish(60, {"base": 0.0, "adapted": 0.2}, region=150), markov, 200, 0.95, 1)
    page = shown(elements)
    names = ["auroc", "scores", "matching", "mutants", "mutants_close"]
    assert [picture.name for picture in page.pictures] == [f"elements_{name}" for name in names]
    assert page.remarks[0].startswith("Adapted, elements against matched background: AUROC 0.")
    assert page.remarks[0].endswith("better than Markov order 3, k-mers, logistic regression and GC share alone.")
    rows = {row[0]: row[1:] for row in page.tables[0].rows}
    assert list(rows)[:5] == ["adapted", "base", "Markov order 3", "k-mers, logistic regression", "GC share alone"]
    assert {"adapted − base", "adapted − Markov order 3", "base − k-mers, logistic regression"} < set(rows)
    assert all(len(row) == 3 for row in page.tables[0].rows)
    assert [row[0] for row in page.tables[1].rows] == ["adapted", "base", "Markov order 3"]
    assert len(page.tables[2].rows) == 10
    strongest = max(np.nanmax(np.abs(elements.region.deltas["adapted"])), 0) if elements.region else 0
    assert page.tables[2].rows[0][2] == f"−{strongest:.3f}"
    for picture in page.pictures:
        assert not overlaps(picture.figure), picture.name


def test_nothing_is_claimed_where_there_is_nothing(publish: Publish, markov: MarkovModel) -> None:
    said = remarks(analyse(publish(40, {"base": 0.0}), markov, 200, 0.95, 1), LABELS)
    assert said[0].endswith("which does not show that it tells them apart.")


def test_elements_that_a_model_finds_less_likely_are_told_so(publish: Publish, markov: MarkovModel) -> None:
    said = remarks(analyse(publish(40, {"base": -0.2}), markov, 200, 0.95, 1), LABELS)
    assert said[0].endswith("elements are less likely.")


def test_a_model_that_its_baselines_equal_is_not_praised(publish: Publish, markov: MarkovModel) -> None:
    folder = publish(40, {"base": 0.2})
    table = pd.read_parquet(folder / "elements.parquet")
    table.assign(gc=table["score_base"]).to_parquet(folder / "elements.parquet")
    said = remarks(analyse(folder, markov, 200, 0.95, 1), LABELS)
    assert said[0].endswith("elements are more likely; not shown to be better than GC share alone.")


@pytest.mark.parametrize(("elements", "longest"), [(1, 40), (3, 60)])
def test_few_elements_are_shown_without_claims(
    publish: Publish, markov: MarkovModel, elements: int, longest: int
) -> None:
    page = shown(analyse(publish(elements, {"base": 0.0}, longest=longest), markov, 200, 0.95, 1))
    assert "There are too few elements to train the k-mer baseline." in page.remarks
    assert any(f"There are {elements} independent famil" in remark for remark in page.remarks)
    if elements == 1:
        assert [row[1] for row in page.tables[0].rows] == ["–"] * 5
    for picture in page.pictures:
        assert not overlaps(picture.figure), picture.name


def test_many_elements_of_any_length_are_drawn_without_overlap(publish: Publish, markov: MarkovModel) -> None:
    few = analyse(publish(30, {"base": 0.01}), markov, 50, 0.95, 1)
    copies = [few.table.assign(pair=few.table["pair"] + 30 * number) for number in range(400)]
    many = replace(few, table=pd.concat(copies, ignore_index=True), elements=12_000)
    many.table["length"] = np.geomspace(50, 30_000, len(many.table)).astype(int)
    page = shown(many)
    assert not [name for picture in page.pictures for name in overlaps(picture.figure)]
    assert page.pictures[1].figure.axes[0].get_xticklabels()[0].get_text().endswith("n = 12,000")


def test_metrics_can_be_written(
    publish: Publish, markov: MarkovModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elements = analyse(publish(8, {"base": 0.0, "adapted": 0.1}, region=20), markov, 50, 0.95, 1)
    found = metrics(elements)
    write_json(tmp_path_factory.mktemp("out") / "metrics.json", found)
    background = found["contrasts"]["background"]
    assert (
        background["auroc"]["adapted"]["estimate"] == elements.contrasts["background"].areas.auroc["adapted"].estimate
    )
    assert {"adapted_minus_base", "adapted_minus_markov", "base_minus_markov"} <= set(background["auroc_differences"])
    assert found["region"]["mutated_bases"] == 20 and found["matching"]["gc"]["worst_difference"] > 0
