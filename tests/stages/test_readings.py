"""Readings in any cut are those of the whole: names, bases on both strands, and what is stored of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow.stages.readings import Readings, WindowSet
from workflow.striped_hyena.scoring import SequenceScore

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def window_set(lengths: list[int], name: str, reverse: bool, subfolder: str = "") -> WindowSet:
    """Windows `w0`, `w1`, … of which each has bases of its own."""
    table = pd.DataFrame({"sequence_id": [f"{name}{row}" for row in range(len(lengths))], "length": lengths})
    table = table.assign(seqid=name, start=0, end=table["length"], strand="-")
    letters = np.frombuffer(b"ACGTacgtN", np.uint8)
    bases = [letters[np.random.default_rng(row).integers(0, 9, length)] for row, length in enumerate(lengths)]
    return WindowSet(table, lambda row: bases[row], subfolder, reverse)


def scores(readings: Readings, start: int, stop: int) -> Iterator[SequenceScore]:
    """A score that tells reading, position and column."""
    for reading in range(start, stop):
        length = int(readings.lengths[reading])
        logprobs = reading + np.arange(length)[:, None] / 8 + np.arange(4) / 64
        yield SequenceScore(logprobs.astype(np.float32), reading % 3, reading * 0.1, reading * 0.01)


def test_order_names_and_both_directions() -> None:
    readings = Readings([window_set([3, 2], "w", reverse=True), window_set([4], "other", reverse=False)])
    assert len(readings) == 5 and readings.lengths.tolist() == [3, 3, 2, 2, 4]
    whole = readings.sequences(0, 5)
    assert whole.names == ["w0", "w0|reverse", "w1", "w1|reverse", "other0"]
    forward, turned, _, _, other = (bases.tobytes().decode() for bases in whole)
    assert turned == forward.translate(str.maketrans("ACGTacgt", "TGCAtgca"))[::-1]
    part = readings.sequences(1, 5)
    assert part.names == whole.names[1:] and part.lengths.tolist() == [3, 2, 2, 4]
    assert [bases.tobytes().decode() for bases in part][::3] == [turned, other]


@settings(max_examples=25)
@given(LENGTHS, LENGTHS, st.booleans(), st.lists(st.integers(0, 18), max_size=3))
def test_the_parts_of_any_cut_make_the_whole(
    lengths: list[int], others: list[int], reverse: bool, cuts: list[int]
) -> None:
    readings = Readings([window_set(lengths, "w", reverse), window_set(others, "other", False, "deep")])
    edges = [0, *sorted(min(cut, len(readings)) for cut in cuts), len(readings)]
    with TemporaryDirectory() as place:
        readings.write(0, len(readings), scores(readings, 0, len(readings)), Path(place) / "whole", "m")
        parts = [Path(place) / str(number) for number in range(len(edges) - 1)]
        for part, start, stop in zip(parts, edges, edges[1:], strict=False):
            readings.write(start, stop, scores(readings, start, stop), part, "m")
        for folder, windows in (("m", readings.sets[0]), ("deep/m", readings.sets[1])):
            there = [part / folder for part in parts if (part / folder).exists()]
            for name in windows.arrays:
                joined = np.concatenate([np.load(part / name) for part in there])
                np.testing.assert_array_equal(joined, np.load(Path(place) / "whole" / folder / name))
            tables = [pd.read_parquet(part / "scores.parquet") for part in there]
            joined_scores = pd.concat([table for table in tables if len(table)], ignore_index=True)
            expected = pd.read_parquet(Path(place) / "whole" / folder / "scores.parquet")
            pd.testing.assert_frame_equal(joined_scores, expected)
            assert expected["mean"].isna().tolist() == (expected["n"] == 0).tolist()
