"""Methods of scikit-learn and hiclass on the embeddings of sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from workflow.classification.hierarchical import fit_local
from workflow.classification.linear import fit_logistic, fit_ridge
from workflow.classification.predictions import Prediction
from workflow.errors import InputError
from workflow.labels.encoding import LabelEncoding

_TREES = 200
_HIDDEN = (128,)
_MOST_EPOCHS, _PATIENCE = 100, 8

#: Features and one column of targets.
_Part = tuple[np.ndarray, np.ndarray]


def fit_shallow(
    method: str,
    features: dict[str, np.ndarray],
    targets: dict[str, np.ndarray],
    encoding: LabelEncoding,
    task: str,
    seed: int,
    *,
    class_weights: bool,
) -> Prediction:
    """Fit a method on the embeddings of train, choose its strength on those of val, and predict test.

    Logistic (of numbers: ridge) regression and the multilayer perceptron use val, for the regularisation and for the
    best epoch; forests and boosting have fixed settings. Each level is fitted by itself, but by hiclass's classifiers.

    Parameters
    ----------
    method : str
        One of `workflow.config.classify.SHALLOW`.
    features : dict of ndarray, (n, D)
        Of train, val and test.
    targets : dict of ndarray
        Of train and val: (n, levels) int codes, −1 where unknown; of a regression (n, columns) float, NaN.
    encoding : LabelEncoding
    task : str
        `classification`, `regression`, or `per_base`, where rows are bases.
    seed : int
    class_weights : bool
        Weigh classes by n / (K · n_k).

    Raises
    ------
    InputError
        hiclass is not installed, or a hierarchy is asked of numbers.
    """
    is_regression = task == "regression"
    if method.startswith("hiclass"):
        if is_regression:
            raise InputError(
                f"classify.methods: {method} learns classes, classify.task is regression; leave it out, or use boosting"
            )
        return fit_local(
            method, (features["train"], targets["train"]), features["test"], encoding, balanced=class_weights, seed=seed
        )
    fits = _REGRESSIONS if is_regression else _CLASSIFIERS
    outputs, parameters, settings = [], 0, []
    with threadpool_limits(1):
        for level in range(targets["train"].shape[1]):
            train, val = (_known(features[split], targets[split][:, level]) for split in ("train", "val"))
            size = 0 if is_regression else encoding.sizes()[level]
            output, numbers, chosen = fits[method](train, val, features["test"], size, class_weights, seed)
            outputs.append(output)
            parameters += numbers
            settings.append(chosen)
    told = {name: [chosen[name] for chosen in settings] for name in settings[0]}
    if is_regression:
        return Prediction(values=np.column_stack(outputs), parameters=parameters, settings=told)
    return Prediction(outputs, parameters=parameters, settings=told)


_Outcome = tuple[np.ndarray, int, dict[str, Any]]


def _logistic(train: _Part, val: _Part, test: np.ndarray, size: int, balanced: bool, seed: int) -> _Outcome:
    fitted = fit_logistic(train, val, balanced=balanced, seed=seed)
    return fitted.probabilities(test, size), fitted.parameters, {"C": fitted.strength}


def _ridge(train: _Part, val: _Part, test: np.ndarray, size: int, balanced: bool, seed: int) -> _Outcome:
    fitted = fit_ridge(train, val)
    return fitted.values(test), fitted.parameters, {"alpha": fitted.strength}


def _forest(train: _Part, val: _Part, test: np.ndarray, size: int, balanced: bool, seed: int) -> _Outcome:
    shared = {"n_estimators": _TREES, "random_state": seed}
    model = (
        RandomForestClassifier(class_weight="balanced" if balanced else None, **shared)
        if size
        else RandomForestRegressor(**shared)
    ).fit(*train)
    nodes = sum(tree.tree_.node_count for tree in model.estimators_)
    return _output(model, test, size), int(nodes), {"trees": _TREES}


def _boosting(train: _Part, val: _Part, test: np.ndarray, size: int, balanced: bool, seed: int) -> _Outcome:
    # Its own early stopping divides the classes, and fails at one with a single example.
    shared = {"early_stopping": False, "random_state": seed}
    model = (
        HistGradientBoostingClassifier(class_weight="balanced" if balanced else None, **shared)
        if size
        else HistGradientBoostingRegressor(**shared)
    ).fit(*train)
    return _output(model, test, size), int(model.n_iter_), {"rounds": int(model.n_iter_)}


def _perceptron(train: _Part, val: _Part, test: np.ndarray, size: int, balanced: bool, seed: int) -> _Outcome:
    """One hidden layer; the epoch with the least loss of val is kept."""
    mean, deviation = train[0].mean(axis=0), train[0].std(axis=0)
    scale = 1 / np.where(deviation > 0, deviation, 1)
    inputs, targets = (train[0] - mean) * scale, train[1]
    model: Any
    if size:
        classes = np.unique(targets)
        model = MLPClassifier(hidden_layer_sizes=_HIDDEN, random_state=seed)
        extra = {"classes": classes}
        seen = np.isin(val[1], classes)
        centre, spread = 0.0, 1.0
        if balanced:
            inputs, targets = _balanced(inputs, targets, seed)
    else:
        model, extra, seen = MLPRegressor(hidden_layer_sizes=_HIDDEN, random_state=seed), {}, np.ones(len(val[1]), bool)
        centre, spread = float(targets.mean()), float(targets.std()) or 1.0
        targets = (targets - centre) / spread
    held_inputs, held = (val[0][seen] - mean) * scale, val[1][seen]

    def loss(candidate: Any) -> float:
        if not len(held):
            return 0.0
        if size:
            return float(log_loss(held, candidate.predict_proba(held_inputs), labels=candidate.classes_))
        return float(mean_squared_error((held - centre) / spread, candidate.predict(held_inputs)))

    best, least, epoch_of_best = model, math.inf, 0
    for epoch in range(1, _MOST_EPOCHS + 1):
        model.partial_fit(inputs, targets, **(extra if epoch == 1 else {}))
        if (now := loss(model)) < least:
            best, least, epoch_of_best = deepcopy(model), now, epoch
        elif epoch - epoch_of_best >= _PATIENCE:
            break
    numbers = sum(weights.size for weights in (*best.coefs_, *best.intercepts_))
    output = _output(best, (test - mean) * scale, size)
    return (output if size else output * spread + centre), numbers, {"hidden": _HIDDEN[0], "epoch": epoch_of_best}


_Fit = Callable[[_Part, _Part, np.ndarray, int, bool, int], _Outcome]
_CLASSIFIERS: dict[str, _Fit] = {
    "logistic": _logistic,
    "forest": _forest,
    "boosting": _boosting,
    "mlp": _perceptron,
}
_REGRESSIONS: dict[str, _Fit] = _CLASSIFIERS | {"logistic": _ridge}


def _output(model: Any, test: np.ndarray, size: int) -> np.ndarray:
    """Probabilities (n, size) of classes, 0 for one that was not fitted; or values (n,)."""
    if not size:
        return np.asarray(model.predict(test), np.float64)
    spread = np.zeros((len(test), size), np.float32)
    spread[:, model.classes_] = model.predict_proba(test)
    return spread


def _balanced(inputs: np.ndarray, codes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As many rows again, drawn so that all classes are as likely: older scikit-learn takes no weights here."""
    chance = 1 / np.bincount(codes)[codes]
    drawn = np.random.default_rng(seed).choice(len(codes), len(codes), p=chance / chance.sum())
    return inputs[drawn], codes[drawn]


def _known(features: np.ndarray, targets: np.ndarray) -> _Part:
    """Rows whose target is known, features in float64."""
    kept = np.isfinite(targets) if targets.dtype.kind == "f" else targets >= 0
    return features[kept].astype(np.float64), targets[kept]
