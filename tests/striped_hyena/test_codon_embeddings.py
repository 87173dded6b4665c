from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workflow.striped_hyena.codon_embeddings import CodonStates
from workflow.striped_hyena.codons.genetic_code import CODONS


def ascii_of(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def numbered(length: int, layers: int = 2, width: int = 3, seed: int = 0) -> np.ndarray:
    """(length, layers, width) states."""
    return np.random.default_rng(seed).normal(size=(length, layers, width)).astype(np.float32)


def test_means_are_of_the_third_bases() -> None:
    bases, states = ascii_of("GCTaaaGCTGCNgctT"), numbered(16)
    found = CodonStates(2, 3, seed=0)
    found.add(bases, states)
    gct, aaa = CODONS.index("GCT"), CODONS.index("AAA")
    assert found.counts[[gct, aaa]].tolist() == [3, 1] and found.counts.sum() == 4
    np.testing.assert_allclose(found.means()[gct], states[[2, 8, 14]].mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found.means()[aaa], states[5])
    others = np.delete(found.means(), [gct, aaa], axis=0)
    assert np.isnan(others).all() and found.means().shape == (64, 2, 3)


def test_pieces_of_a_sequence_are_the_sequence() -> None:
    rng = np.random.default_rng(1)
    bases, states = ascii_of("".join(rng.choice(list("ACGTN"), 301))), numbered(301)
    whole, parts = CodonStates(2, 3, seed=5), CodonStates(2, 3, seed=5)
    whole.add(bases, states)
    for first, last in ((0, 100), (100, 101), (101, 250), (250, 301)):
        parts.add(bases, states[first:last], first)
    np.testing.assert_array_equal(whole.counts, parts.counts)
    np.testing.assert_allclose(whole.means(), parts.means(), rtol=1e-6)
    for one, other in zip(whole.sample(), parts.sample(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_sample_is_bounded_seeded_and_of_all_occurrences() -> None:
    bases = ascii_of("GCT" * 400)
    states = np.repeat(np.arange(1200, dtype=np.float32), 1).reshape(-1, 1, 1)

    def kept(seed: int) -> np.ndarray:
        found = CodonStates(1, 1, seed, sample=50)
        for start in range(0, 1200, 300):
            found.add(bases[start : start + 300], states[start : start + 300])
        codons, values = found.sample()
        assert (codons == CODONS.index("GCT")).all() and values.shape == (50, 1, 1)
        return np.sort(values.ravel())

    assert np.array_equal(kept(1), kept(1)) and not np.array_equal(kept(1), kept(2))
    assert (kept(1) % 3 == 2).all() and len(set(kept(1))) == 50
    # Uniform over the sequence: the mean of 50 of 0 … 1199 has a standard error of 49.
    assert abs(np.mean([kept(seed).mean() for seed in range(20)]) - 600) < 45


def test_few_occurrences_are_all_kept_and_written(tmp_path: Path) -> None:
    found = CodonStates(1, 2, seed=0, sample=5)
    states = numbered(9, 1, 2)
    found.add(ascii_of("AAATTTAAA"), states)
    found.write(tmp_path / "new")
    assert pd.read_parquet(tmp_path / "new" / "codon_sample.parquet")["codon"].tolist() == ["AAA", "AAA", "TTT"]
    sample = np.load(tmp_path / "new" / "codon_sample.npy", allow_pickle=False)
    assert {tuple(row) for row in sample[:2, 0]} == {tuple(states[2, 0]), tuple(states[8, 0])}
    assert np.load(tmp_path / "new" / "codons.npy", allow_pickle=False).shape == (64, 1, 2)
    counts = pd.read_parquet(tmp_path / "new" / "codons.parquet")
    assert counts.set_index("codon")["n"].loc[["AAA", "TTT", "GGG"]].tolist() == [2, 1, 0]
