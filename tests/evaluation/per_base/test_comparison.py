from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.comparison import Comparison, Verdict, compare, judge
from evaluation.per_base.scores import UNIFORM_NLL, WindowScores


def scores(windows: int = 60, bases: int = 100, **nll: np.ndarray | float) -> WindowScores:
    """Window scores with the given mean NLL per base of each model."""
    columns: dict[str, object] = {"sequence_id": [f"w{row}" for row in range(windows)], "bases": bases}
    for model, value in nll.items():
        columns[f"nll_{model}"] = np.broadcast_to(value, windows) * bases
        columns[f"correct_{model}"] = bases / 2
    return WindowScores(pd.DataFrame(columns), tuple(nll), 0, 0, 0)


def verdict(found: WindowScores, split: str = "test") -> tuple[Comparison, Verdict]:
    comparison = compare(found, 500, 0.95, seed=0)
    return comparison, judge(comparison, "toy", split, 5, 0.95)


def noise(size: int = 60, scale: float = 0.02, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, size)


def test_table_closed_form() -> None:
    comparison, _ = verdict(scores(base=UNIFORM_NLL, markov=0.0))
    rows = comparison.models_table().set_index("model")
    assert rows.loc["uniform", ["bits", "perplexity", "accuracy"]].tolist() == pytest.approx([2, 4, 0.25])
    assert rows.loc["base", ["nll", "bits", "perplexity", "accuracy"]].tolist() == pytest.approx(
        [UNIFORM_NLL, 2, 4, 0.5]
    )
    assert rows.loc["markov", ["nll", "perplexity"]].tolist() == [0, 1]


def test_means_are_over_bases_not_windows() -> None:
    found = scores(windows=2, base=np.array([1.0, 2.0]), markov=1.0)
    found.table["bases"] = [300, 100]
    found.table["nll_base"] = [300.0, 200.0]
    assert compare(found, 100, 0.95, 0).nll["base"].estimate == pytest.approx(1.25)


def test_planted_improvement_is_found() -> None:
    window = noise(scale=0.3)
    comparison, found = verdict(scores(base=1.3 + window, adapted=1.25 + window + noise(seed=1), markov=1.31 + window))
    difference = comparison.difference("adapted", "base")
    assert difference is not None
    assert difference.gain.low < 0.05 < difference.gain.high
    assert found.outcome == "better"
    assert found.headline.startswith("The adapted model explains 0.0")
    assert "60 held-out windows (6,000 bases) of the test split of toy; it beats the order-5 Markov" in found.headline


def test_planted_loss_is_called_worse() -> None:
    window = noise(scale=0.3)
    _, found = verdict(scores(base=1.2 + window, adapted=1.25 + window + noise(), markov=1.1 + window))
    assert found.outcome == "worse"
    assert "worse than the base model: it explains 0.0" in found.headline
    assert "per base less on" in found.headline
    assert "does not beat the order-5 Markov model fitted on the train split, which is better" in found.headline


def test_no_claim_where_the_interval_straddles_zero() -> None:
    _, found = verdict(scores(base=1.2 + noise(seed=1), adapted=1.2 + noise(seed=2), markov=1.2 + noise(seed=3)))
    assert found.outcome == "none"
    assert found.headline.startswith("No difference could be shown between the adapted and the base model")
    assert "could not be shown to beat the order-5" in found.headline


def test_identical_models_are_called_so() -> None:
    _, found = verdict(scores(base=1.2 + noise(), adapted=1.2 + noise(), markov=1.3))
    assert found.outcome == "none"
    assert "the adaptation changed nothing" in found.headline


def test_false_claims_are_rare() -> None:
    generator = np.random.default_rng(0)
    claims = 0
    for _ in range(100):
        window = generator.normal(0, 0.2, 30)
        base, adapted = window + generator.normal(1.2, 0.05, 30), window + generator.normal(1.2, 0.05, 30)
        claims += verdict(scores(windows=30, base=base, adapted=adapted, markov=1.3))[1].outcome != "none"
    assert claims <= 11


def test_base_alone() -> None:
    _, found = verdict(scores(base=1.2 + noise(), markov=1.3))
    assert found.outcome == "unpaired"
    assert found.headline.startswith("The base model, without adaptation, has an NLL of 1.2")


def test_from_scratch_there_is_no_base() -> None:
    _, found = verdict(scores(adapted=1.2 + noise(), markov=1.1))
    assert found.outcome == "unpaired"
    assert found.headline.startswith("The model, trained from scratch, has an NLL of 1.2")
    assert "does not beat the order-5 Markov model" in found.headline


def test_notes_warn() -> None:
    _, found = verdict(scores(windows=5, base=1.5, adapted=1.2, markov=1.3), split="val")
    assert "held-out windows" not in found.headline
    text = " ".join(found.notes)
    assert "no held-out result" in text
    assert "base model is no better than a uniform guess" in text
    assert "only 5 windows" in text


def test_a_single_window_claims_nothing() -> None:
    _, found = verdict(scores(windows=1, base=1.3, adapted=1.0, markov=1.3))
    assert found.outcome == "none"
    assert "[no interval]" in found.headline
    assert "There is only one window: nothing can be said about the uncertainty." in found.notes
