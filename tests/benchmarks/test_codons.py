from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.codons import MEASURES, arms, difference_table, paired, score_table, verdict
from evaluation.codons.choices import ChoiceTally

ARMS = arms([0.2, 0.4], [0.2])


def results(shift: dict[str, float], seeds: int = 5) -> pd.DataFrame:
    """Every measure of every arm: noise of each seed that the arms share, and a shift of the arm with its own noise."""
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 1, seeds)
    return pd.DataFrame(
        {"arm": arm.name, "seed": seed}
        | {name: 50 + shared[seed] + shift.get(arm.name, 0.0) + rng.normal(0, 0.01) for name, _, _ in MEASURES}
        for seed in range(seeds)
        for arm in ARMS
    )


def test_arms_are_told_apart_by_their_settings() -> None:
    assert [arm.name for arm in ARMS] == ["nll", "codon_hxe, α = 0.2", "codon_hxe, α = 0.4", "random control, α = 0.2"]
    assert len({arm.settings for arm in ARMS}) == len(ARMS) and ARMS[3].is_control


def test_differences_are_paired_by_seed() -> None:
    found = results({"codon_hxe, α = 0.2": -1.0})
    one, other = (found[found["arm"] == name].sample(frac=1, random_state=1) for name in ("codon_hxe, α = 0.2", "nll"))
    test = stats.ttest_rel(one.sort_values("seed")["nll"], other.sort_values("seed")["nll"])
    interval = test.confidence_interval(0.95)
    assert paired(one, other, "nll")[1:] == pytest.approx((interval.low, interval.high))
    alone = results({}, seeds=1)
    assert np.isnan(paired(alone[alone["arm"] == "nll"], alone[alone["arm"] == "nll"], "nll")[1])
    assert "–" in difference_table(alone, [("codon_hxe, α = 0.2", "nll")])[0][1]


def test_the_verdict_says_what_differs_and_from_what() -> None:
    said = verdict(results({"codon_hxe, α = 0.2": -1.0, "random control, α = 0.2": -1.0}), ARMS)
    # Less is better for four of six measures; what the control gains as well is not owed to the code.
    better, worse = "NLL, wrong third bases, wrong codons, severity", "synonymous share of wrong third bases"
    for number, name in ((0, "codon_hxe"), (2, "random control")):
        assert said[number].startswith(f"{name}, α = 0.2: better than nll in {better} and worse than nll in {worse}")
    assert said[1] == "codon_hxe, α = 0.4: no measure was shown to differ from nll."
    assert said[3] == "codon_hxe, α = 0.2: no measure was shown to differ from random control, α = 0.2."
    assert verdict(results({"codon_hxe, α = 0.2": -1.0}, seeds=1), ARMS) == [
        "One seed shows no spread: there is no verdict without more (--seeds)."
    ]


def test_tables_begin_with_the_baselines() -> None:
    empty = ChoiceTally(["base", "markov"], 1).result(10, 0.95, 0)
    rows = score_table(results({}), empty)
    assert [row[0] for row in rows] == [
        "uniform guess",
        "Markov model",
        "model before training",
        *(arm.name for arm in ARMS),
    ]
    assert rows[0][1:] == ["–"] * len(MEASURES) and "±" in rows[-1][1]
