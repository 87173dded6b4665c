"""Tables of the report, as text for the page."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

#: Letters. Six columns of such words fit on the page.
_LONGEST_WORD = 24
_MOST_ROWS = 50


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes
    ----------
    caption : str
    columns : list of str
    rows : list of list of str
    words : int
        The first so many columns are words (aligned left), the others numbers (aligned right).
    fired : set of int
        Rows set in bold.
    links : dict
        Address, relative to the page, of the words at (row, column).
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    words: int = 1
    fired: set[int] = field(default_factory=set)
    links: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def is_long(self) -> bool:
        """Whether it has so many rows that it scrolls on a screen."""
        return len(self.rows) > _MOST_ROWS

    @staticmethod
    def may_break(cell: str) -> bool:
        """Whether a cell holds a word, such as a sequence's name, that would widen the table beyond the page."""
        return max(map(len, cell.split()), default=0) > _LONGEST_WORD


def gates_table(gates: pd.DataFrame) -> Table:
    """Every gate, those that fired first and in bold."""
    rows = [
        [gate["stage"], gate["name"], "passed" if gate["passed"] else "FIRED"]
        + [str(gate[key]) for key in ("saw", "limit", "why")]
        for gate in gates.to_dict("records")
    ]
    fired = {place for place, passed in enumerate(gates["passed"]) if not passed}
    caption = "Gates: checks that a number means something. Those that fired come first."
    return Table(caption, ["stage", "gate", "result", "saw", "limit", "why it matters"], rows, words=6, fired=fired)
