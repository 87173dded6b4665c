"""Starting a program, following what it prints, and leaving nothing behind when it ends or has to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from workflow.console import complain
from workflow.errors import MemoryShortageError, ToolError
from workflow.launch.diagnosis import diagnose, is_out_of_memory
from workflow.launch.family import Family
from workflow.launch.output import Output
from workflow.launch.shell import as_typed
from workflow.launch.stopping import StopRequest

_LINES_SHOWN = 30
_POLL_SECONDS = 0.1
#: Grace of what is left once the program itself has ended.
_LEFTOVER_SECONDS = 3.0
_STOP_COMMAND_SECONDS = 30.0


class PreemptedError(ToolError):
    """A training tool was asked to stop, by its scheduler say, and saved its state: start it again to go on."""


@dataclass(frozen=True)
class Program:
    """What is to be started.

    Attributes
    ----------
    argv : list of str
        Program and arguments.
    environment : dict
        Variables added to those of this process.
    log : Path
        Gets everything that the program prints, after what is there already.
    folder : Path, optional
        Where it is started; by default where this process runs.
    name : str
        What it is called in messages, when not by `argv[0]`.
    stop : list of str
        Command that ends what signals do not reach, such as a container; run after every forced stop.
    """

    argv: list[str]
    environment: dict[str, str]
    log: Path
    folder: Path | None = None
    name: str = ""
    stop: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Name for people."""
        return self.name or Path(self.argv[0]).name

    @property
    def typed(self) -> str:
        """The line of bash that does the same."""
        return as_typed(self.argv, self.environment, self.folder)


def run_program(
    program: Program,
    *,
    on_line: Callable[[str], None] | None = None,
    on_tick: Callable[[], None] | None = None,
    tick_seconds: float = 1.0,
    silence_minutes: float = 60.0,
    stop_seconds: float = 30.0,
) -> None:
    """Run a program to its end and keep its log.

    SIGINT, SIGTERM and SIGHUP to this process are passed on to the program, which is waited for. They go to
    the program itself first, not to its group: it may save its state, for which its own helpers must live.
    What is left after it is ended. A second signal kills at once. Nothing that it started outlives the call.

    Parameters
    ----------
    program : Program
        What to start.
    on_line : callable, optional
        Called with each line that it prints, on either stream, in order; a progress bar gives a line for each
        of its states. Blank lines are left out. An exception stops the program and comes out of here.
    on_tick : callable, optional
        Called about every `tick_seconds`, also when nothing is printed. As for exceptions, like `on_line`.
    silence_minutes : float
        A program that prints nothing for so long is stopped.
    stop_seconds : float
        Time to end in before it is killed. Writing the checkpoint of a large model takes minutes.

    Raises
    ------
    ToolError
        It cannot be started, fell silent, or ended with another exit code than 0.
    PreemptedError
        It was asked to stop and saved its state.
    KeyboardInterrupt, SystemExit
        This process got SIGINT, or SIGTERM or SIGHUP; the program has ended.
    """
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log, StopRequest() as stop:
        _write_header(log, program)
        child = _Child(program, log)
        try:
            _follow(child, stop, on_line, on_tick, tick_seconds, silence_minutes)
        finally:
            child.end(stop, stop_seconds)
    _judge(program, child)


class _Child:
    """The program while it runs, and all that it started."""

    def __init__(self, program: Program, log: BinaryIO) -> None:
        self.program = program
        self._family = Family()
        environment = self._family.environment({**os.environ, **program.environment})
        _check_start(program, environment)
        try:
            # No shell reads it.
            self._process = subprocess.Popen(  # noqa: S603
                program.argv,
                env=environment,
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # What is inheritable is meant to be: the lock on the run folder.
                close_fds=False,
                bufsize=0,
            )
        except OSError as error:
            raise ToolError(f"{program.label} cannot be started: {error.strerror} ({program.argv[0]})") from None
        self._family.adopt(self._process.pid)
        assert self._process.stdout is not None
        self.output = Output(self._process.stdout, log)

    @property
    def running(self) -> bool:
        """Whether the program itself has not ended."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int:
        """Negative for a signal."""
        assert self._process.returncode is not None
        return int(self._process.returncode)

    def end(self, stop: StopRequest, seconds: float) -> None:
        """Ask the program to end when it runs, then end what is left of it; keep all that they print."""
        asked = self.running
        try:
            if asked:
                first = next(iter(stop.received), None)
                how = ", a second signal kills it" if first else ""
                complain(f"  stopping {self.program.label}: it has {seconds:.0f} s to end{how}")
                self._process.send_signal(first or signal.SIGTERM)
                self._wait(lambda: not self.running, seconds, stop)
            if self._family.signal(signal.SIGTERM):
                self._wait(lambda: not self._family.signal(0), _LEFTOVER_SECONDS, stop)
        finally:
            # Also when the log cannot be written any more.
            self._kill()
            if self.program.stop and (asked or self.exit_code < 0):
                self._run_stop_command()
        self.output.rest(quiet=_POLL_SECONDS, limit=1.0)
        self.output.close()

    def _kill(self) -> None:
        """Leave nobody alive. New processes may be born while the others die."""
        until = time.monotonic() + _LEFTOVER_SECONDS
        while self._family.signal(signal.SIGKILL) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS / 10)
        self._process.wait()

    def _wait(self, ended: Callable[[], bool], seconds: float, stop: StopRequest) -> None:
        """Keep what is printed until all has ended, the time is over or a second signal came."""
        until = time.monotonic() + seconds
        while not ended() and time.monotonic() < until and not stop.is_urgent:
            self.output.read(_POLL_SECONDS)

    def _run_stop_command(self) -> None:
        with suppress(subprocess.TimeoutExpired, OSError):
            quiet = subprocess.DEVNULL
            subprocess.run(  # noqa: S603
                self.program.stop, check=False, stdin=quiet, stdout=quiet, stderr=quiet, timeout=_STOP_COMMAND_SECONDS
            )


def _check_start(program: Program, environment: dict[str, str]) -> None:
    """Raise ToolError when the program or its folder does not exist."""
    if program.folder is not None and not program.folder.is_dir():
        raise ToolError(f"{program.label} cannot be started: its folder {program.folder} does not exist")
    path = environment.get("PATH", os.defpath)
    if os.sep not in program.argv[0] and shutil.which(program.argv[0], path=path) is None:
        raise ToolError(
            f"{program.argv[0]} is not on PATH: run inside the container that has it, or use launcher=docker; "
            "`python -m workflow.doctor` shows what is installed"
        )


def _write_header(log: BinaryIO, program: Program) -> None:
    """Tell in the log when what was started, on a line of its own."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    gap = "\n" if log.tell() else ""
    log.write(f"{gap}# {now} $ {' '.join(program.typed.splitlines())}\n".encode())
    log.flush()


def _follow(
    child: _Child,
    stop: StopRequest,
    on_line: Callable[[str], None] | None,
    on_tick: Callable[[], None] | None,
    tick_seconds: float,
    silence_minutes: float,
) -> None:
    """Hand on lines and ticks until the program ends or a signal comes."""
    next_tick = time.monotonic() + tick_seconds
    while child.running and not stop.is_there:
        _hand_on(child.output.read(min(_POLL_SECONDS, tick_seconds)), on_line)
        now = time.monotonic()
        if on_tick is not None and now >= next_tick:
            on_tick()
            next_tick = now + tick_seconds
        if now - child.output.last_heard > 60 * silence_minutes:
            _show_tail(child.output.lines)
            known = diagnose(child.output.lines, 0)
            raise ToolError(
                f"{child.program.label} printed nothing for {silence_minutes:g} minutes and was stopped"
                f"{f': {known}' if known else ' (backend.silence_minutes allows more)'}; {_log_is(child.program)}"
            )
    if not stop.is_there:
        _hand_on(child.output.rest(quiet=_POLL_SECONDS, limit=2.0), on_line)


def _hand_on(lines: Sequence[str], on_line: Callable[[str], None] | None) -> None:
    if on_line is not None:
        for line in lines:
            on_line(line)


def _judge(program: Program, child: _Child) -> None:
    """Raise ToolError with the reason, after the last lines, unless all went well."""
    code, lines = child.exit_code, child.output.lines
    if child.output.preempted and (code == 0 or diagnose(lines, 0) is None):
        raise PreemptedError(
            f"{program.label} was asked to stop and saved its state (preemption): start the same command again, it "
            f"goes on from its newest complete checkpoint; {_log_is(program)}"
        )
    if code == 0:
        return
    _show_tail(lines)
    reason = diagnose(lines, code) or "no known failure, its last lines are above"
    kind = MemoryShortageError if is_out_of_memory(lines, code) else ToolError
    raise kind(f"{program.label} {_ending(code)}: {reason}; {_log_is(program)}")


def _show_tail(lines: Sequence[str]) -> None:
    for line in list(lines)[-_LINES_SHOWN:]:
        complain(f"  | {line}")


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _log_is(program: Program) -> str:
    return f"the whole log: {program.log}"
