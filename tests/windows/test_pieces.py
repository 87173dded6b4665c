import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from workflow.genome.layout import Layout
from workflow.windows.pieces import Pieces, Regions, Windows, joined

LAYOUT = Layout({"a": 50, "b": 50})


@given(st.lists(st.integers(0, 100), min_size=2, max_size=8, unique=True), st.integers(0, 99), st.integers(1, 60))
def test_the_region_around_an_interval(borders: list[int], start: int, length: int) -> None:
    cut = sorted({*borders, 50})
    spans = [(one, other) for one, other in zip(cut[::2], cut[1::2], strict=False) if one >= 50 or other <= 50]
    table = pd.DataFrame(
        [("ab"[one >= 50], one % 50, (other - 1) % 50 + 1, "val") for one, other in spans][::-1],
        columns=["seqid", "start", "end", "split"],
    )
    end = min(start + length, 100)
    region, touches = Regions(table, LAYOUT).around(np.array([start]), np.array([end]))
    around = [number for number, (one, other) in enumerate(spans) if one <= start and end <= other]
    assert region[0] == (around[0] if around else -1)
    assert touches[0] == any(one < end and start < other for one, other in spans)


def test_windows_are_taken_with_their_pieces() -> None:
    pieces = Pieces(np.array([0, 2, 3, 5]), np.arange(5) * 10, np.arange(5) * 10 + 3, np.zeros(5, bool))
    at = np.array([0, 20, 30])
    windows = Windows(at, at + 13, np.zeros(3, bool), np.zeros(3, int), pieces, pa.array(["p", "q", "r"]))
    taken = windows.take(np.array([2, 0]))
    assert taken.read().start.tolist() == [30, 40, 0, 10]
    assert taken.lengths().tolist() == [6, 6]
    assert taken.parents.to_pylist() == ["r", "p"]
    assert windows.keep(windows.lengths() > 3, "short").dropped == {"short": 1}


def test_joined_ids() -> None:
    assert joined(pa.array(["a", "b", "c"]), np.array([2, 1]), ",").to_pylist() == ["a,b", "c"]
