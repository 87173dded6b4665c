from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.drawing import style
from evaluation.variants.groups import compare_groups, effects_figure


def test_an_effect_of_gc_alone_is_gone_after_matching() -> None:
    generator = np.random.default_rng(2)
    is_exon = np.arange(1200) < 700
    gc = np.where(is_exon, 0.40, 0.36) + 0.04 * generator.normal(size=1200)
    values = {
        "follows GC": gc + 0.02 * generator.normal(size=1200),
        "knows exons": generator.normal(size=1200) + is_exon,
        "noise": generator.normal(size=1200),
    }
    table = pd.DataFrame({"seqid": "s", "position": 1000 * np.arange(1200)})
    parts = {"exons": is_exon, "introns": ~is_exon}
    found = compare_groups(values, table, parts, gc, 0.005, 300, 0.95, 0)
    assert found.whole["follows GC"].effect.low > 0.2
    assert found.matched["follows GC"].effect.low < 0 < found.matched["follows GC"].effect.high
    assert found.matched["knows exons"].effect.low > 0.3
    assert found.whole["noise"].effect.low < 0 < found.whole["noise"].effect.high
    assert found.gc.loc["matched"].diff().abs().iloc[1] < 0.005 < found.gc.loc["all"].diff().abs().iloc[1]
    assert found.matched["noise"].sizes[0] == found.matched["noise"].sizes[1] > 300
    # The paired test gives what the order of the rows gives.
    low, high = found.reshuffled["noise"]
    assert high - low > 0.05
    shown = found.table()
    assert shown.loc["knows exons", "Mann–Whitney"] == "< 0.0001"
    assert shown.shape == (3, 8)
    with style.applied():
        figure = effects_figure(found)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(values)
    assert axes.get_xlabel() == "rank-biserial correlation (right: larger in exons; left: larger in introns)"


def test_neighbours_are_resampled_together() -> None:
    generator = np.random.default_rng(0)
    stretch = np.repeat(np.arange(20), 30)
    values = {"a": generator.normal(size=20)[stretch] + 0.1 * generator.normal(size=600)}
    is_first, gc = stretch % 2 == 0, np.full(600, 0.4)
    near = pd.DataFrame({"seqid": "s", "position": 1000 * stretch + 10})
    far = near.assign(position=1000 * np.arange(600))
    widths = []
    for table in (near, far):
        found = compare_groups(values, table, {"x": is_first, "y": ~is_first}, gc, 0.01, 300, 0.95, 0)
        widths.append(found.whole["a"].effect.high - found.whole["a"].effect.low)
    assert widths[0] > 2 * widths[1]
