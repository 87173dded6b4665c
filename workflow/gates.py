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
    subject : str
        What was looked at, where a gate looks at several things.
    """

    name: str
    passed: bool
    saw: str
    limit: str
    why: str
    subject: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What a later look at the same thing has in common with this one."""
        return self.name, self.subject


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

    def check(self, name: str, passed: bool, *, saw: str, limit: str, why: str, subject: str = "") -> None:
        """Record a gate, in place of an earlier look at the same subject.

        Raises
        ------
        GateError
            It fired and its action is `stop`.
        """
        result = GateResult(name, bool(passed), saw, limit, why, subject)
        told_before = any(earlier.key == result.key and not earlier.passed for earlier in self.results)
        self.results = [earlier for earlier in self.results if earlier.key != result.key] + [result]
        if result.passed:
            return
        message = f"gate {name}: saw {saw}, limit {limit}. {why}"
        if self.actions.get(name, "stop") == "stop":
            raise GateError(f"{message} Override with gates.{name}=warn.", name)
        if not told_before:
            say(f"  WARNING {message}")

    def restore(self, records: list[dict[str, Any]]) -> None:
        """Take up what an interrupted run of the same stage had recorded."""
        restored = [GateResult(**record) for record in records]
        keys = {result.key for result in restored}
        self.results = [result for result in self.results if result.key not in keys] + restored

    def as_records(self) -> list[dict[str, Any]]:
        """The results for the manifest."""
        return [asdict(result) for result in self.results]
