"""What a manifest says about where and with what something was made."""

from __future__ import annotations

import os
import platform
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from typing import Any

from workflow import __version__

_PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "lightning", "peft", "safetensors", "hydra-core")
_SECRET_KEY = re.compile(r"passw|pwd|secret|token$|api[_-]?key|access[_-]?key|credential", re.IGNORECASE)
_SECRET_IN_URL = re.compile(r"(?<=://)[^/\s]+(?=@)")
_MASK = "***"


def now() -> str:
    """UTC time, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment() -> dict[str, Any]:
    """Versions, host and accelerator, for the manifest."""
    host = {"system": platform.platform(), "machine": platform.machine(), "cores": len(os.sched_getaffinity(0))}
    return {"versions": dict(_versions()), "host": host, "accelerator": _accelerator()}


@lru_cache
def _versions() -> dict[str, str]:
    """Of this program and of what computes in it; read once, as thousands of shards ask."""
    versions = {"workflow": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def command_line() -> list[str]:
    """The command that this process was started with, secrets masked."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["python", "-m", module.name] if module is not None else sys.argv[:1]
    return [*program, *(_mask_argument(argument) for argument in sys.argv[1:])]


def mask_secrets(value: Any, key: str = "") -> Any:
    """A copy of a configuration with passwords, keys and credentials in URLs replaced by asterisks."""
    if value not in (None, "") and _SECRET_KEY.search(key):
        return _MASK
    if isinstance(value, dict):
        return {name: mask_secrets(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [mask_secrets(item, key) for item in value]
    if isinstance(value, str):
        return _SECRET_IN_URL.sub(_MASK, value)
    return value


def _mask_argument(argument: str) -> str:
    key, equals, value = argument.partition("=")
    return key + equals + str(mask_secrets(value, key)) if equals else str(mask_secrets(argument))


def _accelerator() -> str:
    """Name of the GPU that PyTorch sees, or `cpu`; never imports torch for it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return "cpu"
