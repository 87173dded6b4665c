"""Write the page of a comparison again: `python -m evaluation.classification RUN/classify`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evaluation.artefacts.records import stage_record
from evaluation.classification.report import REPORT, write
from workflow.artifacts import MANIFEST, InputError, describe_outputs, run_lock, write_json


def main(arguments: list[str] | None = None) -> int:
    """Write the page and tables of a stage `classify` from its predictions. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.classification", description=main.__doc__)
    parser.add_argument("folder", type=Path, metavar="RUN/classify", help="folder of the stage")
    given = parser.parse_args(arguments)
    try:
        _again(given.folder)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{given.folder / REPORT}\n")
    return 0


def _again(folder: Path) -> None:
    # Refuses a folder that is no published stage, beside which a lock must not be left.
    record = stage_record(folder)
    settings = {name: record.value("config", "evaluation", name) for name in ("bootstrap_samples", "confidence")}
    with run_lock(folder.parent):
        outcome = write(
            folder,
            samples=settings["bootstrap_samples"],
            confidence=settings["confidence"],
            seed=record.value("config", "seed"),
        )
        outputs = [output for output in describe_outputs(folder) if output["path"] != MANIFEST]
        told = {"outputs": outputs, "gates": outcome.checks}
        write_json(folder / MANIFEST, record.content | told)


if __name__ == "__main__":
    sys.exit(main())
