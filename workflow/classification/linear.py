"""Logistic and ridge regression whose strength of regularisation the validation sequences choose."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array, diags_array, issparse
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

#: From strong to weak; the search ends where the validation loss rises.
_INVERSE_STRENGTHS = tuple(10.0 ** (power / 2) for power in range(-9, 5))
_STRENGTHS = tuple(10.0 ** (power / 2) for power in range(12, -5, -1))
_MOST_ITERATIONS = 500
_LEAST = 1e-12

#: (n, D), dense or in sparse rows (`csr_array`, which has no types).
Features: TypeAlias = Any


@dataclass(frozen=True)
class Fitted:
    """A model with what scales its features.

    Attributes
    ----------
    model : LogisticRegression or Ridge
    shift, scale : ndarray, (D,)
        Subtracted, but of a sparse matrix; then multiplied.
    strength : float
        What was chosen: C of a logistic regression, α of a ridge regression.
    """

    model: Any
    shift: np.ndarray
    scale: np.ndarray
    strength: float

    @property
    def parameters(self) -> int:
        """Coefficients and intercepts."""
        if isinstance(self.model, DummyClassifier):
            return 0
        return int(np.size(self.model.coef_) + np.size(self.model.intercept_))

    def probabilities(self, features: Features, classes: int) -> np.ndarray:
        """(n, classes) float32; 0 for a class that it was not fitted on."""
        of_known = self.model.predict_proba(scaled(features, self.shift, self.scale))
        spread = np.zeros((of_known.shape[0], classes), np.float32)
        spread[:, self.model.classes_] = of_known
        return spread

    def values(self, features: Features) -> np.ndarray:
        """(n,) float64."""
        values: np.ndarray = self.model.predict(scaled(features, self.shift, self.scale))
        return values


def fit_logistic(
    train: tuple[Features, np.ndarray], val: tuple[Features, np.ndarray], *, balanced: bool, seed: int
) -> Fitted:
    """Multinomial logistic regression on scaled features; C is that with the least log loss of the validation.

    Parameters
    ----------
    train, val : (features (n, D), codes (n,) int)
        −1 is left out. At least two classes in train.
    balanced : bool
        Weigh classes by n / (K · n_k).
    seed : int
    """
    features, codes = _known(*train, train[1] >= 0)
    if len(np.unique(codes)) == 1:  # all that a sample left; nothing to fit
        only = DummyClassifier(strategy="prior").fit(features, codes)
        return Fitted(only, np.zeros(features.shape[1]), np.ones(features.shape[1]), math.nan)
    shift, scale = _standard(features)
    inputs = scaled(features, shift, scale)
    seen = np.isin(val[1], codes)
    val_inputs, val_codes = _known(scaled(val[0], shift, scale), val[1], seen)

    def fit(strength: float, start: Any) -> tuple[float, Any]:
        model = LogisticRegression(
            C=strength,
            class_weight="balanced" if balanced else None,
            warm_start=True,
            max_iter=_MOST_ITERATIONS,
            random_state=seed,
        )
        if start is not None:  # the solution before is near
            model.coef_, model.intercept_, model.classes_ = start.coef_.copy(), start.intercept_.copy(), start.classes_
        model.fit(inputs, codes)
        if not len(val_codes):
            return 0.0, model
        place = np.searchsorted(model.classes_, val_codes)
        given = model.predict_proba(val_inputs)[np.arange(len(place)), place]
        return float(-np.log(np.maximum(given, _LEAST)).mean()), model

    model, strength = _best(fit, _INVERSE_STRENGTHS)
    return Fitted(model, shift, scale, strength)


def fit_ridge(train: tuple[Features, np.ndarray], val: tuple[Features, np.ndarray]) -> Fitted:
    """Ridge regression on scaled features; α is that with the least squared error of the validation.

    Parameters
    ----------
    train, val : (features (n, D), values (n,) float64)
        NaN is left out.
    """
    features, values = _known(*train, np.isfinite(train[1]))
    shift, scale = _standard(features)
    inputs = scaled(features, shift, scale)
    val_inputs, val_values = _known(scaled(val[0], shift, scale), val[1], np.isfinite(val[1]))

    def fit(strength: float, start: Any) -> tuple[float, Any]:
        model = Ridge(alpha=strength, solver="sparse_cg" if issparse(inputs) else "auto").fit(inputs, values)
        if not len(val_values):
            return 0.0, model
        return float(np.square(model.predict(val_inputs) - val_values).mean()), model

    model, strength = _best(fit, _STRENGTHS)
    return Fitted(model, shift, scale, strength)


def scaled(features: Features, shift: np.ndarray, scale: np.ndarray) -> Features:
    """Features times their factors; dense ones are centred first, which would fill a sparse matrix."""
    if issparse(features):
        return csr_array(features @ diags_array(scale))
    return (np.asarray(features, np.float64) - shift) * scale


def _best(fit: Any, strengths: tuple[float, ...]) -> tuple[Any, float]:
    """The model with the least loss, going from strong to weak until the loss has risen."""
    best, least, chosen, model = None, math.inf, strengths[0], None
    # Sums of several threads would depend on their number.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in strengths:
            loss, model = fit(strength, model)
            if loss >= least:
                break
            best, least, chosen = model, loss, strength
    return best, chosen


def _standard(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Mean and factor of each column.

    A dense column gets unit deviation. Those of a sparse matrix are scaled by Pareto's rule (van den Berg et al. 2006,
    BMC Genomics 7:142): rare k-mers are not blown up to the size of frequent ones, and on average they have unit
    variance, however long the sequences are.
    """
    if not issparse(features):
        deviation = features.std(axis=0, dtype=np.float64)
        return features.mean(axis=0, dtype=np.float64), 1 / np.where(deviation > _LEAST, deviation, 1)
    mean = np.asarray(features.mean(axis=0)).ravel()
    square = np.asarray(features.multiply(features).mean(axis=0)).ravel()
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    varies = deviation > _LEAST
    factor = np.sqrt(np.divide(1, deviation, out=np.ones_like(deviation), where=varies))
    return mean, factor * np.sqrt(varies.sum() / deviation.sum()) if varies.any() else factor


def _known(features: Features, targets: np.ndarray, kept: np.ndarray) -> tuple[Features, np.ndarray]:
    return (features, targets) if kept.all() else (features[np.flatnonzero(kept)], targets[kept])
