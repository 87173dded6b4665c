from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.errors import InputError
from workflow.sweeping.expressions import Expression

SETTINGS = {
    "train.batch_size": 4,
    "train.accumulate": 3,
    "train.method": "lora",
    "train.lora.targets": ["l1"],
    "x": 2.0,
}


def value(text: str) -> Any:
    return Expression.read(text, "key").value(SETTINGS.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.batch_size * train.accumulate <= 12", True),
        ("train.batch_size * train.accumulate < 12", False),
        ("train.method == 'lora' and x > 1", True),
        ("train.method in ['full', 'scratch'] or not x > 1", False),
        ("'l1' in train.lora.targets", True),
        ("'l2' not in train.lora.targets", True),
        ("1 < x <= 2 < train.batch_size", True),
        ("1 < x < 2", False),
        ("-x + 7 // 2 % 2 - 1 / 4", -1.25),
        ("null == x or true", True),
        ("x", 2.0),
    ],
)
def test_values(text: str, expected: object) -> None:
    assert value(text) == expected


def test_what_stands_behind_and_is_not_looked_at_where_it_cannot_hold() -> None:
    assert value("x < 0 and 1 / 0 > 1") is False
    assert value("x > 0 or 1 / 0 > 1") is True


def test_names_are_those_of_settings() -> None:
    assert Expression.read("a.b + c * a.b > d.e.f and true", "key").names == ("a.b", "c", "d.e.f")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "(lambda: 1)()",
        "[i for i in (1, 2)]",
        "x if x else 1",
        "x := 3",
        "{'a': 1}",
        "x ** 99",
        "train['batch_size']",
        "f'{x}'",
        "x is None",
        "1j",
        "",
        "x +",
        "x; x",
        "(" * 300 + "x",
        "x + " * 300 + "x",
    ],
)
def test_all_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^sweep\.constraints") as caught:
        Expression.read(text, "sweep.constraints[1]")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["train.method < 3", "x / 0 > 1", "-train.method", "x in 3"])
def test_values_that_do_not_go_with_it_are_named(text: str) -> None:
    with pytest.raises(InputError, match=r"^key: .* has no value for .*="):
        value(text)


@given(st.text(max_size=30))
def test_any_text_is_an_expression_or_a_told_error(text: str) -> None:
    try:
        Expression.read(text, "key")
    except InputError as error:
        assert str(error).startswith("key: ")


@given(st.integers(-50, 50), st.integers(-50, 50), st.sampled_from(["+", "-", "*", "<", "<=", "==", "!=", ">", ">="]))
def test_arithmetic_is_that_of_python(left: int, right: int, sign: str) -> None:
    expected = {"a": left, "b": right}
    found = Expression.read(f"a {sign} b", "key").value(expected.__getitem__)
    assert found == eval(f"{left} {sign} {right}".replace("- -", "+ "))
