"""Gates: checks that stop a run whose numbers would be meaningless.

A gate says what it saw, the limit, why it matters and how to override it. What it saw is kept in the
stage's manifest whether it fired or not, and has a line in the report.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from workflow.console import say
from workflow.errors import GateError


@dataclass(frozen=True)
class GateResult:
    """Outcome of one gate.

    Attributes
    ----------
    name : str
        Key in the `gates` section of the configuration.
    passed : bool
        Whether the value keeps the limit.
    saw, limit, why : str
        One phrase each, for people.
    """

    name: str
    passed: bool
    saw: str
    limit: str
    why: str


@dataclass
class GateLog:
    """Collects the gates of a stage and acts on those that fire.

    Attributes
    ----------
    actions : dict
        `stop` or `warn` for each gate name; a gate that is not named stops.
    """

    actions: dict[str, str] = field(default_factory=dict)
    results: list[GateResult] = field(default_factory=list)

    def check(self, name: str, passed: bool, saw: str, limit: str, why: str) -> None:
        """Record a gate. Raises GateError when it fired and its action is `stop`."""
        result = GateResult(name, bool(passed), saw, limit, why)
        self.results.append(result)
        if result.passed:
            return
        message = f"gate {name}: saw {saw}, limit {limit}. {why} Override with gates.{name}=warn."
        if self.actions.get(name, "stop") == "stop":
            raise GateError(message)
        say(f"  WARNING {message}")

    def as_records(self) -> list[dict[str, Any]]:
        """The results for the manifest."""
        return [asdict(result) for result in self.results]
