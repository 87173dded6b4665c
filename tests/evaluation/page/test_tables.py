from __future__ import annotations

import pandas as pd
import pytest

from evaluation.page.tables import Table, gates_table


@pytest.mark.parametrize(
    ("cell", "breaks"),
    [
        ("first_validation_loss", False),
        ("a sentence of many short words that is wrapped between them", False),
        ("Saccharum_officinarum_Chr01A:0-8192(+)", True),
        ("", False),
    ],
)
def test_only_words_too_long_for_a_column_are_broken(cell: str, breaks: bool) -> None:
    assert Table.may_break(cell) is breaks


def test_gates_that_fired_are_in_bold() -> None:
    gates = pd.DataFrame(
        {
            "stage": ["predict", "train"],
            "name": ["loud", "quiet"],
            "passed": [False, True],
            "saw": ["3", "1"],
            "limit": ["2", "2"],
            "why": ["It matters.", "It matters."],
        }
    )
    table = gates_table(gates)
    assert [row[2] for row in table.rows] == ["FIRED", "passed"]
    assert table.fired == {0}
    assert table.words == len(table.columns)
