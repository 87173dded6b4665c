from __future__ import annotations

import pytest

from evaluation.page.tables import Table


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
