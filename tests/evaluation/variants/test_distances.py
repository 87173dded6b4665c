from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.statistics.ranking import auroc
from evaluation.variants.distances import LIKELIHOOD, MEASURES, distance_table, measured
from evaluation.variants.effects import assess, metrics
from evaluation.variants.section import section
from tests.evaluation.variants.conftest import Make, MarkovOfOrderTwo

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 2"}


def test_distances_stand_beside_the_likelihood_and_the_baselines(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(models=("base",), layer=3)
    generator = np.random.default_rng(1)
    columns = {f"{measure}_base": generator.random(240) + 0.4 * scored.positive for measure in MEASURES}
    scored = replace(scored, table=scored.table.assign(**columns))
    found = assess(scored, markov, 60, 0.95, 0)
    ranked = found.distances["base"]
    assert list(ranked.auroc) == [LIKELIHOOD, *MEASURES.values(), "markov", "kmer"]
    for measure, name in MEASURES.items():
        assert ranked.auroc[name].estimate == auroc(columns[f"{measure}_base"], scored.positive)
    assert found.overall.ranking is not None
    assert ranked.auroc[LIKELIHOOD] == found.overall.ranking.auroc["base"]
    assert metrics(found)["distances"]["base"]["auroc"][MEASURES["l2_mean"]]["estimate"] > 0.5
    table = distance_table(found.distances, LABELS, 3)
    assert len(table.rows) == 7 and "layer 3" in table.caption
    assert table.rows[0][-1] == "–" and table.rows[5][1] == "Markov order 2"
    assert table.columns in [part.columns for part in section(found, LABELS, 0.95).tables]


def test_without_distances_nothing_is_said_of_them(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(models=("base",))
    assert measured(scored, "base") == {}
    found = assess(scored, markov, 20, 0.95, 0)
    assert found.distances == {}
    assert not [part for part in section(found, LABELS, 0.95).tables if "embeddings" in part.caption]
