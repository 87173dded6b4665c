"""Starting programs: as the launcher wants them, followed while they run, stopped with all they started."""

from workflow.launch.diagnosis import diagnose, is_out_of_memory
from workflow.launch.launchers import prepare
from workflow.launch.process import PreemptedError, Program, run_program
from workflow.launch.progress import StepLine, TrainingProgress, parse_step
from workflow.launch.shell import as_typed, write_commands

__all__ = [
    "PreemptedError",
    "Program",
    "StepLine",
    "TrainingProgress",
    "as_typed",
    "diagnose",
    "is_out_of_memory",
    "parse_step",
    "prepare",
    "run_program",
    "write_commands",
]
