from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from workflow.genome.regions import cut_blocks, cut_out, merge_adjacent, purge_borders, tile, total_bases


@st.composite
def contig_tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = []
    for seqid in range(draw(st.integers(1, 2))):
        position = draw(st.integers(0, 3))
        for length, gap in draw(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20)), min_size=1, max_size=4)):
            rows.append((f"s{seqid}", position, position + length))
            position += length + gap
    return pd.DataFrame(rows, columns=["seqid", "start", "end"])


@st.composite
def region_tables(draw: st.DrawFn) -> pd.DataFrame:
    blocks = cut_blocks(draw(contig_tables()), draw(st.integers(1, 30)))
    split = st.lists(st.sampled_from(["train", "val", "test"]), min_size=len(blocks), max_size=len(blocks))
    return blocks.assign(split=draw(split), group=[f"block{i}" for i in range(len(blocks))])


def painted(regions: pd.DataFrame) -> dict[tuple[str, int], str]:
    """Split of every base."""
    return {
        (row.seqid, position): getattr(row, "split", "")
        for row in regions.itertuples()
        for position in range(row.start, row.end)
    }


@given(contig_tables(), st.integers(1, 30))
def test_blocks_tile_the_contigs(contigs: pd.DataFrame, block_length: int) -> None:
    blocks = cut_blocks(contigs, block_length)
    assert total_bases(blocks) == total_bases(contigs)
    assert painted(blocks) == painted(contigs)
    length = blocks["end"] - blocks["start"]
    assert length.min() > 0
    assert length.max() <= 1.5 * block_length + 1


@given(region_tables())
def test_merging_changes_no_base_and_leaves_nothing_to_merge(regions: pd.DataFrame) -> None:
    merged = merge_adjacent(regions)
    assert painted(merged) == painted(regions)
    assert ",".join(merged["group"]) == ",".join(regions["group"])
    pd.testing.assert_frame_equal(merge_adjacent(merged), merged, check_dtype=False)


@given(region_tables(), st.integers(0, 40))
def test_purging_keeps_splits_apart_and_takes_only_what_lies_near_borders(regions: pd.DataFrame, purge: int) -> None:
    left, purged = purge_borders(merge_adjacent(regions), purge)
    before, after = painted(regions), painted(left)
    assert len(before) - len(after) == purged
    assert after.items() <= before.items()
    for seqid in {key[0] for key in after}:
        places = np.array(sorted(position for name, position in after if name == seqid))
        split = np.array([after[seqid, position] for position in places])
        change = np.flatnonzero(split[1:] != split[:-1])
        assert np.all(places[change + 1] - places[change] - 1 >= purge)
    for seqid, position in before.keys() - after.keys():
        near = {before.get((seqid, other)) for other in range(position - purge - 20, position + purge + 21)} - {None}
        assert len(near) > 1


@given(region_tables(), st.integers(0, 40), st.integers(0, 30))
def test_purging_a_circle_is_purging_it_from_wherever_it_is_cut(regions: pd.DataFrame, purge: int, tail: int) -> None:
    regions = merge_adjacent(regions[regions["seqid"] == "s0"])
    length = int(regions["end"].max()) + tail
    left, purged = purge_borders(regions, purge, {"s0": length})
    after = {position: split for (_, position), split in painted(left).items()}
    assert len(painted(regions)) - len(after) == purged
    assert {("s0", position): split for position, split in after.items()}.items() <= painted(regions).items()
    turns = [(position + turn * length, split) for turn in (0, 1) for position, split in sorted(after.items())]
    for (position, split), (following, other) in pairwise(turns):
        assert split == other or following - position > purge
    if regions["split"].nunique() == 1:
        assert purged == 0


def test_a_border_across_the_origin_is_halved() -> None:
    regions = pd.DataFrame(
        [("a", 1, 100, "train", "x"), ("a", 100, 200, "val", "y")], columns=["seqid", "start", "end", "split", "group"]
    )
    left, purged = purge_borders(regions, 10, {"a": 201})
    # The circle's border lies between 200 and 201 + 1: its middle is the end of the sequence.
    assert left[["start", "end"]].to_numpy().tolist() == [[5, 95], [105, 196]]
    assert purged == 4 + 10 + 4
    assert purge_borders(regions, 10, {"b": 201})[1] == 10


def test_half_is_purged_on_each_side_and_a_gap_counts() -> None:
    regions = pd.DataFrame(
        [("a", 0, 100, "train", "x"), ("a", 100, 200, "val", "y"), ("a", 206, 300, "test", "z")],
        columns=["seqid", "start", "end", "split", "group"],
    )
    left, purged = purge_borders(regions, 11)
    assert left[["start", "end"]].to_numpy().tolist() == [[0, 95], [106, 198], [209, 300]]
    assert purged == 5 + 6 + 2 + 3
    assert left["group"].tolist() == ["x", "y", "z"]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 500)), min_size=1, max_size=5),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_tiles(places: list[tuple[int, int]], length: int, stride: int) -> None:
    first = np.array([start for start, _ in places])
    region, starts, ends = tile(first, first + [bases for _, bases in places], length, stride)
    for row, (start, bases) in enumerate(places):
        pieces = [(place, min(place + length, start + bases)) for place in range(start, start + bases, stride)]
        # The first that reaches the end is the last: what follows holds nothing new.
        last = next((number for number, piece in enumerate(pieces) if piece[1] == start + bases), len(pieces))
        expected = pieces[: last + 1]
        here = region == row
        assert list(zip(starts[here].tolist(), ends[here].tolist(), strict=True)) == expected


@given(st.lists(st.integers(0, 100), min_size=4, max_size=12, unique=True), st.lists(st.integers(0, 100), unique=True))
def test_what_is_cut_out(borders: list[int], cuts: list[int]) -> None:
    borders, cuts = sorted(borders)[: len(borders) // 2 * 2], sorted(cuts)[: len(cuts) // 2 * 2]
    regions = pd.DataFrame({"seqid": "a", "start": borders[::2], "end": borders[1::2], "split": "val"})
    start, end = np.array(cuts[::2], np.int64), np.array(cuts[1::2], np.int64)
    left = cut_out(regions, np.full(len(start), "a"), start, end)

    def painted(pairs) -> set[int]:
        return {base for first, last in pairs for base in range(first, last)}

    expected = painted(zip(borders[::2], borders[1::2], strict=True)) - painted(zip(start, end, strict=True))
    assert painted(zip(left["start"], left["end"], strict=True)) == expected
    assert total_bases(left) == len(expected)
