from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.around import KINDS, REACH, AroundTally
from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.per_base.stream import Chunk
from workflow.artifacts import InputError

Maker = Callable[..., Chunk]
Giver = Callable[[np.ndarray, np.ndarray], np.ndarray]


def sites_of(*rows: tuple[str, str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "seqid", "position", "strand"])


def windows(*rows: tuple[str, int, int, str]) -> pd.DataFrame:
    index = pd.DataFrame(rows, columns=["seqid", "start", "end", "strand"])
    return index.assign(length=index["end"] - index["start"])


def uniform(size: int) -> np.ndarray:
    return np.full((size, 4), np.log(0.25), np.float32)


@pytest.mark.parametrize("gene", "+-")
@pytest.mark.parametrize("window", "+-")
def test_offsets_follow_transcription(make_chunk: Maker, give_nll: Giver, gene: str, window: str) -> None:
    position, length, start = 460, 400, 300
    downstream = position + 7 if gene == "+" else position - 7
    nll = np.full(length, 1.0)
    nll[downstream - start if window == "+" else start + length - 1 - downstream] = 3.0
    codes = np.zeros(length, np.uint8)
    tally = AroundTally(
        sites_of(("donor", "chr", position, gene)), windows(("chr", start, start + length, window)), ("base",)
    )
    tally.add(make_chunk(codes, [length], {"base": give_nll(codes, nll)}), np.zeros(1, np.int64))
    result = tally.result(20, 0.95, 0)
    reading = "along" if gene == window else "against"
    profile = result.profile("donor", reading, "base").set_index("offset")["nll"]
    assert profile[7] == pytest.approx(3)
    assert profile.drop(7).to_numpy() == pytest.approx(np.ones(2 * REACH))
    assert result.sites.set_index(["kind", "reading"])["sites"][("donor", reading)] == 1
    assert result.sites["sites"].sum() == 1
    assert result.table["n"].sum() == 2 * REACH + 1


@pytest.mark.parametrize("strand", "+-")
def test_sites_at_the_borders_of_a_window(make_chunk: Maker, strand: str) -> None:
    found = sites_of(*(("tss", "chr", position, "+") for position in (99, 100, 299, 300)))
    tally = AroundTally(found, windows(("chr", 100, 300, strand)), ("base",))
    tally.add(make_chunk(np.zeros(200, np.uint8), [200], {"base": uniform(200)}), np.zeros(1, np.int64))
    result = tally.result(20, 0.95, 0)
    profile = result.profile("tss", "along" if strand == "+" else "against", "base").set_index("offset")
    assert profile["n"][0] == 2
    # What precedes the site on the first base, and what follows that on the last one, lies outside.
    assert profile["n"][[-100, -1, 1, 100]].tolist() == [1, 1, 1, 1]
    assert result.sites["sites"].sum() == 2


def test_uniform_predictions(make_chunk: Maker) -> None:
    index = windows(("chr", 0, 300, "+"), ("chr", 300, 600, "+"))
    tally = AroundTally(sites_of(("tss", "chr", 150, "+"), ("tss", "chr", 450, "+")), index, ("base", "markov"))
    logprobs = {"base": uniform(600).astype(np.float16), "markov": uniform(600)}
    tally.add(make_chunk(np.arange(600, dtype=np.uint8) % 4, [300, 300], logprobs), np.array([0, 1]))
    for model in ("base", "markov"):
        profile = tally.result(50, 0.95, 0).profile("tss", "along", model)
        for column in ("nll", "nll_low", "nll_high"):
            assert profile[column].to_numpy() == pytest.approx(np.full(201, UNIFORM_NLL), abs=1e-3)
        assert profile["entropy"].to_numpy() == pytest.approx(np.full(201, 2.0), abs=1e-3)


def test_certain_predictions(make_chunk: Maker, give_nll: Giver) -> None:
    codes = np.arange(300, dtype=np.uint8) % 4
    tally = AroundTally(sites_of(("acceptor", "chr", 150, "-")), windows(("chr", 0, 300, "+")), ("base",))
    tally.add(make_chunk(codes, [300], {"base": give_nll(codes, np.zeros(300))}), np.zeros(1, np.int64))
    profile = tally.result(20, 0.95, 0).profile("acceptor", "against", "base")
    assert profile[["nll", "entropy"]].to_numpy() == pytest.approx(np.zeros((201, 2)), abs=1e-6)
    assert profile[["nll_low", "nll_high"]].isna().all(axis=None)  # a single block has no interval


def test_agrees_with_counting_one_by_one(make_chunk: Maker, give_nll: Giver) -> None:
    generator = np.random.default_rng(0)
    lengths = [130, 260, 400, 90]
    rows = [("a", 50, 180, "+"), ("b", 0, 260, "-"), ("a", 400, 800, "-"), ("c", 7, 97, "+")]
    size = sum(lengths)
    codes = generator.integers(0, 4, size).astype(np.uint8)
    nll = generator.uniform(0.1, 3, size)
    unscored = generator.choice(size, 40, replace=False)
    table = pd.DataFrame(
        {
            "kind": generator.choice(KINDS, 100),
            "seqid": generator.choice(["b", "a", "d"], 100),
            "position": generator.integers(0, 900, 100),
            "strand": generator.choice(["+", "-"], 100),
        }
    ).drop_duplicates()
    tally = AroundTally(table, windows(*rows), ("base",))
    piece = make_chunk(codes, lengths, {"base": give_nll(codes, nll)}, unscored=unscored)
    tally.add(piece, np.arange(4))
    result = tally.result(20, 0.95, 0)
    expected: dict[tuple[str, str, int], list[float]] = {}
    for row, (seqid, start, end, strand) in enumerate(rows):
        for site in table.itertuples():
            if site.seqid != seqid or not start <= site.position < end:
                continue
            for offset in range(-REACH, REACH + 1):
                place = site.position + (offset if site.strand == "+" else -offset)
                at = place - start if strand == "+" else end - 1 - place
                if start <= place < end and piece.scored[piece.starts[row] + at]:
                    key = site.kind, "along" if site.strand == strand else "against", offset
                    expected.setdefault(key, []).append(nll[piece.starts[row] + at])
    found = result.table.set_index(["kind", "reading", "offset"])
    assert {key for key in found.index if found["n"][key]} == set(expected)
    assert [found["n"][key] for key in expected] == [len(values) for values in expected.values()]
    assert [found["nll"][key] for key in expected] == pytest.approx([np.mean(v) for v in expected.values()], rel=1e-5)


def test_windows_that_join_exons_are_left_out(make_chunk: Maker) -> None:
    index = windows(("chr", 0, 300, "+")).assign(length=200)
    tally = AroundTally(sites_of(("tss", "chr", 150, "+")), index, ("base",))
    tally.add(make_chunk(np.zeros(200, np.uint8), [200], {"base": uniform(200)}), np.zeros(1, np.int64))
    result = tally.result(20, 0.95, 0)
    assert result.empty
    assert result.left_out == 1
    assert result.table["nll"].isna().all()


def test_pieces_add_up(make_chunk: Maker, give_nll: Giver) -> None:
    generator = np.random.default_rng(3)
    codes = generator.integers(0, 4, 600).astype(np.uint8)
    logprobs = give_nll(codes, generator.uniform(0.1, 3, 600))
    index = windows(("chr", 0, 300, "+"), ("chr", 300, 600, "-"))
    table = sites_of(("tss", "chr", 100, "+"), ("stop_codon", "chr", 310, "-"))
    whole, parts = (AroundTally(table, index, ("base",)) for _ in range(2))
    whole.add(make_chunk(codes, [300, 300], {"base": logprobs}), np.array([4, 260]))
    for row in range(2):
        piece = slice(300 * row, 300 * row + 300)
        part = make_chunk(codes[piece], [300], {"base": logprobs[piece]})
        shifted = Chunk(slice(row, row + 1), *(getattr(part, name) for name in list(Chunk.__annotations__)[1:]))
        parts.add(shifted, np.array([4, 260])[row : row + 1])
    pd.testing.assert_frame_equal(whole.result(20, 0.95, 0).table, parts.result(20, 0.95, 0).table)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"sites.parquet, row 1: the kind 'enhancer' is none of tss, start_codon"):
        AroundTally(
            sites_of(("tss", "chr", 1, "+"), ("enhancer", "chr", 5, "+")), windows(("chr", 0, 9, "+")), ("base",)
        )
