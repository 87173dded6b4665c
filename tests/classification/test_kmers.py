from collections import Counter

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from workflow.classification.kmer_counts import kmer_frequencies
from workflow.classification.kmers import base_windows, kmer_baseline
from workflow.config.classify import ClassifyConfig
from workflow.labels.labelled_set import LabelledSet
from workflow.labels.reading import encode

LETTERS = np.frombuffer(b"ACGT", np.uint8)


def _set(sequences, **labels):
    n = len(sequences)
    split = np.array(["train"] * (n // 2) + ["val"] * (n // 4) + ["test"] * (n - n // 2 - n // 4))
    return LabelledSet([str(k) for k in range(n)], sequences, pd.DataFrame(labels), split, None, np.arange(n))


def test_frequencies_are_those_of_counting():
    sequences = [b"ACGTNACG", b"AC", b"NNNAA", b"TTTTTTTTT"]
    found = kmer_frequencies(sequences, [1, 3]).toarray()
    for row, sequence in zip(found, sequences, strict=True):
        for k, part in ((1, row[:4]), (3, row[4:])):
            kmers = [sequence[at : at + k] for at in range(len(sequence) - k + 1)]
            counts = Counter(kmer for kmer in kmers if b"N" not in kmer)
            expected = np.zeros(4**k)
            for kmer, count in counts.items():
                place = sum("ACGT".index(chr(letter)) * 4**power for power, letter in enumerate(kmer[::-1]))
                expected[place] = count / counts.total()
            assert np.allclose(part, expected)


def test_windows_of_bases_at_the_borders():
    found = base_windows([b"AC", b"GNT"], flank=1).toarray().reshape(5, 3, 4)
    shown = ["".join("ACGT"[place.argmax()] if place.any() else "." for place in window) for window in found]
    assert shown == [".AC", "AC.", ".G.", "G.T", ".T."]


def test_the_baseline_learns_classes_by_level():
    generator = np.random.default_rng(0)
    species = np.arange(400) % 4
    shares = np.array([[0.4, 0.1, 0.1, 0.4], [0.35, 0.15, 0.15, 0.35], [0.1, 0.4, 0.4, 0.1], [0.15, 0.35, 0.35, 0.15]])
    sequences = [bytes(generator.choice(LETTERS, 80, p=shares[kind])) for kind in species]
    data = _set(sequences, genus=[f"g{kind // 2}" for kind in species], species=[f"s{kind}" for kind in species])
    data.labels.loc[:9, "genus"] = None
    config = ClassifyConfig(labels=["genus", "species"], kmer_lengths=[1, 2])
    found = kmer_baseline(data, encode(data, "classification"), config, 0)
    assert [part.shape for part in found.probabilities] == [(100, 2), (100, 4)]
    assert all(np.allclose(part.sum(axis=1), 1, atol=1e-5) for part in found.probabilities)
    assert (found.probabilities[0].argmax(axis=1) == species[300:] // 2).mean() > 0.97
    assert (found.probabilities[1].argmax(axis=1) == species[300:]).mean() > 0.5
    assert found.parameters == 21 + 4 * 21


def test_the_baseline_learns_numbers_and_passes_missing_ones_over():
    generator = np.random.default_rng(1)
    sequences = [bytes(generator.choice(LETTERS, 60)) for _ in range(300)]
    truth = np.array([sequence.count(b"CG") - sequence.count(b"A") / 3 for sequence in sequences])
    values = truth.copy()
    values[:20] = np.nan
    data = _set(sequences, one=values, other=-values)
    config = ClassifyConfig(labels=["one", "other"], task="regression", kmer_lengths=[1, 2, 3])
    found = kmer_baseline(data, None, config, 0).values
    assert spearmanr(found[:, 0], truth[225:])[0] > 0.95 and np.allclose(found[:, 0], -found[:, 1], atol=1e-3)


def test_the_baseline_labels_bases():
    generator = np.random.default_rng(2)
    sequences = [bytes(generator.choice(LETTERS, 50)) for _ in range(40)]
    truth = ["".join("I" if at and text[at - 1 : at + 1] == b"GT" else "E" for at in range(50)) for text in sequences]
    labels = [f"{text[:10]}{'.' * 5}{text[15:]}" for text in truth]
    data = _set(sequences, region=labels)
    config = ClassifyConfig(labels=["region"], task="per_base")
    found = kmer_baseline(data, encode(data, "per_base"), config, 0).probabilities[0]
    expected = np.array(["EI".index(letter) for text in truth[30:] for letter in text])
    assert found.shape == (500, 2) and (found.argmax(axis=1) == expected).mean() > 0.98
