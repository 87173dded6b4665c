"""A trial in a process of its own, forked from one that has the engine loaded; nothing of it outlives its end."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

from omegaconf import DictConfig

from workflow.command import resolve, told_in_one_line
from workflow.config import Config
from workflow.errors import InputError
from workflow.launch.family import Family
from workflow.pipeline import Run
from workflow.pipeline.outcome import forget_failure, read_failure, record_failure
from workflow.provenance import now
from workflow.sweeping.plan import as_typed

#: In the run folder of a trial: what it prints.
LOG = "log.txt"
_POLL_SECONDS = 0.2
_LEFTOVER_SECONDS = 3.0
#: Time to end in: a tool may write the checkpoint of a large model, the engine has saved with its last validation.
_PATIENCE_SECONDS, _PATIENCE_WITH_TOOLS = 60.0, 660.0
#: What takes seconds to import, by the stage that needs it.
_HEAVY = {"train": "workflow.backends", "evaluate": "evaluation.report"}
_ENGINE = ("workflow.backends.local", "workflow.backends.embedded.training", "workflow.backends.embedded.work")


def patience(config: Config) -> float:
    """Seconds that a trial gets to end when it is asked to."""
    return _PATIENCE_SECONDS if config.backend.name == "local" else _PATIENCE_WITH_TOOLS


class TrialProcess:
    """A run of the pipeline in a process of its own.

    Parameters
    ----------
    settings : DictConfig
        Its configuration.
    shared : Path
        Where the stages before the training are kept for all trials.
    run : Path
        Its run folder; `log.txt` there gets what it prints, after what is there already.
    arguments : sequence of str
        Those of `python -m workflow.run` that do the same.
    """

    def __init__(self, settings: DictConfig, shared: Path, run: Path, arguments: Sequence[str]) -> None:
        self._family = Family()
        run.mkdir(parents=True, exist_ok=True)
        log = run / LOG
        with log.open("a", encoding="utf-8") as file:
            file.write(f"# {now()} $ {as_typed(arguments)}\n")
        given = (settings, shared, log.absolute(), list(arguments), self._family.environment(os.environ))
        self._process = _context(settings).Process(target=_run, args=given)
        self._process.start()
        assert self._process.pid is not None
        self._family.adopt(self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float = _POLL_SECONDS) -> None:
        """Wait for its end, but not for long."""
        self._process.join(seconds)

    def stop(self, seconds: float, is_urgent: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        """Ask it to end, as it would be at a terminal; it may save its state.

        Parameters
        ----------
        seconds : float
            What it has for that.
        is_urgent : callable
            Whether it has to end at once after all.
        meanwhile : callable
            Called while it is waited for.
        """
        until = time.monotonic() + seconds
        if self.exit_code is None and self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGTERM)
        while self.exit_code is None and time.monotonic() < until and not is_urgent():
            self.wait()
            meanwhile()

    def close(self) -> None:
        """Leave nobody alive that it started, nor itself."""
        until = time.monotonic() + _LEFTOVER_SECONDS
        while self._family.signal(signal.SIGKILL) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS / 10)
        if self.exit_code is None:
            self._process.kill()
        self._process.join()


def _context(settings: DictConfig) -> ForkServerContext:
    """Where trials are forked from; it begins with the first."""
    context = multiprocessing.get_context("forkserver")
    modules = [_HEAVY[stage] for stage in settings.stage if stage in _HEAVY]
    context.set_forkserver_preload([__name__, *modules, *(_ENGINE if settings.backend.name == "local" else [])])
    return context


def _run(settings: DictConfig, shared: Path, log: Path, arguments: list[str], environment: Mapping[str, str]) -> None:
    """What the new process does."""
    os.setsid()  # Ctrl-C at the terminal is for the worker, who stops it properly.
    os.environ.update(environment)
    _print_to(log)
    end_with_parent()
    # Manifests tell the command that does the same by hand.
    main = types.ModuleType("__main__")
    main.__spec__ = importlib.util.find_spec("workflow.run")
    sys.modules["__main__"], sys.argv = main, ["workflow.run", *arguments]
    with told_in_one_line(show_traceback=bool(settings.debug)):
        run = Run(resolve(settings), shared)
        forget_failure(run.folder)
        try:
            run.execute()
        except InputError as error:
            if read_failure(run.folder) is None:  # before any stage began
                record_failure(run.folder, "train", error)
            raise
        except SystemExit as error:  # Lightning ends at a signal without a code, as if all were done
            sys.exit(error.code or 128 + signal.SIGTERM)


def _print_to(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def end_with_parent() -> None:
    """Ask this process to end, as a person would, when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
