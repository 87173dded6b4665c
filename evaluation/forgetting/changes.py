"""What the adaptation made the model forget: both models on fixed sequences of other organisms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.page.text import bracketed, number
from evaluation.per_base.scores import BASE_COLUMN, UNIFORM_NLL
from evaluation.per_base.stream import Baseline
from evaluation.statistics.bootstrap import Interval, interval, resampled_means
from workflow.artifacts import InputError, PerBaseScores

# Bases that are resampled together: the records are too few and too long to be resampled as wholes.
_BLOCK = 512


@dataclass(frozen=True)
class Forgetting:
    """The models on other organisms.

    Attributes
    ----------
    organisms : DataFrame
        organism, bases, and for each model `nll_<model>` (nats per base).
    changes : dict
        By organism: NLL of the adapted model − NLL of the base model, nats per base; positive where it forgot.
        Empty where a run has one model.
    limit : float
        Largest change that is taken for harmless.
    """

    organisms: pd.DataFrame
    changes: dict[str, Interval]
    limit: float

    @property
    def worst(self) -> str:
        """The organism with the largest change."""
        return max(self.changes, key=lambda name: self.changes[name].estimate)

    @property
    def sentences(self) -> list[str]:
        """What the verdict says of it: each organism's change of the NLL, in percent."""
        base = self.organisms.set_index("organism").get("nll_base", pd.Series(dtype=float))
        return [
            f"forgetting on {name} {number(100 * change.estimate / float(base[name]), 1, signed=True)} %"
            for name, change in self.changes.items()
            if name == self.worst
        ]

    def checks(self) -> list[dict[str, object]]:
        """The gate `forgetting`."""
        if not self.changes:
            return []
        change = self.changes[self.worst]
        return [
            {
                "name": "forgetting",
                "passed": change.estimate <= self.limit,
                "saw": f"{bracketed(change, signed=True)} nats per base on {self.worst}, the largest of "
                f"{len(self.changes)} organisms",
                "limit": f"at most {number(self.limit, 3, signed=True)}",
                "why": "The adapted model has lost what it knew of other genomes: mix some of them into the training "
                "data, train for fewer steps, or use LoRA with a lower learning rate.",
                "subject": "",
            }
        ]

    def metrics(self) -> dict[str, object]:
        """For metrics.json."""
        return {
            "organisms": self.organisms.to_dict("records"),
            "changes": {name: vars(change) for name, change in self.changes.items()},
            "limit": self.limit,
        }


def analyse(
    folder: Path,
    markov: Baseline,
    own_organism: str | None,
    *,
    samples: int,
    confidence: float,
    seed: int,
    limit: float,
) -> Forgetting | None:
    """Compare the models on the sequences of other organisms; None where none were scored.

    Parameters
    ----------
    folder : Path
        `predict/forgetting`, with a folder a model.
    markov : Baseline
        The run's Markov model, shown beside.
    own_organism : str or None
        The organism that the model was adapted to; its records are not "other" and are left out.
    samples, confidence, seed : int, float, int
        Of the intervals, over blocks of 512 bases.
    limit : float
        Change in nats per base above which the gate fires.

    Raises
    ------
    InputError
        The models were scored on different sequences, or only the own organism is there.
    """
    models = [model for model in ("base", "adapted") if (folder / model).exists()]
    if not models:
        return None
    stores = {model: PerBaseScores(folder / model) for model in models}
    first = stores[models[0]]
    if any(not np.array_equal(first.bases, store.bases) for store in stores.values()):
        raise InputError(f"{folder}: the models were scored on different sequences; run stage=predict force=true")
    index, lengths = first.index, first.index["length"].to_numpy(np.int64)
    organism = np.array([name.split("|")[0].replace("_", " ") for name in index["seqid"].astype(str)], dtype=object)
    others = list(dict.fromkeys(name for name in organism if not _same(name, own_organism)))
    if not others:
        raise InputError(f"{folder}: all sequences are of {own_organism} itself: give others with predict.forgetting")
    codes = BASE_COLUMN[first.bases]
    starts = np.cumsum(lengths) - lengths
    nll = {model: _nll(np.asarray(store.logprobs, np.float32), codes) for model, store in stores.items()}
    nll["markov"] = _nll(markov.logprobs(np.asarray(first.bases), starts, slice(0, len(index))), codes)
    of_base = np.repeat(organism, lengths)
    defined = np.all([np.isfinite(values) for values in nll.values()], axis=0)
    rows, changes = [], {}
    for name in others:
        chosen = np.flatnonzero((of_base == name) & defined)
        means = {f"nll_{model}": float(values[chosen].mean()) for model, values in nll.items()}
        rows.append({"organism": name, "bases": len(chosen), **means, "nll_uniform": UNIFORM_NLL})
        if len(models) == 2:
            changes[name] = _change(nll["adapted"][chosen] - nll["base"][chosen], samples, confidence, seed)
    return Forgetting(pd.DataFrame(rows), changes, limit)


def _same(name: str, own: str | None) -> bool:
    return own is not None and name.casefold() == own.casefold()


def _nll(logprobs: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """NLL of the observed bases, (n,); NaN where there is none."""
    picked = np.take_along_axis(logprobs, np.minimum(codes, 3)[:, None].astype(np.intp), axis=1)[:, 0]
    nll: np.ndarray = np.where(codes < 4, -picked, np.nan)
    return nll


def _change(differences: np.ndarray, samples: int, confidence: float, seed: int) -> Interval:
    starts = np.arange(0, len(differences), _BLOCK)
    sums = np.add.reduceat(differences.astype(float), starts)
    sizes = np.diff(np.append(starts, len(differences)))
    draws = resampled_means(sums[:, None], sizes.astype(float), samples, seed)[:, 0]
    return interval(float(differences.mean()), draws, len(starts), confidence)
