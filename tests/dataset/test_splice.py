from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.dataset import splice as module
from workflow.dataset.splice import Pieces, Texts, splice
from workflow.errors import InputError

SOURCE = bytes(np.random.default_rng(0).integers(0, 256, 500, dtype=np.uint8))
#: Number of a text, start and length.
PIECES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(0, 100)), min_size=1, max_size=30)
TEXTS = [b"", b"one", b"\n", b"|text|"]


def write(folder: Path, pieces: list[tuple[int, int, int]], at: int = 0) -> tuple[bytes, int]:
    """The file that is written, and the bytes that are said to be done."""
    (folder / "source").write_bytes(SOURCE)
    told: list[int] = []
    columns = Pieces(*(np.array(column, np.int64) for column in zip(*pieces, strict=True)))
    target = folder / "target"
    size = splice(folder / "source", target, columns, Texts.of(TEXTS), at=at, closing=b"!", advance=told.append)
    assert size == target.stat().st_size
    return target.read_bytes(), sum(told)


def joined(pieces: list[tuple[int, int, int]]) -> bytes:
    return b"".join(TEXTS[text] + SOURCE[start : start + length] for text, start, length in pieces) + b"!"


@given(pieces=PIECES, block=st.integers(1, 120), threads=st.integers(1, 3))
def test_any_pieces_in_any_order_whatever_the_blocks_and_threads(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, int, int]], block: int, threads: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", block)
        patch.setattr("workflow.genome.parallel.workers", lambda: threads)
        written, told = write(tmp_path_factory.mktemp("splice"), pieces)
    assert written == joined(pieces)
    assert told == sum(length for _, _, length in pieces)


def test_an_older_longer_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(bytes(1000))
    assert write(tmp_path, [(1, 0, 10)])[0] == joined([(1, 0, 10)])


def test_a_file_is_gone_on_with(tmp_path: Path) -> None:
    first = write(tmp_path, [(1, 0, 10)])[0]
    assert write(tmp_path, [(2, 5, 20)], at=len(first))[0] == first + joined([(2, 5, 20)])


def test_a_source_that_is_cut_short(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"source ends at byte 500, its index says otherwise: run stage=prepare again"):
        write(tmp_path, [(0, 0, 10), (1, 450, 60)])
