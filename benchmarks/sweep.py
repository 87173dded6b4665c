"""What a study costs beside its trials: proposals and book-keeping by storage and sampler, and the start of a trial.

python benchmarks/sweep.py [--trials 1000] [--postgresql postgresql://USER@HOST/DATABASE]

Trials take no time; a worker takes them, tells their values and goes on. A start is the time from the request to the
first line of a process that has the engine loaded: forked from one that has, against a new interpreter. Ratios within
one start of this program mean more than its seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hydra import compose, initialize_config_dir

from workflow.command import register_schema
from workflow.sweeping.plan import make_plan
from workflow.sweeping.study import Study

ROOT = Path(__file__).parent.parent
ENGINE = "workflow.backends.embedded.training"
STARTS = 5


def seconds_of_trial(folder: Path, trials: int, sampler: str, storage: str | None) -> tuple[float, float]:
    """Mean over all trials, and over the last tenth, in which the study is large."""
    name = f"{sampler}-{(storage or 'sqlite').partition(':')[0]}-{time.time_ns()}"
    given = [f"runs_folder={folder}", f"sweep.name={name}", f"sweep.sampler={sampler}", f"sweep.trials={trials}"]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "configs")):
        settings = compose("config", [*given, f"sweep.storage={storage or 'null'}"])
    study = Study(make_plan(settings, given))
    times = [time.perf_counter()]
    while (claim := study.claim()) is not None:
        study.note(claim, seconds=0.0, steps=0)
        study.complete(claim, [claim.values["train.weight_decay"] + abs(claim.values["train.lora.dropout"] - 0.1)])
        times.append(time.perf_counter())
    late = max(1, trials // 10)
    return (times[-1] - times[0]) / trials, (times[-1] - times[-1 - late]) / late


def seconds_to_start() -> tuple[float, float]:
    """Of a process forked from one with the engine, and of a new interpreter that imports it; the best of some."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([ENGINE])
    start(context)
    forked = min(start(context) for _ in range(STARTS))
    new = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {ENGINE}"], check=True, cwd=ROOT)
        new.append(time.perf_counter() - begun)
    return forked, min(new)


def start(context: multiprocessing.context.ForkServerContext) -> float:
    begun = time.perf_counter()
    process = context.Process(target=__import__, args=(ENGINE,))
    process.start()
    process.join()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--postgresql", help="password in PGPASSWORD")
    given = parser.parse_args()
    register_schema()
    storages = [None, "journal", *([given.postgresql] if given.postgresql else [])]
    print(f"{given.trials} trials: ms for each, and for each of the last tenth")
    with tempfile.TemporaryDirectory() as folder:
        for storage in storages:
            for sampler in ("random", "tpe"):
                mean, late = seconds_of_trial(Path(folder), given.trials, sampler, storage)
                name = (storage or "sqlite").partition(":")[0]
                print(f"  {name:<10} {sampler:<6} {1000 * mean:8.1f} {1000 * late:8.1f}", flush=True)
    forked, new = seconds_to_start()
    print(f"start of a trial: {forked:.2f} s forked, {new:.2f} s anew: {new / forked:.0f} times as fast")


if __name__ == "__main__":
    main()
