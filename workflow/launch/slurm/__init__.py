"""SLURM: job scripts that can be read, their submission, and what became of them.

No call is pickled and shipped: a job types the same command that a person would.
"""

from workflow.launch.slurm.job import Job
from workflow.launch.slurm.queue import TaskState, cancel, states_of, submit
from workflow.launch.slurm.records import JOBS, Submitted, add_record, read_records
from workflow.launch.slurm.script import render

__all__ = [
    "JOBS",
    "Job",
    "Submitted",
    "TaskState",
    "add_record",
    "cancel",
    "read_records",
    "render",
    "states_of",
    "submit",
]
