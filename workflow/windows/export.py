"""The windows of one split as FASTA: `python -m workflow.windows.export runs/NAME OUT.fa`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from workflow.artifacts import read_table
from workflow.config import SPLITS
from workflow.console import complain, say
from workflow.errors import InputError
from workflow.genome.sequences import Genome


def export(prepared: Path, out: Path, windows: str = "tiling", split: str = "test") -> int:
    """Write the windows of a split, one line a sequence, in the order of their table.

    Returns
    -------
    int
        Windows written.

    Raises
    ------
    InputError
        The folder has no such windows.
    """
    table = read_table(prepared / "windows" / f"{windows}.parquet", ["sequence_id", "split"])
    names = table["sequence_id"][table["split"] == split].tolist()
    if not names:
        raise InputError(f"{prepared} has no {windows} windows in {split}")
    with Genome(prepared / "windows" / f"{windows}.fa") as sequences, out.open("wb") as file:
        for name in names:
            file.write(b">" + name.encode() + b"\n" + sequences.whole(name).tobytes() + b"\n")
    return len(names)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m workflow.windows.export", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder, runs/NAME")
    parser.add_argument("target", type=Path, help="the FASTA to write")
    parser.add_argument("--windows", default="tiling", help="set of windows (default: tiling)")
    parser.add_argument("--split", default="test", choices=SPLITS)
    given = parser.parse_args(arguments)
    try:
        count = export(given.run / "prepare", given.target, given.windows, given.split)
    except (InputError, OSError) as error:
        complain(f"error: {error}")
        return 2
    say(f"{given.target}: {count:,} windows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
