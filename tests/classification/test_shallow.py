import numpy as np
import pandas as pd
import pytest

from workflow.classification.decoding import is_consistent
from workflow.classification.shallow import fit_shallow
from workflow.config.classify import SHALLOW
from workflow.errors import InputError
from workflow.labels.encoding import LabelEncoding

PARENTS = np.array([0, 0, 1, 1, 2])


@pytest.fixture(scope="module")
def toy():
    """Three genera, five species; the species of genus 2 is not labelled, so that its paths end early."""
    generator = np.random.default_rng(0)
    species = generator.integers(0, 5, 500)
    features = (3 * generator.normal(size=(5, 8))[species] + generator.normal(size=(500, 8))).astype(np.float32)
    codes = np.column_stack([PARENTS[species], np.where(species == 4, -1, species)])
    codes[:10, 1] = -1
    names = pd.DataFrame({"genus": codes[:, 0].astype(str), "species": codes[:, 1].astype(str)}, dtype=object)
    encoding = LabelEncoding.fit(names.mask(names == "-1"))
    parts = {"train": slice(0, 300), "val": slice(300, 400), "test": slice(400, 500)}
    return {k: features[v] for k, v in parts.items()}, {k: codes[v] for k, v in parts.items()}, encoding


ONE_EACH = [(name, False) for name in SHALLOW]


@pytest.mark.parametrize(("method", "weights"), [*ONE_EACH, ("logistic", True), ("mlp", True), ("hiclass_node", True)])
def test_methods_learn_a_hierarchy(toy, method, weights):
    features, codes, encoding = toy
    found = fit_shallow(method, features, codes, encoding, "classification", 0, class_weights=weights)
    truth = codes["test"]
    known = truth[:, 1] >= 0
    assert [part.shape for part in found.probabilities] == [(100, 3), (100, 4)] and found.parameters > 0
    assert all(np.allclose(part.sum(axis=1), 1, atol=1e-5) for part in found.probabilities)
    assert (found.probabilities[0].argmax(axis=1) == truth[:, 0]).mean() > 0.9
    assert (found.probabilities[1].argmax(axis=1) == truth[:, 1])[known].mean() > 0.85
    assert (found.codes is not None) == method.startswith("hiclass")
    if found.codes is not None:
        assert is_consistent(found.codes, encoding.parent_codes()).all()
        assert (found.codes == truth)[known].mean() > 0.85
        assert (found.codes[~known & (truth[:, 0] == 2), 1] == -1).mean() > 0.8


@pytest.mark.parametrize("method", ["logistic", "forest", "boosting", "mlp"])
def test_methods_learn_numbers(toy, method):
    features, _, encoding = toy
    targets = {split: 100 + 5 * part[:, [0]].astype(float) for split, part in features.items()}
    targets["train"][:5] = np.nan
    found = fit_shallow(method, features, targets, encoding, "regression", 0, class_weights=False)
    assert found.values.shape == (100, 1)
    assert np.corrcoef(found.values[:, 0], targets["test"][:, 0])[0, 1] > 0.95
    assert abs(found.values.mean() - targets["test"].mean()) < 2


def test_a_hierarchy_of_numbers_is_refused(toy):
    features, codes, encoding = toy
    with pytest.raises(InputError, match="hiclass_node learns classes"):
        fit_shallow("hiclass_node", features, codes, encoding, "regression", 0, class_weights=False)
