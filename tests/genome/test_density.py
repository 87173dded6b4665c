import numpy as np
import pandas as pd
import pytest

from workflow.genome.density import composition


@pytest.mark.parametrize("chunk_bases", [1, 250, 1 << 20])
def test_composition(genome_of, chunk_bases: int) -> None:
    random = np.random.default_rng(0)
    sequences = {name: "".join(random.choice(list("ACGTacgtNnRy"), n)) for name, n in (("b", 950), ("a10", 130))}
    genes = pd.DataFrame({"seqid": ["b", "b", "b", "a10"], "start": [0, 99, 949, 100]})
    bins = composition(genome_of(sequences), genes, chunk_bases)
    assert bins["seqid"].tolist() == ["a10"] * 2 + ["b"] * 10
    assert bins["genes"].tolist() == [0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    for seqid, start, end, n, soft_masked, gc, acgt, _ in bins.itertuples(index=False):
        text = sequences[seqid][start:end]
        assert len(text) == end - start
        assert n == sum(letter in "Nn" for letter in text)
        assert soft_masked == sum(letter.islower() for letter in text)
        assert gc == sum(letter in "GCgc" for letter in text)
        assert acgt == sum(letter in "ACGTacgt" for letter in text)
