"""Backends: one protocol, and what implements it."""

from __future__ import annotations

from workflow.backends.base import Backend, ModelFiles, Prompt
from workflow.config import BackendConfig
from workflow.errors import InputError

__all__ = ["Backend", "ModelFiles", "Prompt", "open_backend"]


def open_backend(config: BackendConfig) -> Backend:
    """The backend of the given name. Imports its packages only now, so that the others need not be installed.

    Raises
    ------
    InputError
        There is no such backend, or what it needs is not installed.
    """
    if config.name != "local":
        raise InputError(f"backend={config.name} does not exist: use local")
    try:
        from workflow.backends.local import LocalBackend
    except ModuleNotFoundError as error:
        raise InputError(
            f"backend=local needs the package {error.name}: install it with pip install -e '.[local]'"
        ) from None
    return LocalBackend(config)
