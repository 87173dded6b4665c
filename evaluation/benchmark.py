"""A genome's own benchmark: `python -m evaluation.benchmark pack RUN OUT`, then `score` and `show`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from evaluation.benchmarking.folder import MANIFEST, open_benchmark
from evaluation.benchmarking.packing import pack
from evaluation.benchmarking.results import standings
from evaluation.benchmarking.scoring import score_task, score_windows
from workflow.artifacts import InputError, publish, run_lock


def main(arguments: list[str] | None = None) -> int:
    """Pack the held-out windows of a run as a benchmark, score models on it, show results. Returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "pack":
            _require_new(given.out)
            with run_lock(given.run), publish(given.out) as folder:
                pack(given.run, folder, given.name, given.version)
            sys.stdout.write(f"{given.out}\n")
        benchmark = open_benchmark(given.out if given.command == "pack" else given.benchmark)
        if given.command == "score":
            # On one line, as the tables need it.
            model = " ".join((given.model or given.scores.resolve().stem).split())
            date = f"{datetime.now(UTC):%Y-%m-%d}"
            # Two processes that score at once would lose one of the rows.
            with run_lock(benchmark.folder):
                if given.task is None:
                    score_windows(benchmark, given.scores, model, date)
                else:
                    score_task(benchmark, given.scores, model, date, given.task)
        sys.stdout.write(standings(benchmark.folder))
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation.benchmark", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="freeze the test windows, tasks and baselines of a run in a folder")
    packing.add_argument("run", type=Path, help="run folder, runs/NAME")
    packing.add_argument("out", type=Path, help="new folder")
    packing.add_argument("--name", help="name of the benchmark; by default that of the genome")
    packing.add_argument("--version", default="1.0")
    scoring = commands.add_parser("score", help="score a model and add it to the results")
    scoring.add_argument("benchmark", type=Path)
    scoring.add_argument("scores", type=Path, help="folder of per-base scores, or a table")
    scoring.add_argument("--model", help="name of the model; by default that of the scores")
    scoring.add_argument("--task", help="score this task rather than the windows")
    showing = commands.add_parser("show", help="print the results")
    showing.add_argument("benchmark", type=Path)
    return parser


def _require_new(out: Path) -> None:
    """A benchmark is never replaced: others may have scored on it."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "is a benchmark already" if (out / MANIFEST).exists() else "holds files"
        raise InputError(f"{out} {what}: name a new folder")


if __name__ == "__main__":
    sys.exit(main())
