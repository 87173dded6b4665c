import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.genome.layout import Layout, parts_of

CIRCLE = 100


@given(st.dictionaries(st.text("ab", min_size=1), st.integers(1, 50), min_size=1), st.data())
def test_positions_go_there_and_back(lengths: dict[str, int], data: st.DataObject) -> None:
    layout = Layout(lengths, sorted(lengths))
    assert layout.total == sum(lengths.values())
    seqid = data.draw(st.sampled_from(sorted(lengths)))
    position = data.draw(st.integers(0, lengths[seqid] - 1))
    number = layout.numbers(pd.Series([seqid]))
    sequence, local = layout.local(layout.offsets[number] + position)
    assert (layout.seqids[sequence[0]], local[0]) == (seqid, position)


def test_unknown_sequences_are_a_fault() -> None:
    with pytest.raises(ValueError, match="sequence b is not in the genome"):
        Layout({"a": 1}).numbers(pd.Series(["a", "b"]))


@given(st.integers(0, CIRCLE - 1), st.integers(1, CIRCLE), st.sampled_from("+-"), st.integers(0, 1))
def test_parts_across_the_origin_are_read_in_order(start: int, length: int, strand: str, turns: int) -> None:
    shift = turns * CIRCLE
    table = pd.DataFrame(
        {"transcript": [3], "seqid": ["c"], "start": [start + shift], "end": [start + length + shift], "strand": strand}
    )
    parts = parts_of(table, Layout({"before": 7, "c": CIRCLE}))
    read = []
    for one, other, reverse in zip(parts.start, parts.end, parts.reverse, strict=True):
        positions = list(range(one - 7, other - 7))
        read += positions[::-1] if reverse else positions
    expected = [position % CIRCLE for position in range(start, start + length)]
    assert read == (expected[::-1] if strand == "-" else expected)
    assert parts.transcript.tolist() == [3] * len(parts.row)
    assert parts.read_before().tolist() == [0, *np.cumsum(parts.length)[:-1]]


def test_gaps_follow_the_direction_of_one_strand() -> None:
    table = pd.DataFrame(
        [
            (0, "a", 10, 20, "+"),
            (0, "a", 30, 40, "+"),
            (1, "a", 80, 90, "-"),
            (1, "a", 50, 60, "-"),
            (1, "a", 70, 75, "-"),  # against the direction: trans-spliced
            (1, "a", 20, 30, "+"),
        ],
        columns=["transcript", "seqid", "start", "end", "strand"],
    )
    row, start, end = parts_of(table, Layout({"a": 100})).gaps()
    assert list(zip(row, start, end, strict=True)) == [(0, 20, 30), (2, 60, 80)]
