"""Starting NVIDIA's tools: checked against their contract, by the launcher that the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workflow.backends.base import Workplace
from workflow.backends.contracts import Command, Contract
from workflow.config import Config
from workflow.console import say
from workflow.genome.files import PROJECT_ROOT
from workflow.launch import Program, prepare, run_program

LOGS, TRAIN = "logs", "train_evo2"
_SECONDS_TO_END, _SECONDS_TO_SAVE = 30.0, 600.0


class ToolRunner:
    """Runs the commands of one stage.

    Parameters
    ----------
    config : Config
    contract : Contract
        What the tools accept.
    place : Workplace
        Its `logs` folder gets the whole output of each command.
    """

    def __init__(self, config: Config, contract: Contract, place: Workplace) -> None:
        self.config, self.contract, self.place = config, contract, place
        self._told: set[str] = set()

    def line(self, command: Command) -> str:
        """The command as one would type it.

        Raises
        ------
        InputError
            The tool's version would refuse it.
        """
        return self._program(command).typed

    def run(
        self,
        command: Command,
        *,
        on_line: Callable[[str], None] | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> Path:
        """Run a command to its end. Returns the file with what it printed.

        Raises
        ------
        InputError
            The tool's version would refuse it.
        ToolError
            It could not be started, failed, or hung.
        """
        program = self._program(command)
        self._tell(command, program)
        self.place.commands.append({"command": program.typed, "why": dict(command.why)})
        # A training saves its state before it ends.
        stop_seconds = _SECONDS_TO_SAVE if command.tool == TRAIN else _SECONDS_TO_END
        run_program(
            program,
            on_line=on_line,
            on_tick=on_tick,
            silence_minutes=self.config.backend.silence_minutes,
            stop_seconds=stop_seconds,
        )
        return program.log

    def _tell(self, command: Command, program: Program) -> None:
        """Show the first command of each tool; those after it are alike, and in the manifest."""
        if command.tool not in self._told:
            say(f"  {program.typed}")
            for flag in self.contract.ignored(command):
                say(f"  WARNING {command.tool} accepts {flag} and does nothing with it")
        self._told.add(command.tool)

    def _program(self, command: Command) -> Program:
        return prepare(
            self.config.launcher,
            self.config.parallel,
            self.contract.spell(command),
            command.environment,
            log=self.place.folder / LOGS / f"{command.tool}.log",
            processes=command.processes,
            mounts=self._mounts(),
            folder=command.folder,
        )

    def _mounts(self) -> list[Path]:
        """What a container has to see: this project, the run, the tokenizer and a checkpoint of the user's."""
        config = self.config
        wanted = [PROJECT_ROOT, Path(config.runs_folder).absolute()]
        for place in (config.backend.tokenizer, config.model.checkpoint):
            if place and "://" not in place:
                wanted.append(Path(place).absolute().parent)
        return wanted
