"""Where Optuna keeps a study: an SQLite file, a journal file, or PostgreSQL."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from workflow.errors import InputError

DATABASE, JOURNAL = "study.db", "study.journal"
_SECONDS_TO_WAIT = 120
_PASSWORD = "PGPASSWORD"  # noqa: S105
_CHOICES = "use null (a file in the study's folder), journal, or postgresql://USER@HOST:PORT/DATABASE"


def open_storage(storage: str | None, folder: Path) -> BaseStorage:
    """The storage of a study.

    Parameters
    ----------
    storage : str or None
        `sweep.storage`.
    folder : Path
        Of the study; made.

    Raises
    ------
    InputError
        It is none, holds a password, or the server cannot be reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if storage == "journal":
        # The lock of this backend is a symbolic link, which network file systems make atomically.
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    if storage is None:
        url = f"sqlite:///{(folder / DATABASE).absolute()}"
        return get_storage(RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _SECONDS_TO_WAIT}}))
    server = check_storage(storage)
    assert server is not None
    # The password goes to the server alone: what is kept of the URL anywhere has none.
    arguments = {"password": os.environ.get(_PASSWORD), "timeout": _SECONDS_TO_WAIT}
    with faults_told(storage):
        engine = {"connect_args": arguments, "pool_pre_ping": True}
        return get_storage(RDBStorage(server.render_as_string(), engine_kwargs=engine))


def check_storage(storage: str | None) -> URL | None:
    """Refuse what is no storage; the URL of a server, None of a file.

    Raises
    ------
    InputError
        It is none of those, or holds a password, which is not repeated.
    """
    if storage in (None, "journal"):
        return None
    try:
        url = make_url(str(storage))
    except ArgumentError:
        raise InputError(f"sweep.storage={str(storage).partition('@')[0]} is no storage: {_CHOICES}") from None
    if url.password is not None or "password" in url.query:
        raise InputError(
            f"sweep.storage holds a password, which would be written down: leave it out and set {_PASSWORD} in the "
            "environment"
        )
    if url.get_backend_name() != "postgresql" or not url.database:
        raise InputError(f"sweep.storage={url} is no storage: {_CHOICES}")
    return url.set(drivername="postgresql+pg8000")


def dashboard(storage: str | None, folder: Path) -> str:
    """The command that shows the study in optuna-dashboard (a package of its own)."""
    url = check_storage(storage)
    if url is not None:
        # psycopg2 takes the password from the environment, as pg8000 does not.
        return shlex.join(["optuna-dashboard", str(url.set(drivername="postgresql+psycopg2"))])
    if storage == "journal":
        return shlex.join(["optuna-dashboard", str(folder / JOURNAL)])
    return shlex.join(["optuna-dashboard", f"sqlite:///{folder / DATABASE}"])


@contextmanager
def faults_told(storage: str | None) -> Iterator[None]:
    """Tell what goes wrong with the storage in one line."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        told = " ".join(str(getattr(cause, "orig", None) or cause).split())
        where = check_storage(storage) or f"the {storage or DATABASE} of the study"
        raise InputError(
            f"sweep.storage: {where} cannot be used ({told}): see that it runs and may be written to"
            + (f", and that {_PASSWORD} is its password" if storage not in (None, "journal") else "")
            + "; the same command goes on"
        ) from None
