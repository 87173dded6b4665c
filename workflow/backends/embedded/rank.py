"""One of the processes of a training: what torchrun starts as `python -m workflow.backends.embedded.rank JOB`."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TextIO

from workflow.backends.embedded.processes import SAID, Job, tell_error
from workflow.backends.embedded.work import take_part
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.tracking import STREAM, MetricStream


class Marked(io.TextIOBase):
    """Standard output of the first process: its lines are told apart from those that libraries print."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._rest = out, ""

    def write(self, text: str) -> int:
        """Pass on the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        self._out.write("".join(f"{SAID}{line}\n" for line in lines))
        self._out.flush()
        return len(text)


def main() -> None:
    """Take part in the training; exit with code 1, and tell why, where a user can mend it."""
    job, told = Job.read(Path(sys.argv[1])), sys.stdout
    gates = GateLog(vars(job.config.gates))
    gates.restore(job.gates)
    is_first = os.environ["RANK"] == "0"
    try:
        with redirect_stdout(Marked(told) if is_first else io.StringIO()):
            # The process that started this one passes the stream on.
            stream = MetricStream(job.out / STREAM) if is_first else None
            take_part(job.config, job.base, job.tokens, job.out, gates, stream)
    except InputError as error:
        told.write(tell_error(error))
        told.flush()
        sys.exit(1)


if __name__ == "__main__":
    main()
