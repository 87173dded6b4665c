"""Several processes of this machine at one work, and one that watches them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from workflow.console import complain
from workflow.errors import InputError, MemoryShortageError, ToolError
from workflow.launch import is_out_of_memory

#: Called with the number of items that were done.
Report = Callable[[int], None]
_POLL_SECONDS = 1.0
_SMALLER = "give a smaller batch_tokens of the stage, or fewer parallel.devices"


@dataclass
class Member:
    """One process of a crew.

    Attributes
    ----------
    number : int
        From 0.
    process : process
    messages : connection
        How many items it has done, or the error that ended it.
    """

    number: int
    process: BaseProcess
    messages: Connection


def run_crew(
    work: Callable[..., None], arguments: Sequence[Any], environments: Sequence[dict[str, str]], report: Report
) -> None:
    """Run a function in fresh processes, one for each environment, until all of them have returned.

    Their common work is left to those that live when one of them is killed. None outlives this process.

    Parameters
    ----------
    work : callable
        Of a module; called with a function that takes the number of items done, then `arguments`.
    arguments : sequence
        Anything that can be sent to a process.
    environments : sequence of dict
        Variables of each process, set before it imports anything that reads them late, as PyTorch does.
    report : callable
        Called here with the items that were done.

    Raises
    ------
    InputError
        As a process raised it; the others are ended.
    ToolError
        All were killed.
    RuntimeError
        A process failed otherwise, and has printed its traceback.
    """
    spawn = multiprocessing.get_context("spawn")
    crew: list[Member] = []
    try:
        for number, environment in enumerate(environments):
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(target=_begin, args=(sender, environment, work, tuple(arguments)), daemon=True)
            process.start()
            sender.close()
            crew.append(Member(number, process, receiver))
        _follow(crew, report)
    finally:
        for member in crew:
            member.process.terminate()
            member.process.join()
            member.messages.close()


def _begin(messages: Connection, environment: dict[str, str], work: Callable[..., None], arguments: Any) -> None:
    """What a process of the crew does."""
    os.environ.update(environment)
    # Ctrl-C reaches all processes of a terminal; the one that watches ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # What is told to a starter that has died ends this process as well.
        with suppress(BrokenPipeError):
            work(messages.send, *arguments)
    except InputError as error:
        messages.send(error)
    except RuntimeError as error:
        lines = str(error).splitlines()
        if not is_out_of_memory(lines, 0):
            raise
        messages.send(MemoryShortageError(f"a process ran out of memory ({lines[0]}): {_SMALLER}"))


def _follow(crew: Sequence[Member], report: Report) -> None:
    """Hand on what the processes tell until all have ended."""
    working, killed = list(crew), 0
    while working:
        wait([member.messages for member in working], _POLL_SECONDS)
        for member in list(working):
            if _has_ended(member, report):
                working.remove(member)
                killed += _judge(member, len(crew), len(working))
    if killed == len(crew):
        raise ToolError(
            f"all processes were killed, as the system does when memory runs out: {_SMALLER}; what they made is kept"
        )


def _has_ended(member: Member, report: Report) -> bool:
    """Take what a process has told; whether it can tell no more."""
    with suppress(EOFError, ConnectionResetError):
        while member.messages.poll():
            told = member.messages.recv()
            if isinstance(told, InputError):
                raise told
            report(told)
        return False
    member.process.join()
    return True


def _judge(member: Member, of: int, left: int) -> bool:
    """Whether a process that has ended was killed."""
    code = member.process.exitcode or 0
    if code > 0:
        raise RuntimeError(f"process {member.number} of {of} failed; its traceback is above")
    if code < 0:
        complain(
            f"  WARNING process {member.number} of {of} was ended by {signal.Signals(-code).name}; "
            f"{f'the {left} others take over its work' if left else 'no other is left'}"
        )
    return code < 0
