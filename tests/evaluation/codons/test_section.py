from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.codons import section
from evaluation.codons.clustering import Representation, cluster
from evaluation.drawing import style
from evaluation.page.text import MISSING
from evaluation.per_base.genetic_code import CODONS
from tests.evaluation.codons.test_choices import choosing, measured

LABELS = {
    "uniform": "uniform guess",
    "base": "base",
    "adapted": "a $very$ long name of an adapted model",
    "markov": "M",
}
WINDOWS = ["GCTAAACTAATG" for _ in range(8)]


def said(text: str) -> np.ndarray:
    return choosing(text * len(WINDOWS))


def test_choices_on_the_page(tmp_path: Path) -> None:
    models = {"base": said("GCAAACCTAATG"), "adapted": said("GCTAAATTAATG"), "markov": said("CCCCCCCCCCCC")}
    found = measured(WINDOWS, models)
    with style.applied():
        part = section.section(found, LABELS)
        style.save(part.pictures[0].figure, tmp_path / "choices.png")
    choices, differences = part.tables
    rows = {row[0]: row for row in choices.rows}
    assert rows["base"][1] == "32"
    assert rows["base"][3:6] == ["50.0 %", "50.0 % [50.0, 50.0]", "66.7 %"]
    # The adapted model errs in one codon of four, a synonymous one, in its first base.
    assert rows[LABELS["adapted"]][3:7] == ["0.0 %", MISSING, MISSING, "25.0 %"]
    assert [row[0] for row in differences.rows] == [
        f"{LABELS['adapted']} − base",
        f"{LABELS['adapted']} − M",
        "base − M",
    ]
    assert "translation table 1" in part.remarks[0] and len(part.remarks) == 1
    assert set(section.tables(found, None)) == {"codon_choices", "codon_choice_differences"}
    assert section.metrics(found, None)["clusters"] is None


def test_models_without_errors_and_without_codons(tmp_path: Path) -> None:
    with style.applied():
        part = section.section(measured(WINDOWS, {"base": said("GCTAAACTAATG")}), LABELS)
        style.save(part.pictures[0].figure, tmp_path / "none.png")
    assert part.tables[0].rows[1][-1].startswith("0.000") and part.tables[1].rows == []
    empty = section.section(measured(["GC"], {"base": choosing("GC")}), LABELS)
    assert empty.remarks == ["No complete codon was read in the direction of its gene."] and not empty.tables


@pytest.mark.parametrize("known", [64, 2])
def test_clusters_on_the_page(tmp_path: Path, known: int) -> None:
    states = np.full((64, 5), np.nan)
    states[:known] = np.random.default_rng(0).normal(size=(known, 5))
    counts = pd.DataFrame({"codon": CODONS, "n": 3})
    found = cluster([Representation("adapted", "blocks.4", "mean", np.arange(64), states)], counts, 11, 0)
    with style.applied():
        part = section.clustering_section(found, LABELS)
        for picture in part.pictures:
            style.save(picture.figure, tmp_path / "plane.png")
    assert part.tables[0].rows[0][:4] == [LABELS["adapted"], "blocks.4", "mean", str(min(known, 61))]
    assert (part.tables[0].rows[0][4] == MISSING) == (known == 2)
    assert "192 codons" in part.remarks[0]
    assert section.tables(measured(WINDOWS, {"base": said("GCTAAACTAATG")}), found).keys() >= {"codon_clusters"}
