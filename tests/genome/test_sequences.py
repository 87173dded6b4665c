import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from workflow.errors import InputError
from workflow.genome.sequences import Genome

SEQUENCES = {"chr1": "ACGTNNacgtRYK", "2": "TTTTGGGGCC"}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    from workflow.genome.fasta import import_fasta

    folder = tmp_path_factory.mktemp("genome")
    (folder / "in.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in SEQUENCES.items()))
    import_fasta(folder / "in.fa", folder / "genome.fa")
    return Genome(folder / "genome.fa")


@given(st.sampled_from(sorted(SEQUENCES)), st.integers(0, 13), st.integers(0, 13), st.sampled_from("+-"))
def test_fetch_is_a_slice(genome: Genome, seqid: str, one: int, other: int, strand: str) -> None:
    start, end = sorted((min(one, len(SEQUENCES[seqid])), min(other, len(SEQUENCES[seqid]))))
    expected = SEQUENCES[seqid][start:end]
    if strand == "-":
        expected = str(Seq(expected).reverse_complement())
    bases = genome.fetch(seqid, start, end, strand)
    assert bases.dtype == np.uint8
    assert bases.tobytes().decode() == expected


def test_lengths_keep_the_order_of_the_file(genome: Genome) -> None:
    assert list(genome.lengths.items()) == [("chr1", 13), ("2", 10)]


def test_what_is_not_there(genome: Genome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no sequence chr9"):
        genome.fetch("chr9", 0, 1)
    with pytest.raises(InputError, match=r"2:5-11 lies outside of the sequence's 10 bases"):
        genome.fetch("2", 5, 11)
    with pytest.raises(InputError, match=r"none\.fa does not exist: run stage=prepare first"):
        Genome(tmp_path / "none.fa")


def test_an_index_that_looks_old_is_used_as_it_is(genome: Genome) -> None:
    index = genome.path.with_name("genome.fa.fai")
    before = index.read_bytes()
    os.utime(index, (1, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Genome(genome.path).fetch("2", 0, 4).tobytes() == b"TTTT"
    assert index.read_bytes() == before
