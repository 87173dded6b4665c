from itertools import product

import numpy as np
from sklearn.linear_model import LogisticRegression

from workflow.classification.decoding import consistent_path, is_consistent

# Level 1: class 2 has no children; class 3's parent is not known. Level 2: class 0 is below 0, 1 and 2 below 1.
PARENTS = [np.array([0, 0, 1, -1]), np.array([0, 1, 1])]
SIZES = (3, 4, 3)


def _paths():
    """Every complete path, by looking at all combinations, and the levels whose probability stands for its gaps."""
    for codes in product(*(range(-1, size) for size in SIZES)):
        known = [level for level, code in enumerate(codes) if code >= 0]
        if not known or known != list(range(known[0], known[-1] + 1)):
            continue
        starts = known[0] == 0 or PARENTS[known[0] - 1][codes[known[0]]] < 0
        ends = known[-1] == 2 or codes[known[-1]] not in PARENTS[known[-1]]
        linked = all(PARENTS[level - 1][codes[level]] == codes[level - 1] for level in known[1:])
        if starts and ends and linked:
            yield codes, [min(max(level, known[0]), known[-1]) for level in range(3)]


def test_the_best_path_is_that_of_all_paths():
    generator = np.random.default_rng(0)
    probabilities = [generator.dirichlet(np.full(size, 0.5), 400).astype(np.float32) for size in SIZES]
    logs = [np.log(np.maximum(of_level.astype(float), 1e-45)) for of_level in probabilities]
    paths = list(_paths())
    assert sorted(codes for codes, _ in paths) == [
        (-1, 3, -1), (0, 0, 0), (0, 1, 1), (0, 1, 2), (1, 2, -1), (2, -1, -1)
    ]  # fmt: skip
    scores = np.array([sum(logs[at][:, codes[at]] for at in standing) for codes, standing in paths])
    expected = np.array([codes for codes, _ in paths])[scores.argmax(axis=0)]
    found = consistent_path(probabilities, PARENTS)
    assert (found == expected).all() and len(np.unique(found, axis=0)) == 6
    assert is_consistent(found, PARENTS).all()


def test_what_contradicts():
    rows = [(0, 0, 0), (1, 0, 0), (0, 2, -1), (1, -1, 0), (2, 3, -1), (-1, 1, 2), (0, 1, 0)]
    expected = [True, False, False, False, True, True, False]
    assert is_consistent(np.array(rows), PARENTS).tolist() == expected


def test_a_path_corrects_one_level_by_the_other():
    generator = np.random.default_rng(1)
    parents = np.repeat(np.arange(4), 4)
    species = generator.integers(0, 16, 3000)
    means = generator.normal(size=(16, 6))  # a genus is no region of its own, so that a head of its own sees little
    features = means[species] + generator.normal(size=(3000, 6))
    genus = parents[species]
    heads = [LogisticRegression(max_iter=500).fit(features[:2000], truth[:2000]) for truth in (genus, species)]
    probabilities = [head.predict_proba(features[2000:]) for head in heads]
    alone = np.column_stack([part.argmax(axis=1) for part in probabilities])
    path = consistent_path(probabilities, [parents])
    assert (~is_consistent(alone, [parents])).mean() > 0.1
    assert is_consistent(path, [parents]).all()
    assert (path[:, 0] == genus[2000:]).mean() > (alone[:, 0] == genus[2000:]).mean() + 0.05
    # The better informed level pays a little for the other, as in hiclass's toy (.755 to .739).
    assert (path[:, 1] == species[2000:]).mean() > (alone[:, 1] == species[2000:]).mean() - 0.04
