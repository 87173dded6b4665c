from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evaluation.baselines.markov import MarkovModel
from evaluation.elements.contrasts import analyse
from tests.evaluation.elements.conftest import Publish
from workflow.artifacts import InputError


def test_what_was_planted_is_found_and_nothing_else(publish: Publish, markov: MarkovModel) -> None:
    found = analyse(publish(100, {"base": 0.0, "adapted": 0.1}, shuffles=2, seed=3), markov, 500, 0.95, 1)
    assert found.models == ["adapted", "base", "markov"] and found.main_model == "adapted"
    assert (found.elements, found.families, found.region) == (100, 100, None)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    claimed = 0
    for control, number in (("background", 100), ("shuffled", 200)):
        contrast = found.contrasts[control]
        areas = contrast.areas.auroc
        assert contrast.controls == number
        assert list(areas) == ["adapted", "base", "markov", "kmer", "gc"]
        assert areas["adapted"].low <= truth <= areas["adapted"].high
        assert areas["adapted"].low > 0.6 and contrast.areas.differences["adapted", "base"].sign == 1
        claimed += sum(not areas[name].low <= 0.5 <= areas[name].high for name in ("base", "markov", "kmer", "gc"))
        assert contrast.differences["adapted"].low <= 0.1 <= contrast.differences["adapted"].high
        assert contrast.differences["base"].sign == 0
    # Of eight intervals at 95 %, some of them of the same elements, one may miss by chance.
    assert claimed <= 1


def test_scores_of_the_baselines_are_kept_in_the_table(publish: Publish, markov: MarkovModel) -> None:
    table = analyse(publish(12, {"base": 0.0}), markov, 100, 0.95, 1).table
    assert table["score_markov"][5] == pytest.approx(markov.strand_average(table["sequence"][5]))
    is_control = table["set"] == "background"
    assert table["score_kmer_background"].notna().equals(is_control | (table["set"] == "element"))


def test_the_score_of_an_element_is_set_against_the_mean_of_its_own_copies(
    publish: Publish, markov: MarkovModel
) -> None:
    folder = publish(2, {"base": 0.0}, shuffles=2)
    table = pd.read_parquet(folder / "elements.parquet")
    table["score_base"] = [1.0, 5.0, 0.0, 0.0, 0.5, 3.0, 0.1, 1.0]
    table.to_parquet(folder / "elements.parquet")
    found = analyse(folder, markov, 100, 0.95, 1)
    assert found.contrasts["background"].differences["base"].estimate == pytest.approx(3.0)
    assert found.contrasts["shuffled"].differences["base"].estimate == pytest.approx((0.7 + 3.0) / 2)
    assert "kmer" not in found.contrasts["background"].areas.auroc


def test_near_copies_are_one_observation(publish: Publish, markov: MarkovModel) -> None:
    folder = publish(30, {"base": 0.05}, longest=200)
    alone = analyse(folder, markov, 500, 0.95, 1)
    table = pd.read_parquet(folder / "elements.parquet")
    for column in ("sequence", "score_base"):
        table.loc[:29, column] = [table[column][row // 10] for row in range(30)]
    table.to_parquet(folder / "elements.parquet")
    copied = analyse(folder, markov, 500, 0.95, 1)
    assert (alone.families, copied.families) == (30, 3)
    widths = [
        found.contrasts["background"].areas.auroc["base"].high - found.contrasts["background"].areas.auroc["base"].low
        for found in (alone, copied)
    ]
    assert widths[1] > widths[0]


def test_how_well_the_background_matches(publish: Publish, markov: MarkovModel) -> None:
    found = analyse(publish(10, {"base": 0.0}), markov, 100, 0.95, 1)
    gc = found.table["gc"].to_numpy()
    mean, worst = found.match_quality()["gc"]
    assert mean == pytest.approx((gc[10:20] - gc[:10]).mean()) and worst == np.abs(gc[10:20] - gc[:10]).max()


def test_a_table_without_scores_is_refused(publish: Publish, markov: MarkovModel) -> None:
    with pytest.raises(InputError, match=r"elements\.parquet holds no scores: run stage=elements again"):
        analyse(publish(4, {}), markov, 100, 0.95, 1)
