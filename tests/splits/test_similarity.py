from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq

from workflow.splits.hashing import K
from workflow.splits.kmers import Sketch, sample_kmers
from workflow.splits.similarity import similar_groups


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


@pytest.fixture
def sketch_of(genome_of, tmp_path: Path) -> Callable[..., Sketch]:
    """All k-mers of one sequence, or so many."""

    def sketched(bases: str, max_kmers: int = 1 << 22) -> Sketch:
        contigs = pd.DataFrame({"seqid": ["a"], "start": [0], "end": [len(bases)]})
        return sample_kmers(genome_of({"a": bases}), contigs, tmp_path / "kmers", 1).sketch(max_kmers)

    return sketched


def blocks_of(length: int, block: int) -> pd.DataFrame:
    starts = np.arange(0, length, block)
    return pd.DataFrame({"seqid": "a", "start": starts, "end": starts + block})


@pytest.mark.parametrize("max_kmers", [1 << 22, 1_500])
def test_an_inverted_repeat_ties_its_blocks(sketch_of, max_kmers: int) -> None:
    bases = random_bases(10_000, 0)
    bases = bases[:7_500] + str(Seq(bases[1_500:2_500]).reverse_complement()) + bases[8_500:]
    blocks = blocks_of(10_000, 1_000)
    sketch = sketch_of(bases, max_kmers)
    # The halves of the repeat, 1500-2000 and 2000-2500, lie again in blocks 8 and 7.
    assert similar_groups(blocks, sketch, 0.1).tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 1, 9]
    assert similar_groups(blocks, sketch, 0.6).tolist() == list(range(10))


def test_threshold_is_a_share_of_the_smaller_block(sketch_of) -> None:
    bases = random_bases(4_000, 1)
    bases = bases[:3_000] + bases[:100] + bases[3_100:]
    sketch = sketch_of(bases)
    shared = (100 - K + 1) / 1_000
    blocks = blocks_of(4_000, 1_000)
    assert similar_groups(blocks, sketch, shared - 0.005).tolist() == [0, 1, 2, 0]
    assert similar_groups(blocks, sketch, shared + 0.005).tolist() == [0, 1, 2, 3]


def test_a_long_copy_ties_whatever_its_share(sketch_of) -> None:
    bases = random_bases(4_000, 1)
    bases = bases[:3_000] + bases[:100] + bases[3_100:]
    sketch = sketch_of(bases)
    shared = 100 - K + 1
    blocks = blocks_of(4_000, 1_000)
    assert similar_groups(blocks, sketch, 0.1).tolist() == [0, 1, 2, 3]
    assert similar_groups(blocks, sketch, 0.1, longest=10 * shared - 10).tolist() == [0, 1, 2, 0]
    assert similar_groups(blocks, sketch, 0.1, longest=10 * shared + 10).tolist() == [0, 1, 2, 3]


def test_dispersed_repeats_do_not_tie(sketch_of) -> None:
    repeat = random_bases(100, 2)
    bases = "".join(random_bases(400, 10 + i) + repeat for i in range(70))
    sketch = sketch_of(bases)
    assert similar_groups(blocks_of(35_000, 500), sketch, 0.02).tolist() == list(range(70))
