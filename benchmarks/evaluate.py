"""Speed and memory of the per-base evaluation of made-up predictions, against plain numpy.

python benchmarks/evaluate.py [--bases 2e8] [--folder FOLDER]

Two models over windows of 8,192 bases of a soft-masked genome with a class track, and the same of a quarter of
its size: that shows whether memory is flat. Each case runs in a process of its own, which first compiles what is
compiled once.
The pass is everything but the resampling: windows, classes, calibration; it is timed with 10 resamplings, and the whole
with 10,000. Peak memory is what the system counts as resident, the pages of mapped files among it. The plain way is
that of the first version: numpy on whole columns, windows alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = Path(__file__).with_name("evaluation_cases.py")
SMALL = 2_000_000
#: Mb/s: 1 Gbp a minute.
GOAL = 1000 / 60
ROWS = {
    ("pass", "quarter"): "the pass, a quarter of the bases",
    ("pass", "whole"): "the pass",
    ("pass_markov", "whole"): "the pass, with a Markov model of order 10",
    ("whole", "whole"): "all, with it and 10,000 resamplings",
    ("plain", "whole"): "plain numpy, windows alone (sample)",
}


def in_own_process(*arguments: object) -> str:
    """What a case writes. The system counts at least the memory of the process that starts another: ours is small."""
    command = [sys.executable, str(CASES), json.dumps(arguments, default=str)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def predictions(folder: Path, bases: int) -> Path:
    """Made-up predictions, made unless they are there."""
    made = folder / f"predictions_{bases}"
    if not made.exists():
        in_own_process("make", made, bases)
    return made


def compare(bases: int, folder: Path) -> None:
    small = predictions(folder, SMALL)
    folders = {"quarter": predictions(folder, bases // 4), "whole": predictions(folder, bases)}
    load = os.getloadavg()[0]
    print(f"{bases / 1e6:g} Mb, 2 models, {len(os.sched_getaffinity(0))} processors, load {load:.1f} before the start")
    print(f"{'':<44} {'seconds':>8} {'CPU s':>7} {'Mb/s':>7} {'peak GiB':>9}")
    found, speeds = {}, {}
    for (case, size), name in ROWS.items():
        told = found[case, size] = json.loads(in_own_process(case, folders[size], small))
        speed = speeds[case, size] = told["bases"] / told["seconds"] / 1e6
        numbers = f"{told['seconds']:>8.1f} {told['cpu']:>7.1f} {speed:>7.1f} {told['peak_gib']:>9.2f}"
        print(f"{name:<44} {numbers}", flush=True)
    growth = found["pass", "whole"]["peak_gib"] / found["pass", "quarter"]["peak_gib"]
    peak = max(told["peak_gib"] for told in found.values()) * 2**30 / 1e9
    print(f"the pass is {speeds['pass', 'whole'] / speeds['plain', 'whole']:.1f} × as fast as plain numpy")
    for goal, met in (
        (f"≥ 1 Gbp/min (16.7 Mb/s): {speeds['pass', 'whole']:.1f} Mb/s", speeds["pass", "whole"] >= GOAL),
        (f"the same with Markov: {speeds['pass_markov', 'whole']:.1f} Mb/s", speeds["pass_markov", "whole"] >= GOAL),
        (f"≤ 2 GB resident: {peak:.2f} GB", peak <= 2),
        (f"≤ 1.25 × the memory for 4 × the bases: {growth:.2f}", growth <= 1.25),
    ):
        print(f"goal {goal} {'met' if met else 'missed'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=lambda text: int(float(text)), default=200_000_000)
    parser.add_argument("--folder", type=Path, help="where to keep the predictions, 24 bytes a base")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="evaluate-"))
    try:
        compare(options.bases, folder)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
