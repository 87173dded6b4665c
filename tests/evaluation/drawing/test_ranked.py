from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.drawing import ranked
from evaluation.per_base.scores import WindowScores
from workflow.artifacts import PerBaseScores, PerBaseWriter

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 3", "uniform": "uniform guess"}


def scores(windows: int, models: tuple[str, ...] = ("base", "adapted", "markov")) -> WindowScores:
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"sequence_id": [f"w$_{row}" for row in range(windows)], "bases": 100})
    for model in models:
        table[f"nll_{model}"] = generator.normal(130, 5, windows)
    return WindowScores(table, models, 0, 0, 0)


@pytest.mark.parametrize("windows", [1, 2, 7, 5000])
def test_windows_descend_and_both_ends_are_named_once(windows: int) -> None:
    found = scores(windows)
    axes, beside = ranked.ranked_list(found, LABELS).axes
    above, below = (patch.get_data().values for patch in axes.patches)
    heights = above + below
    assert (np.diff(heights) <= 1e-12).all()
    gains = found.gain("adapted", "base")
    if windows <= 600:
        np.testing.assert_allclose(heights, np.sort(gains)[::-1])
    names = [line for text in beside.texts for line in text.get_text().splitlines() if "w" in line]
    assert len(names) == len(set(names)) == min(windows, 6)
    assert names[0] == rf"1. w\$_{gains.argmax()}"
    baseline = next(line for line in axes.lines if line.get_label() == "Markov order 3 over base")
    np.testing.assert_allclose(np.mean(baseline.get_ydata()), found.gain("markov", "base").mean(), atol=0.01)


def test_a_run_of_one_model_is_ranked_over_the_baseline() -> None:
    axes = ranked.ranked_list(scores(30, ("adapted", "markov")), LABELS).axes[0]
    assert axes.get_legend() is None
    assert "Markov order 3" in axes.get_ylabel()


def test_composition_shows_medians_of_equal_groups() -> None:
    found = scores(960)
    gc = np.linspace(0.2, 0.6, 960)
    figure = ranked.composition(found, gc, LABELS)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"base", "adapted", "Markov order 3", "uniform guess"}
    expected = [np.median(part) for part in np.split(found.per_base("base"), 12)]
    np.testing.assert_allclose(lines["base"].get_ydata(), expected)
    # Windows of one length are one group, however many there are.
    assert [len(line.get_xdata()) for line in figure.axes[2].lines[:2]] == [1, 1]


def test_composition_of_one_window_and_of_unknown_gc() -> None:
    ranked.composition(scores(1), np.array([0.4]), LABELS)
    figure = ranked.composition(scores(20), np.full(20, np.nan), LABELS)
    assert len(figure.axes[0].lines[0].get_xdata()) == 0


def test_gc_of_windows_is_counted_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [b"GGCC", b"acgt", b"NNN", b"ATNG", b"T"]
    lengths = [len(text) for text in texts]
    index = pd.DataFrame({"sequence_id": list("abcde"), "seqid": "s", "start": 0, "end": lengths, "strand": "+"})
    writer = PerBaseWriter(tmp_path, index.assign(length=lengths))
    for row, text in enumerate(texts):
        writer.write(row, np.zeros((len(text), 4), np.float16), np.frombuffer(text, np.uint8))
    writer.close()
    for size in (1 << 24, 5, 1):
        monkeypatch.setattr(ranked, "_CHUNK_POSITIONS", size)
        shares = ranked.window_gc(PerBaseScores(tmp_path))
        np.testing.assert_allclose(shares, [1, 0.5, np.nan, 1 / 3, 0])
