import numpy as np
import pandas as pd
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from workflow.genome.kmers import K, canonical_kmers, sketch_contigs


def code_of(kmer: str) -> int:
    code = 0
    for base in kmer.upper():
        code = 4 * code + "ACGT".index(base)
    return code


@given(st.text("ACGTacgtNR", max_size=80), st.sampled_from([1, 2, 3, 5, 8, 11, 30, 31]))
def test_canonical_kmers(text: str, k: int) -> None:
    codes, valid = canonical_kmers(np.frombuffer(text.encode(), np.uint8), k)
    kmers = [text[start : start + k] for start in range(len(text) - k + 1)]
    assert valid.tolist() == [set(kmer.upper()) <= set("ACGT") for kmer in kmers]
    expected = [
        min(code_of(kmer), code_of(str(Seq(kmer).reverse_complement())))
        for kmer in kmers
        if set(kmer.upper()) <= set("ACGT")
    ]
    assert codes[valid].tolist() == expected


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


def whole(sequences: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(name, 0, len(bases)) for name, bases in sequences.items()], columns=["seqid", "start", "end"])


def test_small_genomes_are_not_sampled(genome_of) -> None:
    sequences = {"a": random_bases(70_000, 1), "b": "ACGT", "c": random_bases(K, 2)}
    sketch = sketch_contigs(genome_of(sequences), whole(sequences))
    assert sketch.scale == 1
    assert sketch.positions.tolist() == [*range(70_000 - K + 1), 70_004]


def test_both_strands_and_cases_are_sampled_alike(genome_of) -> None:
    bases = random_bases(50_000, 3)
    sequences = {"a": bases, "b": str(Seq(bases).reverse_complement()).lower()}
    sketch = sketch_contigs(genome_of(sequences), whole(sequences), max_kmers=5_000)
    on_b = sketch.positions >= 50_000
    assert sketch.scale == 20
    assert 0.8 < len(sketch.hashes) / (100_000 / 20) < 1.2
    assert sorted(sketch.hashes[on_b]) == sorted(sketch.hashes[~on_b])
    assert sketch.hashes.max() <= 2**64 // 20
