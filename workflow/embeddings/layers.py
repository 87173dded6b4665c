"""Layers by number or name."""

from __future__ import annotations

import re
from typing import Any

from workflow.errors import InputError

#: As the modules are called here and in the published checkpoints, and in NVIDIA's.
_NAME = re.compile(r"(?:blocks|decoder\.layers)\.(\d+)")
_NUMBER = re.compile(r"-?\d+")


def layer_numbers(wanted: Any, count: int) -> list[int]:
    """Numbers of layers, from 0, in the order in which they are asked for.

    Parameters
    ----------
    wanted : int, str, list of these or None
        Numbers from 0, of which negative ones count from the end, names (`blocks.3`, or `decoder.layers.3` as
        NVIDIA's tools have it), or `all`. None is the one in the middle.
    count : int
        Layers that the model has.

    Raises
    ------
    InputError
        There is no such layer, one is named twice, or none at all.
    """
    if wanted is None:
        return [count // 2]
    if wanted == "all":
        return list(range(count))
    numbers = [_number(layer, count) for layer in (wanted if isinstance(wanted, list) else [wanted])]
    if not numbers:
        raise InputError(f"embed.layers is empty: give some of {_choice(count)}")
    if (twice := next((number for number in numbers if numbers.count(number) > 1), None)) is not None:
        raise InputError(f"embed.layers={wanted} names layer {twice} more than once")
    return numbers


def layer_name(number: int) -> str:
    """Name of a layer in the model."""
    return f"blocks.{number}"


def _number(layer: Any, count: int) -> int:
    text = str(layer)
    name = _NAME.fullmatch(text)
    number = int(name[1]) if name else int(text) if _NUMBER.fullmatch(text) else None
    if number is None or not -count <= number < count or isinstance(layer, bool):
        raise InputError(f"embed.layers={text}: there is no such layer; give {_choice(count)}")
    return number % count


def _choice(count: int) -> str:
    return f"0 to {count - 1} (-{count} to -1 from the end), {layer_name(0)} to {layer_name(count - 1)}, or all"
