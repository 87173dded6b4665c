from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import PathPatch

from evaluation.drawing.logos import MOST_LETTERS, draw_letters, information_heights, predictive_logo
from evaluation.drawing.style import BASE_COLOURS, new_figure


def test_heights_are_probability_times_information() -> None:
    shares = np.array([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    with np.errstate(divide="ignore"):
        heights = information_heights(np.log(shares))
    np.testing.assert_allclose(heights, [[0, 0, 0, 0], [2, 0, 0, 0], [0.5, 0.5, 0, 0]], atol=1e-12)


def test_mass_on_other_tokens_changes_nothing() -> None:
    logprobs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 20))
    np.testing.assert_allclose(information_heights(logprobs - 1), information_heights(logprobs))


def test_undefined_rows_are_blank() -> None:
    assert np.isnan(information_heights(np.full((1, 4), np.nan))).all()


@pytest.mark.parametrize("positions", [5, MOST_LETTERS + 1])
def test_letters_stack_with_the_highest_on_top(positions: int) -> None:
    axes = new_figure(1).subplots()
    heights = np.zeros((positions, 4))
    heights[2] = [0.3, 0, np.nan, 0.9]
    draw_letters(axes, heights, start=100)
    boxes = {patch.get_facecolor(): patch.get_path().get_extents() for patch in axes.patches}
    assert all(isinstance(patch, PathPatch) for patch in axes.patches)
    assert len(boxes) == 2
    low, high = boxes[to_rgba(BASE_COLOURS["A"])], boxes[to_rgba(BASE_COLOURS["T"])]
    assert (low.y0, low.y1, high.y0, high.y1) == pytest.approx((0, 0.3, 0.3, 1.2))
    assert (low.x0 + low.x1) / 2 == pytest.approx(102)


def test_models_share_a_scale_and_the_observed_sequence_stands_below() -> None:
    logprobs = np.log(np.tile([0.97, 0.01, 0.01, 0.01], (30, 1)))
    observed = np.frombuffer(b"acgtN" * 6, np.uint8)
    labels = {"base": "base", "markov": "Markov order 3"}
    figure = predictive_logo({"base": logprobs, "markov": np.full((30, 4), np.nan)}, observed, labels, 7)
    base, markov, below = figure.axes
    assert base.get_ylim() == markov.get_ylim()
    assert [base.get_title(loc="center"), markov.get_title(loc="center")] == ["base", "Markov order 3"]
    assert len(below.patches) == 4
    assert not markov.patches
    assert below.get_xlim() == pytest.approx((6.4, 36.6))
