from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge

from evaluation.baselines import kmers
from tests.evaluation.baselines.conftest import mutated, random_dna


def planted(number: int, seed: int, length: int = 80) -> tuple[list[str], np.ndarray]:
    """Sequences, and how often each holds TATA, planted, plus noise."""
    generator = np.random.default_rng(seed)
    sequences = []
    for row in range(number):
        text = random_dna(length, seed * 100_000 + row)
        for _ in range(generator.integers(0, 4)):
            place = int(generator.integers(0, length - 6))
            text = text[:place] + "TATAAG" + text[place + 6 :]
        sequences.append(text)
    counts = np.array([sequence.count("TATAAG") for sequence in sequences], float)
    return sequences, counts + generator.normal(0, 0.3, number)


def test_features_are_the_logarithms_of_counts() -> None:
    sequences = ["ACGTACGTTTGA", "acgtnacG", "NNN", "", random_dna(300, 1)]
    features = kmers.kmer_features(sequences)
    assert features.shape == (5, 5461) and features.dtype == np.float32
    found = features.toarray()
    place = 0
    for length in range(1, 7):
        words = ["".join(letters) for letters in product("ACGT", repeat=length)]
        counter = CountVectorizer(analyzer="char", ngram_range=(length, length), vocabulary=words, lowercase=False)
        expected = np.log1p(counter.transform([sequence.upper() for sequence in sequences]).toarray())
        np.testing.assert_allclose(found[:, place : place + len(words)], expected, rtol=1e-6)
        place += len(words)
    np.testing.assert_allclose(found[:, -1], np.log1p([12, 8, 3, 0, 300]), rtol=1e-6)


def test_a_planted_word_predicts_values_and_labels() -> None:
    sequences, value = planted(250, seed=1)
    scores = kmers.cross_validated_scores(sequences, value, "value", seed=3)
    assert stats.spearmanr(scores, value).statistic > 0.6
    assert np.mean((scores - value) ** 2) < 0.5 * np.var(value)
    label = value > 1.5
    odds = kmers.cross_validated_scores(sequences, label, "label", seed=3)
    assert np.mean((odds > 0) == label) > 0.75
    assert np.isfinite(odds).all() and (odds > 0).any() and (odds < 0).any()


def test_where_there_is_nothing_to_learn_nothing_is_found() -> None:
    generator = np.random.default_rng(2)
    sequences = [random_dna(60, 1000 + row) for row in range(300)]
    correlations = [
        stats.spearmanr(kmers.cross_validated_scores(sequences, generator.normal(size=300), "value"), value).statistic
        for value in generator.normal(size=(3, 300))
    ]
    assert np.abs(correlations).max() < 0.2


def test_no_sequence_is_predicted_by_a_model_that_has_seen_it() -> None:
    """Equal sequences have equal values that nothing else tells: out of fold they cannot be known."""
    generator = np.random.default_rng(4)
    unique = [random_dna(100, 2000 + row) for row in range(60)]
    value = np.repeat(generator.normal(size=60), 4)
    sequences = [sequence for sequence in unique for _ in range(4)]
    scores = kmers.cross_validated_scores(sequences, value, "value", seed=0)
    assert abs(stats.spearmanr(scores, value).statistic) < 0.35
    alone = kmers.cross_validated_scores(sequences, value, "value", np.arange(240), seed=0)
    assert stats.spearmanr(alone, value).statistic > 0.9


def test_groups_stay_together() -> None:
    generator = np.random.default_rng(5)
    families = [mutated(random_dna(100, 3000 + family), 0.05, copy) for family in range(40) for copy in range(5)]
    value = np.repeat(generator.normal(size=40), 5)
    family = np.repeat(np.arange(40), 5)
    apart = kmers.cross_validated_scores(families, value, "value", family, seed=0)
    assert stats.spearmanr(apart, value).statistic < 0.4
    assert stats.spearmanr(kmers.cross_validated_scores(families, value, "value", seed=0), value).statistic > 0.8


def test_folds() -> None:
    groups, label = np.repeat(np.arange(50), 3), np.repeat(np.arange(50) < 10, 3)
    fold = kmers._folds(groups, label, "label", 5, seed=1)
    assert all(len(set(fold[groups == group])) == 1 for group in range(50))
    assert np.bincount(fold).tolist() == [30] * 5
    assert np.bincount(fold[label]).tolist() == [6] * 5
    assert not np.array_equal(fold, kmers._folds(groups, label, "label", 5, seed=2))
    np.testing.assert_array_equal(fold, kmers._folds(groups, label, "label", 5, seed=1))


def test_fit_predict_agrees_with_scikit_learn_at_the_chosen_penalty() -> None:
    sequences, value = planted(200, seed=6)
    predicted = kmers.fit_predict(sequences[:150], value[:150], sequences[150:], "value", seed=0)
    features = kmers.kmer_features(sequences).toarray().astype(float)
    by_penalty = [
        Ridge(alpha=penalty * 150, solver="cholesky").fit(features[:150], value[:150]).predict(features[150:])
        for penalty in kmers._PENALTIES["value"]
    ]
    assert min(np.abs(predicted - other).max() for other in by_penalty) < 1e-2


def test_too_few_rows_or_one_label_give_nothing() -> None:
    sequences = [random_dna(30, row) for row in range(30)]
    assert np.isnan(kmers.cross_validated_scores(sequences[:4], np.arange(4.0), "value")).all()
    assert np.isnan(kmers.cross_validated_scores(sequences, np.ones(30, bool), "label")).all()
    assert np.isnan(kmers.cross_validated_scores(sequences, np.arange(30.0), "value", np.zeros(30))).all()
    assert kmers.cross_validated_scores([], np.empty(0), "value").shape == (0,)
    assert np.isnan(kmers.fit_predict(sequences[:3], np.arange(3.0), sequences[3:], "value")).all()


@pytest.mark.parametrize("kind", ["value", "label"])
def test_scores_are_repeated_by_their_seed(kind: kmers.Kind) -> None:
    sequences, value = planted(25, seed=7, length=30)
    target = value if kind == "value" else value > 1
    first, again, other = (kmers.cross_validated_scores(sequences, target, kind, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
