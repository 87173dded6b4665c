"""Backends: one protocol, and what implements it."""

from __future__ import annotations

from workflow.backends.base import Backend, ModelFiles, Prompt, SequenceSet, Workplace
from workflow.config import Config
from workflow.errors import InputError

__all__ = ["BACKENDS", "Backend", "ModelFiles", "Prompt", "SequenceSet", "Workplace", "open_backend"]

BACKENDS = ("local", "nemo2", "mbridge")


def open_backend(config: Config, place: Workplace) -> Backend:
    """The backend of the given name. Imports its packages only now, so that the others need not be installed.

    Raises
    ------
    InputError
        There is no such backend, or what it needs is not installed.
    """
    name = config.backend.name
    if name not in BACKENDS:
        raise InputError(f"backend={name} does not exist: use one of {', '.join(BACKENDS)}")
    try:
        if name != "local":
            from workflow.backends.nvidia.backend import NvidiaBackend

            return NvidiaBackend(config, place)
        from workflow.backends.local import LocalBackend

        return LocalBackend(config.backend, place)
    except ModuleNotFoundError as error:
        raise InputError(
            f"backend={name} needs the package {error.name}: install it with pip install -e '.[local]'"
        ) from None
