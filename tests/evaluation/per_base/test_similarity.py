from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evaluation.per_base.scores import WindowScores
from evaluation.per_base.similarity import Similarity, analyse

LABELS = {"uniform": "uniform guess", "base": "base", "adapted": "adapted", "markov": "Markov", "copy": "copy"}


def scores(bases: np.ndarray | int = 100, **nll: np.ndarray) -> WindowScores:
    """Window scores with the given mean NLL per base of each model; each window is a block."""
    size = len(next(iter(nll.values())))
    table = pd.DataFrame({"sequence_id": [f"w{row}" for row in range(size)], "block": np.arange(size), "bases": bases})
    for model, values in nll.items():
        table[f"nll_{model}"] = values * table["bases"]
    return WindowScores(table, tuple(nll), 0, 0, 0)


def audit(containment: np.ndarray, in_train: np.ndarray | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sequence_id": [f"w{row}" for row in range(len(containment))],
            "split": "test",
            "containment": containment,
            "in_train": containment if in_train is None else in_train,
            "excluded": False,
        }
    )


def of(found: WindowScores, leakage: pd.DataFrame, samples: int = 200, seed: int = 0) -> Similarity:
    return analyse(found, leakage, samples, 0.95, seed)


def test_correlations_agree_with_scipy() -> None:
    generator = np.random.default_rng(0)
    containment = np.where(generator.random(80) < 0.5, 0, generator.random(80))
    in_train = np.round(generator.random(80), 1)
    base, adapted = generator.normal(1.3, 0.1, 80), generator.normal(1.2, 0.1, 80) - 0.1 * containment
    result = of(scores(base=base, adapted=adapted), audit(containment, in_train))
    gain = base - adapted
    for measure, values in (("containment", containment), ("in_train", in_train)):
        for quantity, other in (("nll_base", base), ("nll_adapted", adapted), ("gain", gain)):
            expected = stats.spearmanr(values, other).statistic
            assert result.correlation(measure, quantity).estimate == pytest.approx(expected)


def test_every_resampling_is_ranked_anew() -> None:
    """The interval is that of drawing whole blocks and giving what is drawn to scipy."""
    generator = np.random.default_rng(1)
    containment = np.round(generator.random(24), 1)
    found = scores(base=np.full(24, 1.3), adapted=1.2 - 0.1 * containment + generator.normal(0, 0.05, 24))
    found.table["block"] = np.arange(24) // 2
    result = of(found, audit(containment), samples=400)
    gain = found.gain("adapted", "base")
    drawn = np.random.default_rng(7).integers(0, 12, (400, 12))
    rows = (2 * drawn[:, :, None] + np.arange(2)).reshape(400, 24)
    draws = [stats.spearmanr(containment[row], gain[row]).statistic for row in rows]
    correlation = result.correlation("containment", "gain")
    assert correlation.low < np.quantile(draws, 0.025) + 0.1
    assert correlation.high > np.quantile(draws, 0.975) - 0.1
    assert correlation.high - correlation.low == pytest.approx(np.diff(np.quantile(draws, [0.01, 0.99]))[0], rel=0.3)


def test_planted_memorising_is_found() -> None:
    generator = np.random.default_rng(2)
    containment = generator.beta(0.5, 3, 100)
    window = generator.normal(0, 0.1, 100)
    adapted = 1.28 + window - 0.1 * containment + generator.normal(0, 0.01, 100)
    result = of(scores(base=1.3 + window, adapted=adapted, markov=1.3 + window), audit(containment))
    assert result.correlation("containment", "gain").sign == 1
    assert result.finding(LABELS).startswith("The gain of adapted over base grows with similarity to train, as it")
    gains = result.bins[result.bins["model"] == "adapted"]["gain"].to_numpy()
    assert gains[-1] - gains[0] > 0.03


def test_memorising_is_not_claimed_without_any() -> None:
    generator = np.random.default_rng(3)
    claims = 0
    for run in range(40):
        containment = generator.beta(0.5, 3, 60)
        base, adapted = generator.normal(1.3, 0.05, 60), generator.normal(1.25, 0.05, 60)
        said = of(scores(base=base, adapted=adapted), audit(containment), samples=100, seed=run).finding(LABELS)
        claims += "could not be shown" not in said
    assert claims <= 5


def test_a_gain_that_falls_is_called_so() -> None:
    containment = np.linspace(0, 0.5, 40)
    result = of(scores(base=np.full(40, 1.3), adapted=1.2 + 0.1 * containment), audit(containment))
    assert "falls with similarity to train" in result.finding(LABELS)


def test_bins_hold_their_upper_border() -> None:
    containment = np.array([0, 1e-9, 0.05, 0.050001, 0.1, 0.5, 0.500001, 1.0])
    bases = np.array([100, 200, 300, 400, 500, 600, 700, 800])
    base = np.arange(1.0, 9.0)
    result = of(scores(bases, base=base, adapted=base - 0.5), audit(containment))
    of_base = result.bins[result.bins["model"] == "base"].set_index("bin")
    assert of_base["windows"].to_dict() == {"0": 1, "0–5": 2, "5–10": 2, "40–50": 1, "50–100": 2}
    assert of_base["bases"].to_dict() == {"0": 100, "0–5": 500, "5–10": 900, "40–50": 600, "50–100": 1500}
    assert of_base["nll"]["0–5"] == pytest.approx((2 * 200 + 3 * 300) / 500)
    assert of_base["containment"]["50–100"] == pytest.approx((0.500001 + 1) / 2)
    of_adapted = result.bins[result.bins["model"] == "adapted"]
    assert of_adapted["gain"].to_numpy() == pytest.approx(np.full(5, 0.5))
    assert of_adapted["gain_low"].isna().tolist() == [True, False, False, True, False]


def test_windows_without_a_known_similarity() -> None:
    leakage = audit(np.array([0.1, 0.2, np.nan, 0.3, 0.9, 0.95]))
    leakage["excluded"] = leakage["containment"] > 0.5
    leakage.loc[5, "split"] = "val"
    result = of(scores(base=np.full(4, 1.3), adapted=np.full(4, 1.2)), leakage)
    assert (result.windows, result.unmatched, result.excluded) == (3, 1, 1)
    assert result.any_similar
    assert not result.correlation("containment", "gain").defined  # the gain does not vary


def test_no_window_is_known() -> None:
    result = of(scores(base=np.full(3, 1.3), markov=np.full(3, 1.2)), audit(np.full(3, np.nan)))
    assert (result.windows, result.unmatched) == (0, 3)
    assert not result.any_similar
    assert result.bins.empty
    assert np.isnan(result.correlation("containment", "gain").estimate)


def test_a_run_without_adaptation_compares_with_markov() -> None:
    result = of(scores(base=np.array([1.2, 1.1, 1.0]), markov=np.full(3, 1.3)), audit(np.array([0, 0.2, 0.3])))
    assert (result.model, result.reference) == ("base", "markov")
    assert result.bins[result.bins["model"] == "base"]["gain"].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_nothing_like_train() -> None:
    result = of(scores(base=np.array([1.2, 1.1]), adapted=np.array([1.0, 1.1])), audit(np.zeros(2)))
    assert not result.any_similar
    assert result.windows == 2


def test_too_few_windows_show_no_memorising() -> None:
    """The gain of 5 windows grows with containment in every resampling: so it does by chance in 1 of 120 orders."""
    for windows, sign in ((5, 0), (12, 1)):
        containment = np.linspace(0, 0.5, windows)
        found = of(scores(base=np.full(windows, 1.3), adapted=1.2 - 0.1 * containment), audit(containment))
        assert found.correlation("containment", "gain").sign == sign
        assert ("could not be shown" in found.finding(LABELS)) == (sign == 0)
