from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from evaluation.per_base.calibration import Calibration, CalibrationTally, calibrate
from evaluation.per_base.stream import Chunk, PerBase

N = 4000


def chunk(confidence: np.ndarray, correct: np.ndarray, windows: int, scored: np.ndarray | None = None) -> Chunk:
    nothing = np.zeros(len(confidence), np.float32)
    found = PerBase(nothing, nothing, confidence.astype(np.float32), correct.astype(np.float32), nothing)
    mask = np.ones(len(confidence), bool) if scored is None else scored
    starts = np.linspace(0, len(confidence), windows + 1).astype(np.int64)
    return Chunk(slice(0, windows), starts, nothing.astype(np.uint8), mask, ~mask, None, {"base": found}, {})


def measured(confidence: np.ndarray, correct: np.ndarray, windows: int = 40, **options: np.ndarray) -> Calibration:
    tally = CalibrationTally(["base"], windows)
    tally.add(chunk(confidence, correct, windows, **options), np.arange(windows))
    return calibrate(tally, 300, 0.95, seed=0)


def test_certain_and_right_is_calibrated() -> None:
    found = measured(np.ones(N), np.ones(N))
    assert found.ece["base"].estimate == 0
    assert found.curve[["low", "high", "bases", "confidence", "accuracy"]].to_numpy().tolist() == [
        pytest.approx([0.9625, 1, N, 1, 1])
    ]


def test_uniform_guess_is_calibrated() -> None:
    found = measured(np.full(N, 0.25), np.full(N, 0.25))
    assert found.ece["base"].estimate == 0
    assert found.ece["base"].high == found.chance["base"] == 0


def test_surer_than_right() -> None:
    """90 % sure, right every other time."""
    found = measured(np.full(N, 0.9), np.arange(N) % 2)
    assert found.ece["base"].estimate == pytest.approx(0.4)
    assert found.overconfidence["base"].estimate == pytest.approx(0.4)
    assert found.overconfidence["base"].low == pytest.approx(0.4)
    assert found.table()["ece"].tolist() == pytest.approx([0.4])


def test_errors_of_opposite_sign_do_not_cancel() -> None:
    confidence = np.where(np.arange(N) % 4 < 2, 0.9, 0.3)
    found = measured(confidence, np.arange(N) % 2)
    assert found.ece["base"].estimate == pytest.approx(0.3)
    assert found.overconfidence["base"].estimate == pytest.approx(0.1)


def test_curve_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.25, 1, N).astype(np.float32)
    correct = generator.random(N) < confidence**1.5
    found = measured(confidence, correct)
    # scikit-learn's bins span 0 to 1; so do ours after the range is stretched.
    accuracy, mean = calibration_curve(correct, (confidence - 0.25) / 0.75, n_bins=20)
    np.testing.assert_allclose(found.curve["accuracy"], accuracy, atol=1e-6)
    np.testing.assert_allclose((found.curve["confidence"] - 0.25) / 0.75, mean, atol=1e-6)
    weights = found.curve["bases"] / N
    expected = (weights * (found.curve["accuracy"] - found.curve["confidence"]).abs()).sum()
    assert found.ece["base"].estimate == pytest.approx(expected)
    assert ((found.curve["accuracy_low"] <= accuracy) & (accuracy <= found.curve["accuracy_high"])).all()


def test_chance_is_told_where_there_is_nothing_else() -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(30):
        confidence = generator.uniform(0.25, 1, N)
        found.append(measured(confidence, generator.random(N) < confidence))
    by_chance = np.mean([one.chance["base"] for one in found])
    assert np.mean([one.ece["base"].estimate for one in found]) == pytest.approx(by_chance, rel=0.05)
    # A fault of 5 % stands out from it.
    confidence = generator.uniform(0.25, 0.9, N)
    faulty = measured(confidence + 0.05, generator.random(N) < confidence)
    assert faulty.ece["base"].low > faulty.chance["base"]
    assert faulty.ece["base"].low < 0.05 < faulty.ece["base"].high


def test_what_is_not_scored_does_not_count() -> None:
    scored = np.arange(N) % 2 == 0
    confidence = np.where(scored, 0.5, np.nan)
    found = measured(confidence, np.where(scored, 1, np.nan), scored=scored)
    assert found.curve["bases"].tolist() == [N // 2]
    assert found.ece["base"].estimate == pytest.approx(0.5)


def test_few_blocks_have_no_interval() -> None:
    found = measured(np.full(N, 0.9), np.ones(N), windows=4)
    assert found.ece["base"].estimate == pytest.approx(0.1)
    assert not found.ece["base"].defined
    assert np.isnan(found.curve["accuracy_low"]).all()
