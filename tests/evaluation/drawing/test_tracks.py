from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from evaluation.drawing.region import Region
from evaluation.drawing.tracks import entropy_track, reading

LABELS = {"base": "base", "markov": "Markov order 3"}


def region(bases: int) -> Region:
    """Sure of the first base of a codon, and without an idea of the others."""
    logprobs = np.full((bases, 4), np.log(0.25), np.float32)
    logprobs[::3] = [0, -50, -50, -50]
    return Region("s$x", 1000, np.full(bases, ord("A"), np.uint8), {"base": logprobs, "markov": logprobs})


def lines(figure: Figure) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}


def test_short_regions_show_single_bases() -> None:
    figure = entropy_track(region(90), LABELS, [], (1002, 1005))
    drawn = figure.axes[0].lines[0]
    assert drawn.get_xdata()[0] == 1000
    np.testing.assert_allclose(drawn.get_ydata()[:4], [0, 2, 2, 0], atol=1e-6)
    axes = figure.axes[0]
    band = axes.patches[0].get_window_extent().transformed(axes.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((1001.5, 1004.5))
    assert figure.axes[1].get_xlabel() == r"position on s\$x (bp, 0-based)"


def test_running_means_are_over_whole_codons() -> None:
    smooth = lines(entropy_track(region(999), LABELS, [], None))["base"]
    np.testing.assert_allclose(smooth[20:-20], 4 / 3, atol=1e-6)
    assert "running means over 18 bases" in reading(region(999))


def test_long_regions_are_means_and_quartiles() -> None:
    figure = entropy_track(region(30_000), LABELS, [], None)
    drawn = lines(figure)
    np.testing.assert_allclose(drawn["base"], 4 / 3, atol=1e-6)
    assert set(drawn) >= {"base", "Markov order 3"}
    assert len(figure.axes[0].collections) == 2
    assert "columns of 51 bases" in reading(region(30_000))
    assert figure.axes[1].get_xlabel().endswith("(kb, 0-based)")
