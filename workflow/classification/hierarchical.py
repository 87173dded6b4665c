"""hiclass's local classifiers: one for each node, each parent, or each level of the hierarchy.

Miranda et al. 2023, "HiClass: a Python library for local hierarchical classification compatible with scikit-learn",
J. Mach. Learn. Res. 24:29. They predict from the top down, so that their labels never contradict each other.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from workflow.classification.predictions import Prediction
from workflow.errors import InputError
from workflow.labels.encoding import UNKNOWN, LabelEncoding

_MOST_ITERATIONS = 1000
#: What hiclass writes between the labels of a path.
_SEPARATOR = "::HiClass::Separator::"
_ENDED = ""


def fit_local(
    method: str,
    train: tuple[np.ndarray, np.ndarray],
    test: np.ndarray,
    encoding: LabelEncoding,
    *,
    balanced: bool,
    seed: int,
) -> Prediction:
    """Fit logistic regressions along the hierarchy, and predict.

    Rows without a label of the first level are left out; below the first label that is missing a row counts as ended,
    so that paths of several lengths are learnt.

    Parameters
    ----------
    method : str
        `hiclass_node`, `hiclass_parent` or `hiclass_level`.
    train : (features (n, D), codes (n, levels) int)
    test : ndarray, (m, D)
    encoding : LabelEncoding
    balanced : bool
        Weigh the classes of each local classifier by n / (K · n_k).
    seed : int

    Returns
    -------
    Prediction
        With `codes`, hiclass's own labels.

    Raises
    ------
    InputError
        hiclass is not installed.
    """
    features, codes = train
    rows = codes[:, 0] >= 0
    scaler = StandardScaler().fit(features[rows])
    weight = "balanced" if balanced else None
    local = LogisticRegression(max_iter=_MOST_ITERATIONS, class_weight=weight, random_state=seed)
    # Each level's own probabilities: products would only repeat what the decoding does.
    model = _class_of(method)(local_classifier=local, return_all_probabilities=True, probability_combiner=None)
    inputs = scaler.transform(test)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaler.transform(features[rows]), _paths(codes[rows]))
        chosen = np.asarray(model.predict(inputs)).reshape(len(test), -1)
        by_level = _probabilities(model, inputs)
    labels = np.full((len(test), len(encoding.levels)), UNKNOWN, np.int64)
    labels[:, : chosen.shape[1]] = [[_code(name) for name in path] for path in chosen]
    probabilities = [
        _spread(names, of_level, size) for (names, of_level), size in zip(by_level, encoding.sizes(), strict=True)
    ]
    parameters = sum(np.size(one.coef_) + np.size(one.intercept_) for one in _locals(model))
    return Prediction(probabilities, codes=labels, parameters=int(parameters), settings={"local": "logistic, C = 1"})


def _class_of(method: str) -> Any:
    try:
        import hiclass
    except ImportError:
        raise InputError(
            f"classify.methods: {method} needs hiclass, which is not installed; install the extra `classification` "
            "of this program"
        ) from None
    return {
        "hiclass_node": hiclass.LocalClassifierPerNode,
        "hiclass_parent": hiclass.LocalClassifierPerParentNode,
        "hiclass_level": hiclass.LocalClassifierPerLevel,
    }[method]


def _paths(codes: np.ndarray) -> np.ndarray:
    """Codes (n, levels) as text, empty from the first missing one on; levels that no row reaches are left out."""
    ended = np.logical_or.accumulate(codes < 0, axis=1)
    paths = np.where(ended, _ENDED, codes.astype(str)).astype(object)
    return paths[:, ~ended.all(axis=0)]


def _probabilities(model: Any, inputs: np.ndarray) -> list[tuple[list[str], np.ndarray]]:
    """Of each level the names of its columns, and probabilities (n, columns)."""
    if hasattr(model, "local_classifiers_"):  # its own method fails where paths end early
        return [([str(name) for name in one.classes_], one.predict_proba(inputs)) for one in model.local_classifiers_]
    found = model.predict_proba(inputs)
    by_level = found if isinstance(found, list) else [found]
    return [([str(name) for name in names], part) for names, part in zip(model.classes_, by_level, strict=True)]


def _spread(names: list[str], probabilities: np.ndarray, size: int) -> np.ndarray:
    """(n, size) float32 in the order of the encoding; what was given to ended paths is divided among the classes."""
    spread = np.zeros((len(probabilities), size))
    for column, name in enumerate(names):
        if (code := _code(name)) != UNKNOWN:
            spread[:, code] += probabilities[:, column]
    total = spread.sum(axis=1, keepdims=True)
    shared: np.ndarray = np.divide(spread, total, out=np.full_like(spread, 1 / size), where=total > 0)
    return shared.astype(np.float32)


def _code(name: str) -> int:
    last = str(name).split(_SEPARATOR)[-1]
    return int(last) if last != _ENDED else UNKNOWN


def _locals(model: Any) -> list[Any]:
    found = getattr(model, "local_classifiers_", None) or [
        data["classifier"] for _, data in model.hierarchy_.nodes(data=True) if data.get("classifier") is not None
    ]
    return [one for one in found if hasattr(one, "coef_")]
