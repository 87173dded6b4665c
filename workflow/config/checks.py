"""What the sections of the schema check their values with. Each raises InputError naming the key."""

from __future__ import annotations

import re

from workflow.errors import InputError


def require(condition: bool, message: str) -> None:
    """Refuse with `message` unless the condition holds."""
    if not condition:
        raise InputError(message)


def require_positive(section: str, settings: object, *keys: str) -> None:
    """Refuse values of the named keys that are not above zero."""
    for key in keys:
        value = getattr(settings, key)
        require(value > 0, f"{section}.{key}={value} must be positive")


def require_share(section: str, settings: object, *keys: str) -> None:
    """Refuse values of the named keys outside 0 … 1."""
    for key in keys:
        value = getattr(settings, key)
        require(0 <= value <= 1, f"{section}.{key}={value} must lie between 0 and 1")


def require_shard(section: str, shard: int | None, shards: int) -> None:
    """Refuse a part that is none of so many."""
    if shard is not None:
        require(shards > 1, f"{section}.shard={shard} is a part of how many? Give {section}.shards=N")
        require(
            0 <= shard < shards,
            f"{section}.shard={shard} is none of {section}.shards={shards}: they count from 0 to {shards - 1}",
        )


def require_name(key: str, name: str) -> None:
    """Refuse a name that could not be a file name."""
    require(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None,
        f"{key}={name} names files: use letters, digits, '.', '_' and '-' only",
    )


def require_pattern(key: str, pattern: str | None) -> None:
    """Refuse what is no regular expression."""
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise InputError(f"{key}={pattern} is not a regular expression: {error}") from None


def require_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices."""
    require(value in choices, f"{key}={value} is not a choice: use one of {', '.join(choices)}")
