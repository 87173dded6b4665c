"""What is searched: settings with their ranges or choices, and the conditions under which they matter."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from workflow.errors import InputError
from workflow.sweeping.expressions import Expression
from workflow.sweeping.settings import flatten, known_keys, typed, unknown_key

_PARTS = ("low", "high", "log", "step", "choices", "when")
#: Sections and keys that do not belong to a trial, and why.
_NOT_SEARCHED = {
    "sweep": "it is the search itself",
    **dict.fromkeys(("stage", "runs_folder", "run_name", "dry_run", "force", "debug", "tracking"), "a trial sets it"),
    **dict.fromkeys(("launcher", "parallel", "backend.name", "backend.device"), "it says where a trial runs"),
    **dict.fromkeys(("seed", "train.seed"), "a seed is chance, which sweep.repeats measures"),
    "gates": "a gate tells whether a number means anything",
    "genome": "trials on other data cannot be compared",
}


@dataclass(frozen=True)
class Dimension:
    """One searched setting.

    Attributes
    ----------
    key : str
    low, high : int or float
        Ends of a range, included.
    log : bool
        Whether proportions count, not differences.
    step : int or float, optional
        The range is low, low + step, …
    choices : tuple, optional
        In place of a range: any values, lists and mappings too.
    when : Expression, optional
        Without it, or where it does not hold, the setting keeps its base value.
    """

    key: str
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] | None = None
    when: Expression | None = None

    @property
    def is_integer(self) -> bool:
        """Whether the range is one of integers."""
        return isinstance(self.low, int)

    @property
    def distribution(self) -> BaseDistribution:
        """As Optuna has it."""
        if self.choices is not None:
            return CategoricalDistribution([_category(choice) for choice in self.choices])
        if self.is_integer:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values at its borders, or all of its choices."""
        return (self.low, self.high) if self.choices is None else self.choices

    @property
    def record(self) -> dict[str, Any]:
        """For study.json."""
        if self.choices is not None:
            told: dict[str, Any] = {"choices": list(self.choices)}
        else:
            told = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        return told | {"when": self.when.text if self.when else None}

    def __str__(self) -> str:
        if self.choices is not None:
            told = " | ".join(map(typed, self.choices))
        else:
            by = f", in steps of {self.step}" if self.step else ""
            told = f"{self.low} to {self.high}{', logarithmic' if self.log else ''}{by}"
        return told + (f", when {self.when.text}" if self.when else "")

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value that a trial gets."""
        if self.choices is not None:
            return self.value(trial.suggest_categorical(self.key, [_category(choice) for choice in self.choices]))
        if self.is_integer:
            return trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(self.key, self.low, self.high, log=self.log, step=self.step)

    def stored(self, value: Any) -> Any:
        """What Optuna keeps of a value."""
        return value if self.choices is None else _category(value)

    def value(self, stored: Any) -> Any:
        """The value of what Optuna has kept."""
        if self.choices is None:
            return stored
        return next(choice for choice in self.choices if _same(_category(choice), stored))

    def with_value(self, value: Any) -> Dimension:
        """The dimension that holds `value` too.

        Raises
        ------
        InputError
            No range can: it is no number, or not positive on a logarithmic scale.
        """
        if self.choices is not None:
            there = any(_same(_category(choice), _category(value)) for choice in self.choices)
            return self if there else replace(self, choices=(value, *self.choices))
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or (self.log and value <= 0) or (self.is_integer and value != int(value)):
            kind = f"{'an integer' if self.is_integer else 'a number'}{' above 0' if self.log else ''}"
            raise InputError(
                f"sweep.space.{self.key}: the value {typed(value)} of the configuration, which is tried first, is not "
                f"{kind}: give {self.key}=…, or choices that hold it"
            )
        low, high = min(self.low, value), max(self.high, value)
        if self.step:
            # The grid has to pass through the value.
            low = value - math.floor((value - low) / self.step + 1e-9) * self.step
            high = low + math.floor((high - low) / self.step + 1e-9) * self.step
        return replace(self, low=low, high=high)


@dataclass(frozen=True)
class SearchSpace:
    """All searched settings.

    Attributes
    ----------
    dimensions : tuple of Dimension
        Each after those that its condition depends on.
    base : dict
        Every key of the base configuration with its value.
    """

    dimensions: tuple[Dimension, ...]
    base: dict[str, Any]

    @classmethod
    def read(cls, space: Mapping[str, Any], settings: DictConfig) -> SearchSpace:
        """The space of `sweep.space` over a configuration.

        Raises
        ------
        InputError
            A key is not there or cannot be searched, a range is none, or a condition cannot be read.
        """
        base = known_keys(settings)
        leaves = flatten(space, is_leaf=lambda value: "choices" in value or "low" in value or "high" in value)
        if not space:
            raise InputError("sweep.space is empty: give the settings to search, or use sweep=lora")
        return cls(_ordered([_read(key, leaf, base) for key, leaf in leaves.items()]), base)

    @property
    def keys(self) -> tuple[str, ...]:
        """The searched settings."""
        return tuple(dimension.key for dimension in self.dimensions)

    @property
    def is_conditional(self) -> bool:
        """Whether some settings matter in some trials only."""
        return any(dimension.when for dimension in self.dimensions)

    @property
    def record(self) -> dict[str, dict[str, Any]]:
        """For study.json."""
        return {dimension.key: dimension.record for dimension in self.dimensions}

    def lookup(self, values: Mapping[str, Any]) -> Callable[[str], Any]:
        """The value of a setting in a trial with these values."""
        return lambda name: values[name] if name in values else self.base[name]

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """The values of a trial: of the settings that matter in it."""
        values: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.when is None or dimension.when.value(self.lookup(values)):
                values[dimension.key] = dimension.suggest(trial)
        return values

    def values(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The values of what Optuna has kept of a trial."""
        return {d.key: d.value(stored[d.key]) for d in self.dimensions if d.key in stored}

    def stored(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What Optuna keeps of a trial with the base values but for these."""
        return {d.key: d.stored(values.get(d.key, self.base[d.key])) for d in self.dimensions}

    def with_trial(self, values: Mapping[str, Any]) -> SearchSpace:
        """The space that holds a trial with the base values but for these.

        Raises
        ------
        InputError
            A key is not searched, or no range can hold a value.
        """
        for key in values:
            if key not in self.keys:
                raise unknown_key(key, "sweep.queue", dict.fromkeys(self.keys))
        wide = [d.with_value(values.get(d.key, self.base[d.key])) for d in self.dimensions]
        return replace(self, dimensions=tuple(wide))

    def widened_from(self, narrow: SearchSpace) -> Iterator[str]:
        """What was changed of a space, one sentence each."""
        for before, after in zip(narrow.dimensions, self.dimensions, strict=True):
            if before != after:
                yield f"{after.key} is searched in {after}, to hold the trials that come first (given: {before})"


def _read(key: str, leaf: Any, base: Mapping[str, Any]) -> Dimension:
    where = f"sweep.space.{key}"
    if not isinstance(leaf, Mapping) or not set(leaf) <= set(_PARTS) or ("choices" in leaf) == ("low" in leaf):
        raise InputError(f"{where}={typed(leaf)}: give {{low: …, high: …}} (with log or step) or {{choices: […]}}")
    if key not in base:
        raise unknown_key(key, "sweep.space", base)
    for section, why in _NOT_SEARCHED.items():
        if key == section or key.startswith(section + "."):
            raise InputError(f"{where} cannot be searched: {why}")
    when = None if leaf.get("when") is None else Expression.read(str(leaf["when"]), f"{where}.when")
    for name in when.names if when else ():
        if name not in base:
            raise unknown_key(name, f"{where}.when", base)
    if "choices" in leaf:
        return Dimension(key, choices=_choices(where, leaf), when=when)
    return replace(_range(where, leaf, base[key]), key=key, when=when)


def _choices(where: str, leaf: Mapping[str, Any]) -> tuple[Any, ...]:
    choices = leaf["choices"]
    if not isinstance(choices, list | tuple) or not choices:
        raise InputError(f"{where}.choices={typed(choices)} is not a list of values")
    texts = [json.dumps(choice, sort_keys=True) for choice in choices]
    if twice := sorted({text for text in texts if texts.count(text) > 1}):
        raise InputError(f"{where}.choices: {twice[0]} is there twice")
    if set(leaf) & {"high", "log", "step"}:
        raise InputError(f"{where}: choices have no high, log or step")
    return tuple(choices)


def _range(where: str, leaf: Mapping[str, Any], value: Any) -> Dimension:
    numbers = {part: leaf.get(part) for part in ("low", "high", "step")}
    for part, number in numbers.items():
        wanted = part != "step" or number is not None
        if wanted and (isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number)):
            raise InputError(f"{where}.{part}={typed(number)} is not a number")
    low, high, step, log = numbers["low"], numbers["high"], numbers["step"], bool(leaf.get("log", False))
    assert low is not None and high is not None
    if isinstance(value, bool | str | list | dict):
        raise InputError(f"{where}: {typed(value)} is no number: use choices")
    if low >= high:
        raise InputError(f"{where}: low={low} must be less than high={high}")
    if log and (low <= 0 or step is not None):
        raise InputError(f"{where}: a logarithmic range needs low above 0 and has no step")
    if step is not None and not 0 < step <= high - low:
        raise InputError(f"{where}.step={step} must be positive and at most high − low")
    given = [number for number in (low, high, step) if number is not None]
    if isinstance(value, int) and not all(isinstance(number, int) for number in given):
        raise InputError(f"{where}: {typed(value)} is an integer, so low, high and step must be integers")
    if isinstance(value, float) or not all(isinstance(number, int) for number in given):
        low, high, step = float(low), float(high), None if step is None else float(step)
    return Dimension("", low, high, log, step)


def _ordered(dimensions: list[Dimension]) -> tuple[Dimension, ...]:
    """Each after those that its condition depends on, else as they were given."""
    waiting, placed = list(dimensions), list[Dimension]()
    keys = {dimension.key for dimension in dimensions}
    while waiting:
        there = {dimension.key for dimension in placed}
        free = [d for d in waiting if not d.when or all(n in there for n in d.when.names if n in keys)]
        if not free:
            raise InputError(
                f"sweep.space: the conditions (when) of {', '.join(d.key for d in waiting)} depend on each other"
            )
        placed.append(free[0])
        waiting.remove(free[0])
    return tuple(placed)


def _category(choice: Any) -> Any:
    """Optuna's categories are plain values; lists and mappings become their JSON."""
    return json.dumps(choice, sort_keys=True) if isinstance(choice, list | dict) else choice


def _same(one: Any, other: Any) -> bool:
    """Equal, where True is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
