"""Which proposals are not worth a start: they break a constraint, or need more memory than one that had too little."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.config import Config
from workflow.errors import InputError
from workflow.sweeping.expressions import Expression
from workflow.sweeping.settings import unknown_key
from workflow.sweeping.space import SearchSpace

#: What takes the more memory the larger it is, all else being equal.
_SIZES = ("batch_size", "context_length")


@dataclass(frozen=True)
class Footprint:
    """What decides how much memory a training takes.

    Attributes
    ----------
    sizes : dict
        Numbers of which more takes more.
    rest : dict
        Everything else that bears on it.
    """

    sizes: dict[str, float]
    rest: dict[str, Any]

    @classmethod
    def of(cls, config: Config) -> Footprint:
        """That of a configuration."""
        train = config.train
        sizes: dict[str, float] = {name: getattr(train, name) for name in _SIZES}
        if train.method == "lora":
            sizes["lora.rank"] = train.lora.rank
        rest = {
            "architecture": config.model.architecture,
            "method": train.method,
            "precision": train.precision,
            "activation_checkpointing": train.activation_checkpointing,
            "targets": sorted(train.lora.targets) if train.method == "lora" else [],
        }
        return cls(sizes, rest)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Footprint:
        """What `record` gave."""
        return cls(record["sizes"], record["rest"])

    @property
    def record(self) -> dict[str, Any]:
        """Plain values, for Optuna to keep."""
        return {"sizes": self.sizes, "rest": self.rest}

    def needs_at_least(self, other: Footprint) -> bool:
        """Whether it takes no less memory than another for certain."""
        alike = self.rest == other.rest and self.sizes.keys() == other.sizes.keys()
        return alike and all(size >= other.sizes[name] for name, size in self.sizes.items())

    def __str__(self) -> str:
        return ", ".join(f"{name} {size:g}" for name, size in self.sizes.items())


def read_constraints(texts: Sequence[str], space: SearchSpace) -> tuple[Expression, ...]:
    """The conditions of `sweep.constraints`.

    Raises
    ------
    InputError
        One cannot be read, names what is no setting, or has no searched one in it and does not hold.
    """
    found = []
    for number, text in enumerate(texts):
        expression = Expression.read(text, f"sweep.constraints[{number}]")
        for name in expression.names:
            if name not in space.base:
                raise unknown_key(name, expression.key, space.base)
        if not set(expression.names) & set(space.keys) and not expression.value(space.lookup({})):
            raise InputError(f"{expression.key}: {text!r} does not hold, and no searched setting can change that")
        found.append(expression)
    return tuple(found)


def refusal(
    values: dict[str, Any],
    config: Config,
    space: SearchSpace,
    constraints: Iterable[Expression],
    too_large: Iterable[Footprint],
) -> str | None:
    """Why a proposal is not run; None where it is.

    Parameters
    ----------
    values : dict
        Its values of the searched settings.
    config : Config
        Its configuration.
    space, constraints
        Of the study.
    too_large : iterable of Footprint
        Those of trials that ran out of memory.
    """
    for constraint in constraints:
        if not constraint.value(space.lookup(values)):
            return f"it breaks the constraint {constraint.text}"
    footprint = Footprint.of(config)
    for other in too_large:
        if footprint.needs_at_least(other):
            return f"its batch is at least as large as one that ran out of memory ({other})"
    return None
