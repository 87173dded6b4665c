from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.ranking import auroc, ranking
from evaluation.variants import effects as module
from evaluation.variants.effects import assess, metrics
from tests.evaluation.variants.conftest import Make, MarkovOfOrderTwo

OPTIONS = (60, 0.95, 0)


def test_ranking_is_by_minus_delta_and_resamples_positions(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made()
    found = assess(scored, markov, *OPTIONS)
    overall = found.overall.ranking
    assert overall is not None
    assert list(overall.auroc) == ["base", "adapted", "markov", "kmer"]
    for model in scored.models:
        assert overall.auroc[model].estimate == auroc(-scored.deltas(model), scored.positive)
    assert overall.auroc["adapted"].estimate > overall.auroc["base"].estimate > 0.6
    assert overall.differences["adapted", "base"].estimate > 0
    alone = ranking({"base": -scored.deltas("base")}, scored.positive, *OPTIONS, groups=scored.sites)
    assert overall.auroc["base"] == alone.auroc["base"]
    assert found.main_model == "adapted"
    assert np.isfinite(found.scored.table["delta_markov"]).all()


def test_labels_that_are_not_compared_are_left_aside(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made()
    unlabelled = np.arange(len(scored.table)) % 4 == 0
    table = scored.table.assign(positive=scored.table["positive"].mask(unlabelled))
    found = assess(replace(scored, table=table), markov, *OPTIONS)
    assert found.overall.ranking is not None and found.kmer is not None
    assert found.overall.ranking.n_positive + found.overall.ranking.n_negative == (~unlabelled).sum()
    assert found.overall.ranking.left_out == 0
    np.testing.assert_array_equal(np.isnan(found.kmer), unlabelled)
    expected = auroc(-scored.deltas("base")[~unlabelled], scored.positive[~unlabelled])
    assert found.overall.ranking.auroc["base"].estimate == expected


def test_classes(made: Make, markov: MarkovOfOrderTwo, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = made()
    classes = scored.classes
    table = scored.table.assign(consequence=np.where(np.arange(len(classes)) < 12, "rare", scored.table["consequence"]))
    found = assess(replace(scored, table=table), markov, *OPTIONS)
    assert list(found.by_class) == ["missense", "intronic", "rare"]
    assert found.by_class["rare"].ranking is None and found.by_class["rare"].measured == 12
    assert list(found.too_small) == ["rare"] and sum(found.too_small["rare"]) == 12
    rows = table["consequence"].to_numpy(str) == "intronic"
    intronic = found.by_class["intronic"].ranking
    assert intronic is not None
    assert intronic.auroc["adapted"].estimate == auroc(-scored.deltas("adapted")[rows], scored.positive[rows])
    monkeypatch.setattr(module, "LEAST_OF_CLASS", 13)
    assert "rare" not in assess(replace(scored, table=table), markov, *OPTIONS).by_class


def test_spearman_is_that_of_scipy_with_its_sign(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made()
    values = scored.table["measured"].to_numpy(copy=True)
    values[:5] = np.nan
    found = assess(replace(scored, table=scored.table.assign(measured=values)), markov, *OPTIONS)
    assert found.overall.measured == len(values) - 5
    for model in scored.models:
        expected = stats.spearmanr(scored.deltas(model)[5:], values[5:]).statistic
        assert found.overall.spearman[model].estimate == pytest.approx(expected)
    assert found.overall.spearman["adapted"].estimate > 0
    assert set(found.overall.spearman) == {"base", "adapted", "markov", "kmer"}
    rows = (scored.classes == "missense") & ~np.isnan(values)
    expected = stats.spearmanr(scored.deltas("base")[rows], values[rows]).statistic
    assert found.by_class["missense"].spearman["base"].estimate == pytest.approx(expected)


def test_strands(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made()
    found = assess(scored, markov, *OPTIONS).strands
    pair = scored.table[["delta_forward_base", "delta_reverse_base"]].to_numpy()
    assert found["base"].estimate == pytest.approx(stats.spearmanr(*pair.T).statistic)
    assert not assess(made(both_strands=False), markov, *OPTIONS).strands
    assert not assess(made(scores="elsewhere.csv"), markov, *OPTIONS).strands


def test_a_model_without_scores_takes_nothing_from_the_others(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made()
    table = scored.table.assign(delta_adapted=np.nan)
    table.loc[:9, "delta_base"] = np.nan
    found = assess(replace(scored, table=table), markov, *OPTIONS)
    assert found.overall.ranking is not None
    assert list(found.overall.ranking.auroc) == ["base", "markov", "kmer"]
    assert found.overall.ranking.left_out == 10
    assert set(found.overall.spearman) == {"base", "markov", "kmer"}


def test_neither_labels_nor_values(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(label=None, measured=None, consequence=None, positive=[], negative=[])
    table = scored.table.assign(positive=scored.table["positive"].mask(scored.is_labelled), measured=np.nan)
    found = assess(replace(scored, table=table), markov, *OPTIONS)
    assert found.overall.ranking is None and found.kmer is None
    assert not found.overall.spearman and not found.by_class
    assert set(found.strands) == {"base", "adapted"}


def test_same_seed_same_numbers(made: Make, markov: MarkovOfOrderTwo) -> None:
    first, second = (metrics(assess(made(), markov, *OPTIONS)) for _ in range(2))
    assert first == second


def test_metrics_are_plain_numbers(made: Make, markov: MarkovOfOrderTwo) -> None:
    found = json.loads(json.dumps(metrics(assess(made(), markov, *OPTIONS))))
    assert found["variants"] == 240
    assert found["all"]["positive"] + found["all"]["negative"] == 240
    assert found["all"]["auroc"]["base"]["low"] < found["all"]["auroc"]["base"]["estimate"]
    assert "adapted - base" in found["all"]["auroc_difference"]
    assert set(found["by_consequence"]) == {"missense", "intronic"}
    assert found["all"]["spearman"]["kmer"].keys() == {"estimate", "low", "high"}
