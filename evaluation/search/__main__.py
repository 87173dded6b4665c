"""Write the page of a study again: `python -m evaluation.search runs/STUDY`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evaluation.search.reading import require_study
from evaluation.search.report import write_report
from workflow.artifacts import InputError, run_lock


def main(arguments: list[str] | None = None) -> int:
    """Write report.html of a study from its files. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.search", description=main.__doc__)
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of the study, runs/NAME")
    given = parser.parse_args(arguments)
    try:
        page = _written(given.study)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{page}\n")
    return 0


def _written(study: Path) -> Path:
    # Refuses a folder that is no study, in which a lock must not be left.
    require_study(study)
    with run_lock(study):
        return write_report(study)


if __name__ == "__main__":
    sys.exit(main())
