from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from evaluation.statistics.blocks import MOST_BLOCKS, BlockMeans, block_sums, blocks
from evaluation.statistics.bootstrap import interval, resampled_means
from workflow.artifacts import InputError


def genome(**lengths: int) -> pd.DataFrame:
    """Sequences named GROUP_COPY, or of no group."""
    groups = [name.split("_")[0] if "_" in name else "" for name in lengths]
    return pd.DataFrame({"seqid": list(lengths), "length": list(lengths.values()), "group": groups})


def tiles(sequences: pd.DataFrame, size: int) -> pd.DataFrame:
    rows = [
        (seqid, start, start + size)
        for seqid, length in sequences[["seqid", "length"]].itertuples(index=False)
        for start in range(0, length - size + 1, size)
    ]
    return pd.DataFrame(rows, columns=["seqid", "start", "end"])


def test_few_windows_are_blocks_of_their_own() -> None:
    sequences = genome(a=1000, b=500)
    assert blocks(tiles(sequences, 100), sequences).tolist() == list(range(15))


def test_blocks_are_as_long_as_possible_while_a_hundred_remain() -> None:
    sequences = genome(a=1_000_000)
    index = tiles(sequences, 1000)
    found = blocks(index, sequences)
    assert found.max() + 1 == 125
    assert found.tolist() == (index["start"] // 8000).tolist()


def test_blocks_do_not_grow_beyond_a_megabase() -> None:
    sequences = genome(a=400_000_000)
    found = blocks(tiles(sequences, 100_000), sequences)
    sizes = np.bincount(found)
    assert sizes.max() * 100_000 <= 1_000_000
    assert sizes.min() * 100_000 >= 800_000


def test_no_block_holds_two_sequences() -> None:
    sequences = genome(a=300_000, b=300_000)
    index = tiles(sequences, 1000)
    held = index.groupby(blocks(index, sequences))["seqid"].nunique()
    assert held.max() == 1
    assert len(held) >= 100


def test_blocks_are_numbered_along_the_genome_without_gaps() -> None:
    sequences = genome(b=200_000, a=150_000)
    index = tiles(sequences, 1000)
    found = blocks(index, sequences)
    assert (np.diff(found) >= 0).all()
    assert set(found) == set(range(found.max() + 1))
    shuffled = np.random.default_rng(0).permutation(len(index))
    np.testing.assert_array_equal(blocks(index.iloc[shuffled], sequences), found[shuffled])


def test_homologous_windows_share_a_block() -> None:
    sequences = genome(g1_A=100_000, g1_B=100_000, g2_A=50_000)
    index = tiles(sequences, 1000).assign(block=lambda table: blocks(table, sequences))
    by_copy = index[index["seqid"].str.startswith("g1")].pivot_table(index="start", columns="seqid", values="block")
    assert (by_copy["g1_A"] == by_copy["g1_B"]).all()
    assert not set(index.loc[index["seqid"] == "g2_A", "block"]) & set(by_copy["g1_A"])


def test_homologs_of_other_lengths_are_aligned_by_their_relative_position() -> None:
    sequences = genome(g_A=100_000, g_B=200_000)
    index = pd.DataFrame({"seqid": ["g_A", "g_B", "g_B"], "start": [60_000, 120_000, 60_000]})
    index["end"] = index["start"] + 1000
    first, same, other = blocks(index, sequences)
    assert first == same != other


def test_unplaced_sequences_are_no_homologs() -> None:
    sequences = genome(u=1000, v=1000)
    assert len(set(blocks(tiles(sequences, 1000), sequences))) == 2


def test_at_most_so_many_blocks_and_all_alike() -> None:
    sequences = genome(**{f"s{number}": 1000 for number in range(10_000)})
    sizes = np.bincount(blocks(tiles(sequences, 1000), sequences))
    assert len(sizes) == MOST_BLOCKS
    assert set(sizes) == {2, 3}


def test_a_window_of_another_genome_is_refused() -> None:
    index = pd.DataFrame({"seqid": ["a", "z"], "start": [0, 0], "end": [10, 10]})
    with pytest.raises(InputError, match=r"name the sequence z, which prepare/sequences\.parquet has not"):
        blocks(index, genome(a=100))


def test_block_sums() -> None:
    values = np.array([[1.0, 10], [2, 20], [4, 40]])
    assert block_sums(values, np.array([2, 0, 2]), 4).tolist() == [[2, 20], [0, 0], [5, 50], [0, 0]]


@pytest.fixture
def means() -> BlockMeans:
    """Two strata and their whole, two quantities; in the second stratum the second quantity is smaller by 1."""
    generator = np.random.default_rng(0)
    weights = generator.integers(50, 150, (40, 2)).astype(float)
    sums = weights[:, :, None] * generator.normal(5, 1, (40, 2, 1)).repeat(2, axis=2)
    sums[:, 1, 1] -= weights[:, 1]
    whole_weights = np.concatenate([weights, weights.sum(axis=1, keepdims=True)], axis=1)
    whole = np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)
    return BlockMeans(whole, whole_weights, 400, 0.95, seed=0)


def test_means_agree_with_resampled_means() -> None:
    generator = np.random.default_rng(1)
    sums, weights = generator.random((30, 1, 2)), generator.integers(1, 9, (30, 1)).astype(float)
    found = BlockMeans(sums, weights, 300, 0.9, seed=3).means(1)
    draws = resampled_means(sums[:, 0], weights[:, 0], 300, seed=3)[:, 1]
    expected = interval(float(sums[:, 0, 1].sum() / weights.sum()), draws, 30, 0.9)
    assert (found.estimate[0], found.low[0], found.high[0]) == pytest.approx(tuple(vars(expected).values()))


def test_differences_are_paired_and_shares_add_up(means: BlockMeans) -> None:
    difference = means.differences(1, 0)
    assert difference.estimate[:2] == pytest.approx([0, 1])
    assert (difference.low[1], difference.high[1]) == pytest.approx((1, 1))
    share = means.shares(1, 0, whole=2)
    assert share.estimate == pytest.approx([0, 1, 1])
    assert means.effect_sizes(1, 0)[:2].tolist() == [0, np.inf]


def test_no_share_of_a_difference_that_could_not_be_shown() -> None:
    noise = np.random.default_rng(0).normal(size=(20, 1, 2))
    noise -= noise.mean(axis=0)
    found = BlockMeans(noise, np.ones((20, 1)), 200, 0.95, seed=0)
    assert found.differences(0, 1).low[0] < 0 < found.differences(0, 1).high[0]
    assert np.isnan(found.shares(0, 1, whole=0).estimate[0])


def test_a_stratum_in_few_blocks_has_no_interval() -> None:
    weights = np.ones((20, 2))
    weights[5:, 1] = 0
    sums = np.random.default_rng(0).random((20, 2, 1)) * weights[:, :, None]
    found = BlockMeans(sums, weights, 100, 0.95, seed=0).means(0)
    assert np.isfinite(found.low[0])
    assert np.isfinite(found.estimate[1])
    assert np.isnan(found.low[1])


def test_blocks_without_a_base_change_nothing() -> None:
    sums, weights = np.random.default_rng(0).random((20, 1, 1)), np.ones((20, 1))
    padded = np.insert(sums, [3, 7, 7], 0, axis=0), np.insert(weights, [3, 7, 7], 0, axis=0)
    without, within = (BlockMeans(*pair, 100, 0.95, 0).means(0) for pair in ((sums, weights), padded))
    assert (without.low[0], without.high[0]) == (within.low[0], within.high[0])


def test_coverage_where_neighbours_resemble_each_other() -> None:
    """Windows that follow an AR(1) process: blocks cover about 95 %, single windows far less."""
    generator = np.random.default_rng(0)
    sequences = genome(a=2_000_000)
    index = tiles(sequences, 1000)
    of_window = blocks(index, sequences)
    count = of_window.max() + 1
    hits = {"blocks": 0, "windows": 0}
    runs = 200
    for run in range(runs):
        values = lfilter([1], [1, -0.6], generator.normal(size=len(index) + 100))[100:, None]
        by_block = BlockMeans(
            block_sums(values, of_window, count)[:, None], np.bincount(of_window)[:, None].astype(float), 200, 0.95, run
        ).means(0)
        hits["blocks"] += by_block.low[0] <= 0 <= by_block.high[0]
        draws = resampled_means(values, np.ones(len(values)), 60, run)[:, 0]
        alone = interval(float(values.mean()), draws, len(values), 0.95)
        hits["windows"] += alone.low <= 0 <= alone.high
    assert hits["blocks"] / runs >= 0.91
    assert hits["windows"] / runs <= 0.8


def test_one_giant_window_does_not_leave_the_others_single() -> None:
    """A gene of 500 kb among 2,000 windows of 8 kb: blocks are still as long as 100 of them allow."""
    lengths = np.where(np.arange(2000) == 7, 500_000, 8000)
    end = np.cumsum(lengths)
    index = pd.DataFrame({"seqid": "a", "start": end - lengths, "end": end})
    assert 100 <= blocks(index, genome(a=int(end[-1]))).max() + 1 <= 256
