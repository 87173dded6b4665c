import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from workflow.genome.layout import Layout
from workflow.windows.pieces import Regions
from workflow.windows.tiling import background_windows, tiling_windows


def regions_of(spans: list[tuple[int, int]]) -> Regions:
    table = pd.DataFrame([("a", start, end, "val") for start, end in spans], columns=["seqid", "start", "end", "split"])
    return Regions(table, Layout({"a": 10_000}))


region = st.lists(st.integers(0, 300), min_size=2, max_size=8, unique=True).map(
    lambda cut: list(zip(sorted(cut)[::2], sorted(cut)[1::2], strict=False))
)


@given(region, st.integers(1, 50), st.integers(1, 50))
def test_consecutive_windows_account_for_every_base(spans, one, other) -> None:
    min_length, length = sorted((one, other))
    windows = tiling_windows(regions_of(spans), length, length, min_length)
    cut = [(at, min(at + length, end)) for start, end in spans for at in range(start, end, length)]
    assert list(zip(windows.start, windows.end, strict=True)) == [(s, e) for s, e in cut if e - s >= min_length]
    short = [e - s for s, e in cut if e - s < min_length]
    assert windows.lengths().sum() + sum(short) == sum(end - start for start, end in spans)
    assert windows.dropped["short"] == len(short)


@given(region, st.integers(1, 50), st.integers(1, 80))
def test_a_stride_makes_no_window_inside_another(spans, length, stride) -> None:
    windows = tiling_windows(regions_of(spans), length, stride, 1)
    expected = [
        (at, min(at + length, end))
        for start, end in spans
        for at in range(start, end, stride)
        if at == start or at - stride + length < end
    ]
    assert list(zip(windows.start, windows.end, strict=True)) == expected
    covered = {base for start, end in expected for base in range(start, end)}
    if stride <= length:
        assert covered == {base for start, end in spans for base in range(start, end)}


@given(region, st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=5))
def test_background_shares_no_base_with_genes(spans, genes) -> None:
    tiling = tiling_windows(regions_of(spans), 20, 20, 1)
    start = np.array([at for at, _ in genes], np.int64)
    end = start + np.array([length for _, length in genes], np.int64)
    background = background_windows(tiling, start, end)
    free = [
        (s, e)
        for s, e in zip(tiling.start, tiling.end, strict=True)
        if not any(one < e and s < other for one, other in zip(start, end, strict=True))
    ]
    assert list(zip(background.start, background.end, strict=True)) == free
    assert background.dropped["near_genes"] == len(tiling) - len(free)
