"""Whether trials are measured on the same data; where they are not, their values could not be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig

from workflow.config import Config
from workflow.errors import InputError
from workflow.sweeping.objectives import Objective
from workflow.sweeping.settings import flatten, resolved, typed
from workflow.sweeping.space import SearchSpace

#: What decides which samples the training validates on: the token files, and how they are cut.
_VALIDATED = ("genome", "split", "windows", "mixture", "seed", "train.context_length", "train.validation_samples")
#: NVIDIA's tools validate whole global batches.
_VALIDATED_BY_TOOLS = (*_VALIDATED, "train.batch_size", "train.accumulate")
#: What decides which windows are scored, and how.
_SCORED = ("genome", "split", "windows", "seed", "predict", "evaluation", "variants", "elements", "experiment")
_WAY_OUT = "use sweep.objectives=[predict.nll_nonrepeat], which scores the same val windows in every trial"


def effects(space: SearchSpace, settings: DictConfig, config: Config) -> dict[str, set[str]]:
    """Which keys of the resolved configuration each searched setting changes: its own, and those that follow it.

    Raises
    ------
    InputError
        The schema refuses a value of the space.
    """
    base = flatten(asdict(config))
    found: dict[str, set[str]] = {}
    for dimension in space.dimensions:
        found[dimension.key] = set()
        for value in dimension.ends:
            try:
                other = flatten(asdict(resolved(settings, {dimension.key: value})))
            except InputError as error:
                raise InputError(f"sweep.space.{dimension.key}, value {typed(value)}: {error}") from None
            found[dimension.key] |= {key for key in base.keys() | other if base.get(key) != other.get(key)}
    return found


def validation_varies(effects: Mapping[str, Iterable[str]], backend: str) -> str | None:
    """A searched setting that changes what the training validates on; None where there is none."""
    measured_by = _VALIDATED if backend == "local" else _VALIDATED_BY_TOOLS
    return next((key for key, changed in effects.items() if any(_within(one, measured_by) for one in changed)), None)


def check_comparable(objectives: Sequence[Objective], effects: Mapping[str, Iterable[str]], backend: str) -> None:
    """Refuse objectives whose values in different trials would be of different data.

    Raises
    ------
    InputError
        With the setting, the reason and the way out.
    """
    for objective in objectives:
        key = validation_varies(effects, backend)
        if objective.is_of_training and key is not None:
            raise InputError(
                f"sweep.space.{key} changes what the training validates on, so that {objective.name} of different "
                f"trials could not be compared: {_WAY_OUT}"
            )
        for key in effects:
            if objective.is_scored and _within(key, _SCORED):
                raise InputError(
                    f"sweep.space.{key} changes what {objective.name} is measured on, so that trials could not be "
                    "compared: leave it out of the space"
                )


def pinned(objectives: Sequence[Objective], effects: Mapping[str, Iterable[str]], config: Config) -> dict[str, Any]:
    """Settings of the scoring that would follow a searched one, at the value that all trials have."""
    if not any(objective.is_scored for objective in objectives):
        return {}
    base = flatten(asdict(config))
    follow = {one for changed in effects.values() for one in changed if _within(one, _SCORED)}
    return {key: base[key] for key in sorted(follow) if key in base}


def _within(key: str, sections: Iterable[str]) -> bool:
    return any(key == section or key.startswith(section + ".") for section in sections)
