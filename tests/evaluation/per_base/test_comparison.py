from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.comparison import Comparison, compare
from evaluation.per_base.scores import ALL, INSIDE, OUTSIDE, UNIFORM_NLL, WindowScores
from evaluation.per_base.verdict import Verdict, judge
from evaluation.statistics.bootstrap import Interval


def scores(windows: int = 60, bases: int = 100, **nll: np.ndarray | float) -> WindowScores:
    """Window scores with the given mean NLL per base of each model; no base is soft-masked."""
    columns: dict[str, object] = {
        "sequence_id": [f"w{row}" for row in range(windows)],
        "block": np.arange(windows),
        "bases": bases,
        "bases_repeat": 0,
    }
    for model, value in nll.items():
        columns[f"nll_{model}"] = np.broadcast_to(value, windows) * bases
        columns[f"correct_{model}"] = bases / 2
        columns[f"nll_repeat_{model}"] = columns[f"correct_repeat_{model}"] = 0.0
    return WindowScores(pd.DataFrame(columns), tuple(nll), 0, 0, 0)


def with_repeats(found: WindowScores, bases: int, **nll: float) -> WindowScores:
    """The same with so many soft-masked bases in each window, of this mean NLL."""
    for model, value in nll.items():
        found.table[f"nll_repeat_{model}"] = value * bases
        found.table[f"correct_repeat_{model}"] = bases / 4
    found.table["bases_repeat"] = bases
    return found


def verdict(found: WindowScores, split: str = "test", **options: object) -> tuple[Comparison, Verdict]:
    comparison = compare(found, 500, 0.95, seed=0)
    return comparison, judge(comparison, "toy", split, 5, 0.95, **options)  # type: ignore[arg-type]


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


def test_repeats_are_told_apart_and_their_share_of_the_gain() -> None:
    # 40 of 100 bases: 1.0 against 0.7; the others: 1.2 against 1.15.
    found = with_repeats(
        scores(base=0.4 + 0.72, adapted=0.28 + 0.69, markov=1.4), 40, base=1.0, adapted=0.7, markov=1.4
    )
    comparison, said = verdict(found, coding=Interval(0.01, -0.01, 0.03))
    assert {name: part.bases for name, part in comparison.parts.items()} == {ALL: 6000, OUTSIDE: 3600, INSIDE: 2400}
    gains = {name: part.difference("adapted", "base").gain.estimate for name, part in comparison.parts.items()}  # type: ignore[union-attr]
    assert gains == {ALL: pytest.approx(0.15), OUTSIDE: pytest.approx(0.05), INSIDE: pytest.approx(0.3)}
    assert comparison.parts[INSIDE].accuracy["base"].estimate == 0.25
    table = comparison.differences_table().set_index(["model", "reference", "repeats"])
    assert table.loc[("adapted", "base", INSIDE), "share_of_gain"] == pytest.approx(0.8)
    assert table.loc[("adapted", "base", OUTSIDE), "share_of_gain"] == pytest.approx(0.2)
    assert (
        "; 80 % [80, 80] of it in repeats, which are 40 % of the bases; no gain could be shown in coding sequence (+0"
        in (said.headline)
    )


def test_a_share_without_an_interval_is_not_claimed() -> None:
    """Only 3 of 60 blocks have soft-masked bases."""
    found = with_repeats(scores(base=1.12, adapted=0.97, markov=1.4), 40, base=1.0, adapted=0.7, markov=1.4)
    few = np.arange(60) < 3
    for column in [name for name in found.table if "repeat" in name]:
        found.table[column] = np.where(few, found.table[column], 0)
    _, said = verdict(found)
    assert said.outcome == "better" and "in repeats" not in said.headline


def test_nothing_is_said_of_repeats_that_are_not_masked() -> None:
    comparison, said = verdict(scores(base=1.3 + noise(), adapted=1.2 + noise(seed=1), markov=1.4))
    assert list(comparison.parts) == [ALL]
    assert "repeats" not in said.headline
    assert "coding" not in said.headline


def test_both_directions_are_averaged() -> None:
    found = scores(base=1.3 + noise(), adapted=1.2 + noise(seed=1), markov=1.4)
    assert compare(found, 100, 0.95, 0).average is None
    found.table["nll_average_base"] = found.table["nll_base"] - 10
    found.table["nll_average_adapted"] = found.table["nll_adapted"] - 15
    comparison = compare(found, 100, 0.95, 0)
    assert comparison.average is not None
    assert comparison.average.nll["base"].estimate == pytest.approx(comparison.nll["base"].estimate - 0.1)
    assert [(d.model, d.reference) for d in comparison.average.differences] == [("adapted", "base")]
    forward = comparison.difference("adapted", "base")
    assert forward is not None
    assert comparison.average.differences[0].gain.estimate == pytest.approx(forward.gain.estimate + 0.05)


def test_planted_improvement_is_found() -> None:
    window = noise(scale=0.3)
    comparison, found = verdict(scores(base=1.3 + window, adapted=1.25 + window + noise(seed=1), markov=1.31 + window))
    difference = comparison.difference("adapted", "base")
    assert difference is not None
    assert difference.gain.low < 0.05 < difference.gain.high
    assert found.outcome == "better"
    assert found.headline.startswith("The adapted model explains 0.0")
    assert (
        "on held-out windows of toy (60 windows, 6,000 bases of the test split); it beats the order-5 Markov model "
        "fitted on the train split (+0.0" in found.headline
    )


def test_the_caller_says_what_was_held_out_and_what_was_forgotten() -> None:
    found = scores(base=1.3 + noise(), adapted=1.2 + noise(seed=1), markov=1.4, copy=1.1)
    _, said = verdict(found, held_out="held-out homolog groups", forgetting=["forgetting on rice +0.4 %"])
    assert "on held-out homolog groups of toy (60 windows" in said.headline
    assert "it does not beat copying from the train split, which is better (−0.09" in said.headline
    assert said.headline.endswith("; forgetting on rice +0.4 %.")


def test_copying_nothing_is_no_second_victory() -> None:
    found = scores(base=1.3 + noise(), adapted=1.2 + noise(seed=1), markov=1.4, copy=1.4)
    _, said = verdict(found)
    assert "it beats the order-5 Markov model" in said.headline and "copying" not in said.headline


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        (Interval(0.02, 0.01, 0.03), "; a gain of 0.020 [0.010, 0.030] in coding sequence;"),
        (Interval(-0.02, -0.03, -0.01), "; a loss of 0.020 [0.010, 0.030] in coding sequence;"),
        (Interval(0.02, -0.01, 0.05), "; no gain could be shown in coding sequence (+0.020 [−0.010, +0.050]);"),
        (Interval(0.02, np.nan, np.nan), "; no gain could be shown in coding sequence;"),
    ],
)
def test_coding_sequence(coding: Interval, words: str) -> None:
    found = scores(base=1.3 + noise(), adapted=1.2 + noise(seed=1), markov=1.4)
    assert words in verdict(found, coding=coding)[1].headline


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


@pytest.mark.parametrize(("gain", "most", "least"), [(0.0, 10, 0), (0.02, 100, 95)])
def test_what_is_there_is_found_and_nothing_else(gain: float, most: int, least: int) -> None:
    """100 runs with no improvement, and 100 with one of 0.02 nats per base."""
    generator = np.random.default_rng(0)
    claims = 0
    for _ in range(100):
        window = generator.normal(0, 0.2, 40)
        base, adapted = (window + generator.normal(1.2, 0.02, 40) for _ in range(2))
        outcome = verdict(scores(windows=40, base=base, adapted=adapted - gain))[1].outcome
        assert outcome != "worse" or not gain
        claims += outcome != "none"
    assert least <= claims <= most


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
    _, found = verdict(scores(windows=8, base=1.5, adapted=1.2, markov=1.3), split="val")
    assert "held-out windows" not in found.headline
    text = " ".join(found.notes)
    assert "no held-out result" in text
    assert "base model is no better than a uniform guess" in text
    assert "only 8 blocks of windows: the intervals are rough" in text


@pytest.mark.parametrize(
    ("windows", "note"),
    [
        (1, "There is only one window: nothing can be said about the uncertainty."),
        (5, "There are only 5 blocks of windows: too few for an interval."),
    ],
)
def test_too_few_windows_claim_nothing(windows: int, note: str) -> None:
    _, found = verdict(scores(windows=windows, base=1.3, adapted=1.0, markov=1.3))
    assert found.outcome == "none"
    assert "[no interval]" in found.headline
    assert note in found.notes
