"""What was searched and what for: the settings with the values that the trials had, and the objectives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.page.text import MISSING, number

#: Share of a setting's range that counts as its border.
_BORDER = 0.02
#: Letters of one category, and of all together, that the axis of a panel has room for.
_LONGEST_CATEGORY, _LONGEST_CATEGORIES = 9, 26
#: Fewest numbers to choose from of which the first and the last are a border: of two, each is one.
_FEWEST_FOR_BORDER = 3
#: Digits that tell two values of an objective apart.
_DIGITS = 4


@dataclass(frozen=True)
class Objective:
    """What a trial is judged by.

    Attributes
    ----------
    name : str
        As the study calls it.
    label, unit : str
        For people; the unit may be empty.
    sign : int
        1 where lower is better, −1 where higher is.
    decimals : int
        With which the values of this study are told apart.
    """

    name: str
    label: str
    unit: str
    sign: int
    decimals: int

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def phrase(self) -> str:
        """The label within a sentence: without a capital, unless it is an abbreviation's."""
        return self.label[:1].lower() + self.label[1:] if self.label[1:2].islower() else self.label

    @property
    def better(self) -> str:
        """Which values are better."""
        return "lower" if self.sign > 0 else "higher"

    @property
    def best(self) -> str:
        """What the best value is."""
        return "lowest" if self.sign > 0 else "highest"

    def told(self, value: float, signed: bool = False) -> str:
        """A value without its unit."""
        return number(value, self.decimals, signed)

    def with_unit(self, value: float) -> str:
        """A value with its unit."""
        return f"{self.told(value)} {self.unit}".rstrip()


def decimals(values: np.ndarray) -> int:
    """Decimals that show the range of some values with 4 digits, from 0 to 6."""
    finite = values[np.isfinite(values)]
    width = float(np.ptp(finite)) if len(finite) else 0.0
    size = width or float(np.abs(finite).max(initial=0)) or 1.0
    return int(np.clip(_DIGITS - 1 - np.floor(np.log10(size)), 0, 6))


@dataclass(frozen=True)
class Setting:
    """A searched setting, with the values that the trials had.

    Attributes
    ----------
    key : str
        As it is typed: `train.learning_rate`.
    name : str
        The end of the key by which it differs from the other settings.
    low, high : float
        Ends of its range; of choices, the first and the last place.
    log : bool
        Whether the range is logarithmic.
    choices : list or None
        What it is chosen from, numbers in their order; None for a range.
    when : str or None
        Condition under which it is active.
    places : ndarray, (trials,)
        Where on its axis the value of each trial lies: the number, or the place among the choices. NaN where the
        setting was inactive.
    words : list of str
        The value of each trial for people; a dash where inactive.
    """

    key: str
    name: str
    low: float
    high: float
    log: bool
    choices: list[Any] | None
    when: str | None
    places: np.ndarray
    words: list[str]

    @property
    def is_ordered(self) -> bool:
        """Whether more or less of it means something: a range, or numbers to choose from."""
        return self.choices is None or all(map(_is_number, self.choices))

    @property
    def categories(self) -> list[str]:
        """Names of the choices on an axis: the choices, or c1, c2, … where they are too long."""
        names = [told(choice) for choice in self.choices or []]
        if max(map(len, names), default=0) <= _LONGEST_CATEGORY and sum(map(len, names)) <= _LONGEST_CATEGORIES:
            return names
        return [f"c{place}" for place in range(1, len(names) + 1)]

    @property
    def searched(self) -> str:
        """Where it was searched, in words."""
        if self.choices is None:
            return f"{told(self.low)} to {told(self.high)}{', logarithmic' if self.log else ''}"
        names = [told(choice) for choice in self.choices]
        if names == self.categories:
            return " | ".join(names)
        return " | ".join(f"{code}: {name}" for code, name in zip(self.categories, names, strict=True))

    def scaled(self, places: np.ndarray) -> np.ndarray:
        """Places as shares of the axis, 0 at its low end and 1 at its high one; 0.5 where it has no length."""
        low, high = (np.log(end) if self.log else end for end in (self.low, self.high))
        if high <= low:
            return np.where(np.isnan(places), np.nan, 0.5)
        shares: np.ndarray = ((np.log(places) if self.log else places) - low) / (high - low)
        return shares

    def border(self, trial: int) -> str | None:
        """The border, `lower` or `upper`, at which the value of a trial lies; None where it lies within.

        A range that begins with 0 has no lower border: hardly a setting may be negative.
        """
        if not self.is_ordered or (self.choices is not None and len(self.choices) < _FEWEST_FOR_BORDER):
            return None
        share = float(self.scaled(self.places[trial : trial + 1])[0])
        if self.high <= self.low or np.isnan(share):
            return None
        if share <= _BORDER:
            return None if self.choices is None and self.low == 0 else "lower"
        return "upper" if share >= 1 - _BORDER else None


def new_setting(key: str, name: str, range_: dict[str, Any], texts: Sequence[str | None]) -> Setting:
    """A setting from its entry in the space and the values of the trials.

    What a trial had outside the space, as the default configuration may, belongs to the axis too.

    Parameters
    ----------
    key, name : str
    range_ : dict
        low, high and log, or choices; when.
    texts : sequence of str or None
        Value in each trial as JSON; None where inactive.

    Raises
    ------
    ValueError, TypeError, KeyError
        The entry or a value is none of these.
    """
    values: list[Any] = [None if text is None else json.loads(text) for text in texts]
    active = [text is not None for text in texts]
    given = [value for value, is_active in zip(values, active, strict=True) if is_active]
    choices: list[Any] | None = None
    log = False
    if "choices" in range_:
        choices = _choices([*range_["choices"], *given])
        places, ends = [float(choices.index(value)) for value in given], [0.0, len(choices) - 1.0]
    else:
        places = [float(value) for value in given]
        ends = [float(range_["low"]), float(range_["high"]), *places]
        log = bool(range_.get("log", False)) and min(ends) > 0
    of_trials = np.full(len(texts), np.nan)
    of_trials[active] = places
    words = [told(value) if is_active else MISSING for value, is_active in zip(values, active, strict=True)]
    when = range_.get("when")
    condition = None if when is None else str(when)
    return Setting(key, name, min(ends), max(ends), log, choices, condition, of_trials, words)


def _choices(values: list[Any]) -> list[Any]:
    """Each value once, numbers in their order. They may be lists, which no set holds."""
    choices = [value for place, value in enumerate(values) if value not in values[:place]]
    return sorted(choices) if all(map(_is_number, choices)) else choices


def short_names(keys: Sequence[str]) -> list[str]:
    """Of each dotted key the shortest end that no other key has."""
    parts = [key.split(".") for key in keys]
    names = []
    for own in parts:
        length = 1
        while length < len(own) and sum(other[-length:] == own[-length:] for other in parts) > 1:
            length += 1
        names.append(".".join(own[-length:]))
    return names


def told(value: Any) -> str:
    """The value of a setting for people."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(told, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {told(item)}" for key, item in value.items()) or "none"
    if not _is_number(value):
        return json.dumps(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return f"−{text[1:]}" if text.startswith("-") else text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
