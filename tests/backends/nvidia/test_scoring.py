"""Windows in parts: nothing twice, nothing lost, never more disk than allowed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workflow.backends.base import SequenceSet
from workflow.backends.nvidia.scoring import RAW_BYTES_OF_BASE, divide, write_fasta


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60), st.integers(1, 20_000))
def test_parts_cover_all_and_keep_the_limit(lengths: list[int], tokens: int) -> None:
    gigabytes = tokens * RAW_BYTES_OF_BASE / 1e9
    parts = divide(np.array(lengths), gigabytes)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(len(lengths)))
    for part in parts:
        inside = lengths[part]
        assert len(inside) == 1 or (max(inside) + 1) * len(inside) <= tokens * (1 + 1e-9)
    # Two neighbours do not both fit into one part.
    for one, other in itertools.pairwise(parts):
        together = lengths[one] + lengths[other][:1]
        assert (max(together) + 1) * len(together) > tokens * (1 - 1e-9)


def test_a_part_is_a_set_of_its_own(tmp_path: Path) -> None:
    bases = [np.frombuffer(text, np.uint8) for text in (b"ACGT", b"GG", b"acgtN")]
    whole = SequenceSet(["a", "b", "c"], np.array([4, 2, 5]), lambda i: bases[i])
    part = whole.part(1, 3)
    assert part.names == ["b", "c"] and [sequence.tobytes() for sequence in part] == [b"GG", b"acgtN"]
    write_fasta(part, tmp_path / "part.fa")
    assert (tmp_path / "part.fa").read_text() == ">b\nGG\n>c\nacgtN\n"
