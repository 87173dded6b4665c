"""Starting NVIDIA's tools: checked against their contract, by the launcher that the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from workflow.backends.base import Workplace
from workflow.backends.contracts import Command, Contract
from workflow.config import Config
from workflow.console import say
from workflow.genome.files import PROJECT_ROOT
from workflow.launch import Program, prepare, run_program
from workflow.launch.rendezvous import announced

TRAIN, PREDICT = "train_evo2", "predict_evo2"
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
    alone : bool
        Start everything on this machine only, whatever the launcher.
    """

    def __init__(self, config: Config, contract: Contract, place: Workplace, *, alone: bool = False) -> None:
        self.config, self.contract, self.place, self.alone = config, contract, place, alone
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
        name: str = "",
    ) -> Path:
        """Run a command to its end. Returns the file with what it printed, which bears the name of the tool or `name`.

        Raises
        ------
        InputError
            The tool's version would refuse it.
        ToolError
            It could not be started, failed, or hung.
        """
        program = replace(self._program(command), log=self.log(name or command.tool))
        self._tell(command, program)
        told = {"command": program.typed, "version": str(self.contract), "why": dict(command.why)}
        self.place.commands.append(told)
        # A training saves its state before it ends.
        stop_seconds = _SECONDS_TO_SAVE if command.tool == TRAIN else _SECONDS_TO_END
        with announced(Path(self.config.runs_folder) / self.config.run_name, program):
            run_program(
                program,
                on_line=on_line,
                on_tick=on_tick,
                silence_minutes=self.config.backend.silence_minutes,
                stop_seconds=stop_seconds,
            )
        return program.log

    def log(self, name: str) -> Path:
        """The file that keeps what a tool prints, of all its starts."""
        return self.place.logs / f"{name}.log"

    def _tell(self, command: Command, program: Program) -> None:
        """Show the first command of each tool; those after it are alike, and in the manifest."""
        if command.tool not in self._told:
            say(f"  {program.typed}")
            for flag in self.contract.ignored(command):
                say(f"  WARNING {command.tool} accepts {flag} and does nothing with it")
        self._told.add(command.tool)

    def _program(self, command: Command) -> Program:
        launcher, parallel = self.config.launcher, self.config.parallel
        if launcher.name == "torchrun" and (self.alone or command.tool not in (TRAIN, PREDICT)):
            # The other machines do not wait for it, and would only do the same again.
            launcher, parallel = replace(launcher, name="process"), replace(parallel, nodes=1)
        return prepare(
            launcher,
            parallel,
            self.contract.spell(command),
            command.environment,
            log=self.log(command.tool),
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
                wanted += _around(Path(place)) or _around(PROJECT_ROOT / place)
        return list(dict.fromkeys(wanted))


def _around(place: Path) -> list[Path]:
    """The folder of a place and, where it is a link, that of its end. Docker would make those that do not exist."""
    return [folder for folder in (place.absolute().parent, place.resolve().parent) if folder.is_dir()]
