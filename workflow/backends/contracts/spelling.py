"""One option of a command as the words that are typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from workflow.backends.contracts.command import Option
from workflow.backends.contracts.flags import Flag
from workflow.errors import InputError

_NUMBERS: dict[str, Callable[[str], int | float]] = {"int": int, "float": float}
_TRUTHS = {"true": True, "false": False}


def spell_option(flag: Flag, value: Option, where: str) -> list[str]:
    """The words of one option; none where it is left out.

    Parameters
    ----------
    flag : Flag
        What the tool takes.
    value : Option
        What is asked for. None leaves the option out, and so does False but for flags of type `bool`, whose
        default may be true. Both kinds of switch may come as text, as settings do: `true` or `false`.
    where : str
        Beginning of messages.

    Raises
    ------
    InputError
        The value is not one of the flag's type, number or choices.
    """
    if isinstance(value, str) and (flag.is_switch or flag.type == "bool"):
        value = _TRUTHS.get(value.lower(), value)
    if value is None or (value is False and flag.type != "bool"):
        return []
    where = f"{where}: {flag.name}"
    if flag.is_switch:
        if value is not True:
            raise InputError(f"{where} is a switch and takes no value, {value!r} was given: use true or false")
        return [flag.name]
    if flag.type == "bool":
        return _spell_truth(flag, value, where)
    texts = [_spell_value(flag, item, where) for item in _items(flag, value, where)]
    if flag.type == "names":
        texts = [",".join(texts)]
    return texts if flag.positional else _with_name(flag, texts, where)


def _items(flag: Flag, value: Option, where: str) -> Sequence[Option]:
    """The single values; several only where the flag takes them."""
    if isinstance(value, str | int | float | Path) or value is None:
        return [value]
    if flag.nargs != "+" and flag.type != "names":
        raise InputError(f"{where} takes one value, {len(value)} were given: {_listed(value)}")
    if not value and flag.nargs == "+":
        raise InputError(f"{where} needs a value, an empty list was given")
    return value


def _spell_value(flag: Flag, value: Option, where: str) -> str:
    if isinstance(value, bool) or value is None:
        raise InputError(f"{where} needs a value of type {flag.type}, {value} was given")
    text = str(value)
    read = _read(flag, text, where)
    if flag.choices and read not in flag.choices:
        raise InputError(f"{where}={text} is not a choice of this version: use one of {_listed(flag.choices)}")
    return text


def _read(flag: Flag, text: str, where: str) -> str | int | float:
    """What the tool makes of a text."""
    try:
        return _NUMBERS[flag.type](text) if flag.type in _NUMBERS else text
    except ValueError:
        kind = "a whole number" if flag.type == "int" else "a number"
        raise InputError(f"{where}={text} is not {kind}") from None


def _spell_truth(flag: Flag, value: Option, where: str) -> list[str]:
    """A flag that the tool reads with Python's bool(): only the empty text is false."""
    if isinstance(value, bool):
        return [] if value == flag.default else [flag.name, "True" if value else ""]
    raise InputError(f"{where}={value} would be read as true, as every text but the empty one: use true or false")


def _with_name(flag: Flag, texts: list[str], where: str) -> list[str]:
    """Values behind the flag's name; joined by "=" where the first would pass for a flag itself."""
    if not any(text.startswith("-") for text in texts):
        return [flag.name, *texts]
    if len(texts) > 1:
        raise InputError(f"{where}: a value that begins with '-' cannot be one of several: {_listed(texts)}")
    return [f"{flag.name}={texts[0]}"]


def _listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)
