from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.decomposition import PCA

from evaluation.artefacts.sequences import kmer_counts, kmer_spectrum, spectrum_distance
from evaluation.generation.composition import compose
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import Samples
from tests.evaluation.generation.conftest import random_dna


def by_prompts(prompts: int, samples: int, seed: int, **options: tuple[float, ...]) -> list[list[str]]:
    return [[random_dna(300, seed + 100 * p + s, **options) for s in range(samples)] for p in range(prompts)]


def test_distances_and_gc(make_samples: Callable[..., Samples], resampling: Resampling) -> None:
    samples = make_samples(
        {
            "genome": [[random_dna(300, seed)] for seed in range(900, 930)],
            "base": by_prompts(10, 3, 5000, shares=(0.25,) * 4),
            "adapted": by_prompts(10, 3, 7000),
        }
    )
    found = compose(samples, resampling)
    reference = kmer_spectrum(samples.background, 3)
    for group, rows in samples.groups.items():
        expected = spectrum_distance(kmer_spectrum(rows["sequence"].tolist(), 3), reference)
        assert found.distance[group].estimate == pytest.approx(expected)
        assert found.distance[group].low < expected < found.distance[group].high
    assert found.gc["base"].low < 0.5 < found.gc["base"].high
    assert found.gc["adapted"].low < 0.3 < found.gc["adapted"].high
    # The adapted model has the genome's composition: no further away than fragments of the genome are.
    assert found.distance["adapted"].estimate < 1.5 * found.distance["genome"].estimate
    assert found.difference is not None and found.difference.sign == -1
    assert found.spectra.drop(columns="kmer").sum().tolist() == pytest.approx([1] * 3)


def test_the_plane_is_that_of_scikit_learn(make_samples: Callable[..., Samples], resampling: Resampling) -> None:
    samples = make_samples({"base": by_prompts(3, 2, 1)})
    found = compose(samples, resampling)
    counts = kmer_counts(samples.background, 4).astype(float)
    oracle = PCA(2, svd_solver="full").fit(counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.axes, oracle.explained_variance_ratio_)
    written = kmer_counts(samples.table["sequence"].tolist(), 4).astype(float)
    expected = oracle.transform(written / written.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.abs(found.sequences[["first", "second"]]), np.abs(expected), atol=1e-9)


def test_one_sequence_has_numbers_and_neither_interval_nor_logo(
    make_samples: Callable[..., Samples], resampling: Resampling
) -> None:
    found = compose(make_samples({"base": [[random_dna(300, 1)]], "adapted": [[random_dna(300, 2)]]}), resampling)
    assert 0 < found.distance["base"].estimate < 1 and not found.distance["base"].defined
    assert np.isfinite(found.gc["base"].estimate) and not found.gc["base"].defined
    assert found.logos == {}


def test_sequences_without_any_word(make_samples: Callable[..., Samples], resampling: Resampling) -> None:
    found = compose(make_samples({"base": [["NNNNNN", "AC"], ["G"]]}), resampling)
    assert np.isnan(found.distance["base"].estimate)
    assert found.gc["base"].estimate == pytest.approx(0.75)
    assert found.sequences["first"].isna().all()
