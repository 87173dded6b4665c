"""What was submitted for a run: `jobs/jobs.json` in its folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from workflow.artifacts import read_json, write_json

#: Folder of the scripts, the logs and the record.
JOBS = "jobs"
_RECORD = "jobs.json"


@dataclass(frozen=True)
class Submitted:
    """One submission.

    Attributes
    ----------
    id : str
        SLURM's number.
    name : str
        Of the script `NAME.sbatch` and the logs `NAME-ID.log`, `NAME-ID_TASK.log` of an array.
    stages : list of str
        What it makes.
    array : int, optional
        Number of tasks.
    after : list of str
        Numbers of the jobs that have to end well first.
    submitted : str
        When, ISO 8601, UTC.
    """

    id: str
    name: str
    stages: list[str]
    array: int | None
    after: list[str]
    submitted: str

    def log(self, folder: Path, task: str) -> Path:
        """What the job, or one `ID_TASK` of it, prints."""
        return folder / JOBS / f"{self.name}-{task}.log"


def read_records(folder: Path) -> list[Submitted]:
    """Everything that was submitted for a run or a study, oldest first; empty where nothing was.

    Raises
    ------
    InputError
        The record is damaged.
    """
    path = folder / JOBS / _RECORD
    return [Submitted(**record) for record in read_json(path)] if path.exists() else []


def add_record(folder: Path, record: Submitted) -> None:
    """Add one submission."""
    records = [*read_records(folder), record]
    write_json(folder / JOBS / _RECORD, [asdict(record) for record in records])
