"""Conditions on settings, such as `train.batch_size * train.accumulate <= 64`: read, never executed as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workflow.errors import InputError

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
#: As YAML writes them.
_WORDS = {"true": True, "false": False, "null": None}
_LONGEST = 1000


@dataclass(frozen=True)
class Expression:
    """A condition or a number that depends on settings.

    Numbers, strings, lists, names of settings with their dots, arithmetic (+ - * / // %), comparisons (also `in`)
    and `and`, `or`, `not`; nothing else.

    Attributes
    ----------
    text : str
    key : str
        Where the configuration has it.
    names : tuple of str
        The settings that it depends on.
    """

    text: str
    key: str
    names: tuple[str, ...]
    _tree: ast.expr

    @classmethod
    def read(cls, text: str, key: str) -> Expression:
        """Read an expression.

        Raises
        ------
        InputError
            It is not one.
        """
        try:
            if len(text) > _LONGEST:
                raise _RefusalError(f"it is longer than {_LONGEST} letters")
            tree = ast.parse(text.strip(), mode="eval").body
            names = tuple(dict.fromkeys(_names(tree)))
        except (SyntaxError, ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, _RefusalError) else "this is not an expression"
            raise InputError(
                f"{key}: {text!r} cannot be read ({reason}); use settings with their dots, numbers, strings, + - * / "
                "// %, comparisons, in, and, or, not"
            ) from None
        return cls(text, key, names, tree)

    def value(self, lookup: Callable[[str], Any]) -> Any:
        """What it gives, with `lookup` telling the value of a setting.

        Raises
        ------
        InputError
            The values do not go with what is done with them.
        """
        try:
            return _evaluate(self._tree, lookup)
        except (TypeError, ArithmeticError) as error:
            settings = ", ".join(f"{name}={lookup(name)}" for name in self.names)
            raise InputError(f"{self.key}: {self.text!r} has no value for {settings}: {error}") from None


class _RefusalError(ValueError):
    """Something that an expression must not hold."""


def _names(tree: ast.expr) -> list[str]:
    """The settings named in an expression; refuses what is no part of one."""
    if isinstance(tree, ast.Name | ast.Attribute):
        name = _dotted(tree)
        return [] if name in _WORDS else [name]
    if isinstance(tree, ast.Constant) and isinstance(tree.value, bool | int | float | str | None):
        return []
    return [name for part in _parts(tree) for name in _names(part)]


def _parts(tree: ast.expr) -> list[ast.expr]:
    match tree:
        case ast.BoolOp():
            return tree.values
        case ast.UnaryOp() if type(tree.op) in _SIGNS:
            return [tree.operand]
        case ast.BinOp() if type(tree.op) in _ARITHMETIC:
            return [tree.left, tree.right]
        case ast.Compare() if all(type(op) in _COMPARISONS for op in tree.ops):
            return [tree.left, *tree.comparators]
        case ast.List() | ast.Tuple():
            return tree.elts
    raise _RefusalError(f"{ast.unparse(tree)!r} is not allowed")


def _dotted(tree: ast.expr) -> str:
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Attribute):
        return f"{_dotted(tree.value)}.{tree.attr}"
    raise _RefusalError(f"{ast.unparse(tree)!r} is not a setting")


def _evaluate(tree: ast.expr, lookup: Callable[[str], Any]) -> Any:
    match tree:
        case ast.Constant():
            return tree.value
        case ast.Name() | ast.Attribute():
            name = _dotted(tree)
            return _WORDS[name] if name in _WORDS else lookup(name)
        case ast.BoolOp():
            # The first that decides, as Python has it: what stands behind an `and` may hold only if that does.
            decides = operator.not_ if isinstance(tree.op, ast.And) else bool
            value: Any = None
            for part in tree.values:
                value = _evaluate(part, lookup)
                if decides(value):
                    break
            return value
        case ast.UnaryOp():
            return _SIGNS[type(tree.op)](_evaluate(tree.operand, lookup))
        case ast.BinOp():
            return _ARITHMETIC[type(tree.op)](_evaluate(tree.left, lookup), _evaluate(tree.right, lookup))
        case ast.Compare():
            values = [_evaluate(part, lookup) for part in (tree.left, *tree.comparators)]
            pairs = zip(tree.ops, values, values[1:], strict=False)
            return all(_COMPARISONS[type(op)](left, right) for op, left, right in pairs)
        case ast.List() | ast.Tuple():
            return [_evaluate(part, lookup) for part in tree.elts]
    raise AssertionError(f"{type(tree).__name__} was let through")
