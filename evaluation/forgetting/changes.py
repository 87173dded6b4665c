"""What the adaptation made the model forget: both models on fixed sequences of other organisms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.page.text import bracketed, number
from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.per_base.stream import Baseline, stream
from evaluation.statistics.bootstrap import Interval, fewest_rows, interval, resampled_means
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
        """What the verdict says of it: the largest change of the NLL, in percent of the base model's."""
        if not self.changes:
            return []
        change, organisms = self.changes[self.worst], self.organisms.set_index("organism")
        percent = 100 / float(organisms["nll_base"].to_numpy()[organisms.index.get_loc(self.worst)])
        shown, low, high = (
            number(percent * value, 1, signed=True) for value in (change.estimate, change.low, change.high)
        )
        said = f"{shown} % [{low}, {high}]" if change.defined else f"{shown} % [no interval]"
        if change.sign > 0:
            return [f"forgetting on {self.worst} {said}"]
        return [f"no forgetting could be shown on {self.worst} ({said})"]

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
        Only the own organism is there, nothing of the others could be scored, or as
        `evaluation.per_base.stream.stream`.
    """
    models = [model for model in ("base", "adapted") if (folder / model).exists()]
    if not models:
        return None
    stores = {model: PerBaseScores(folder / model) for model in models}
    seqids = stores[models[0]].index["seqid"].astype(str)
    organism = np.array([name.split("|")[0].replace("_", " ") for name in seqids], dtype=object)
    others = list(dict.fromkeys(name for name in organism if not _same(name, own_organism)))
    if not others:
        raise InputError(f"{folder}: all sequences are of {own_organism} itself: give others with predict.forgetting")
    of_block, sums = _blocks(stores, markov, organism)
    rows, changes = [], {}
    for name in others:
        bases, *nll = sums[of_block == name].T
        if not len(bases):
            continue
        names = [f"nll_{model}" for model in (*models, "markov")]
        means = {column: float(of_model.sum() / bases.sum()) for column, of_model in zip(names, nll, strict=True)}
        rows.append({"organism": name, "bases": int(bases.sum()), **means, "nll_uniform": UNIFORM_NLL})
        if len(models) == 2:
            draws = resampled_means((nll[1] - nll[0])[:, None], bases, samples, seed)[:, 0]
            change = means["nll_adapted"] - means["nll_base"]
            blocks = len(bases) if len(bases) >= fewest_rows(confidence) else 1
            changes[name] = interval(change, draws, blocks, confidence)
    if not rows:
        raise InputError(f"{folder}: no base of another organism could be scored: give others with predict.forgetting")
    return Forgetting(pd.DataFrame(rows), changes, limit)


def _same(name: str, own: str | None) -> bool:
    """Whether an organism is the own one, of which the configuration may say more: `Arabidopsis thaliana, plastid`."""
    return own is not None and name.casefold() == own.split(",")[0].strip().casefold()


def _blocks(
    stores: Mapping[str, PerBaseScores], markov: Baseline, organism: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Organism of each block that has scored bases, (n,); their number and the NLL of each model, (n, 1 + models)."""
    of_block, sums = [], []
    for chunk in stream(stores, {"markov": markov}):
        starts = np.concatenate([np.arange(first, last, _BLOCK) for first, last in pairwise(chunk.starts.tolist())])
        window = np.searchsorted(chunk.starts, starts, side="right") - 1
        of_base = [np.where(chunk.scored, model.nll, 0) for model in chunk.models.values()]
        sums.append(np.add.reduceat(np.column_stack([chunk.scored, *of_base]), starts, axis=0, dtype=float))
        of_block.append(organism[chunk.rows][window])
    every, all_sums = np.concatenate(of_block), np.concatenate(sums)
    used = all_sums[:, 0] > 0
    return every[used], all_sums[used]
