from __future__ import annotations

import numpy as np
import pytest

from evaluation.drawing import heatmap
from evaluation.drawing.region import Region
from evaluation.per_base.scores import UNIFORM_NLL

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 3", "uniform": "uniform guess"}


def logprobs(bases: int, seed: int = 0) -> np.ndarray:
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(4), bases)).astype(np.float32)


def test_heatmap_shows_log_probabilities_and_marks_what_is_there() -> None:
    base = logprobs(6)
    base[0] = np.nan
    bases = np.frombuffer(b"ACGTNa", np.uint8)
    figure = heatmap.window_heatmap({"base": base, "adapted": base + 0.1}, bases, LABELS, start=10)
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (4, 6)
    assert image.mask[:, 0].all()
    np.testing.assert_allclose(image[:, 1:], base[1:].T)
    marks = figure.axes[0].collections[0].get_offsets()
    assert marks.tolist() == [[10, 0], [11, 1], [12, 2], [13, 3], [15, 0]]
    gains = [patch.get_height() for patch in figure.axes[2].patches]
    assert gains == pytest.approx([0, 0.1, 0.1, 0.1, 0, 0.1], abs=1e-6)


def test_dots_do_not_hide_a_long_window() -> None:
    bases = np.full(1000, ord("A"), np.uint8)
    assert not heatmap.window_heatmap({"base": logprobs(1000)}, bases, LABELS, 0).axes[0].collections


def region(bases: int, models: tuple[str, ...] = ("base", "adapted", "markov")) -> Region:
    observed = np.frombuffer(b"ACGT", np.uint8)[np.arange(bases) % 4]
    return Region("chr$1", 5_000, observed, {model: logprobs(bases, seed) for seed, model in enumerate(models)})


def test_region_is_binned_and_every_model_has_its_nll() -> None:
    shown = region(1805)
    figure = heatmap.region_heatmap(shown, LABELS, [])
    assert heatmap.reading(shown) == "Colours and gains are means over columns of 6 bases, lines over 18."
    first, second, nll, gain = figure.axes[:4]
    image = first.images[0]
    assert image.get_array().shape == (4, 301)
    np.testing.assert_allclose(image.get_array()[:, 0], shown.logprobs["base"][:6].mean(axis=0), rtol=1e-6)
    assert image.get_extent()[:2] == [4_999.5, 6_804.5]
    assert image.get_clim() == second.images[0].get_clim()
    lines = {line.get_label(): line for line in nll.lines}
    assert set(lines) == {"base", "adapted", "Markov order 3", "uniform guess"}
    np.testing.assert_allclose(lines["base"].get_ydata()[0], shown.nll("base")[:18].mean())
    assert lines["base"].get_xdata()[0] == 5_008.5
    assert lines["uniform guess"].get_ydata()[0] == UNIFORM_NLL
    expected = shown.nll("base")[:6].mean() - shown.nll("adapted")[:6].mean()
    assert gain.patches[0].get_height() == pytest.approx(expected)
    assert (gain.patches[0].get_x(), gain.patches[0].get_width()) == (4_999.5, 6)


def test_region_of_one_model_and_of_one_base_and_of_nothing() -> None:
    assert len(heatmap.region_heatmap(region(1, ("adapted", "markov")), LABELS, []).axes[0].images) == 1
    nothing = region(700)
    for values in nothing.logprobs.values():
        values[:] = np.nan
    assert heatmap.region_heatmap(nothing, LABELS, []).axes[0].images[0].get_array().mask.all()
