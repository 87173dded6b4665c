"""Reading what NVIDIA's tools write: predictions and checkpoints, against loading them whole.

python benchmarks/toolchains.py [--gigabytes 4]

The predictions are made here, in the tools' format; each way reads them in a process of its own, so that its peak
memory is its own. The files lie in the page cache when they are read: the disk is not measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

LENGTH, VOCABULARY, BATCH = 8192, 512, 4


def write(folder: Path, gigabytes: float) -> int:
    """Batch files of random logits. Returns the windows that they hold."""
    folder.mkdir()
    windows = max(1, round(gigabytes * 1e9 / ((LENGTH + 1) * VOCABULARY * 4 * BATCH))) * BATCH
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(BATCH, LENGTH + 1, VOCABULARY, generator=generator)
    mask = torch.ones(BATCH, LENGTH + 1, dtype=torch.int64)
    mask[:, 0] = 0
    for number in range(windows // BATCH):
        content = {
            "token_logits": logits,
            "pad_mask": mask,
            "seq_idx": torch.arange(number * BATCH, (number + 1) * BATCH),
            "batch_idx": torch.tensor([number]),
        }
        torch.save(content, folder / f"predictions__rank_0__dp_rank_0__batch_{number}.pt")
    names = {name(row): row for row in range(windows)}
    (folder / "seq_idx_map.json").write_text(json.dumps(names))
    return windows


def name(row: int) -> str:
    return f"window_{row:06d}"


def streamed(folder: Path, windows: int) -> float:
    """Sum of the log-probabilities, read by this project."""
    from workflow.backends.nvidia.predictions import Predictions

    bases = np.frombuffer(b"ACGT" * (LENGTH // 4), np.uint8)
    lengths = np.full(windows, LENGTH)
    found = Predictions(folder, [name(row) for row in range(windows)], lengths, begin_token=True)
    return sum(score.total for score in found.scores(lambda row: bases))


def whole(folder: Path, windows: int) -> float:
    """The same, as a script would: every file loaded, and all of them put together."""
    bases = torch.tensor(list(b"ACGT" * (LENGTH // 4)))
    files = sorted(folder.glob("*.pt"))
    logits = torch.cat([torch.load(file, weights_only=True)["token_logits"] for file in files])
    logprobs = logits.log_softmax(-1)[:, :-1]
    return float(logprobs.gather(-1, bases.expand(windows, -1)[..., None]).double().sum())


def measure(way: str, folder: Path, windows: int) -> dict[str, float]:
    before = peak_gib()
    started = time.perf_counter()
    total = {"streamed": streamed, "whole": whole}[way](folder, windows)
    seconds = time.perf_counter() - started
    return {"total": total, "bases_per_second": windows * LENGTH / seconds, "peak_gib": peak_gib() - before}


def peak_gib() -> float:
    """Peak of this process alone: what `getrusage` tells begins with that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="raw predictions (default: 4)")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        way, folder, windows = asked.measure
        print(json.dumps(measure(way, Path(folder), int(windows))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "predictions"
        windows = write(folder, asked.gigabytes)
        print(f"{windows * LENGTH:,} bases, {sum(f.stat().st_size for f in folder.iterdir()) / 1e9:.1f} GB of logits")
        found = {}
        for way in ("streamed", "whole"):
            command = [sys.executable, __file__, "--measure", way, str(folder), str(windows)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way] = json.loads(done.stdout.splitlines()[-1])
            speed, peak = found[way]["bases_per_second"], found[way]["peak_gib"]
            print(f"{way:9s} {speed:>12,.0f} bases/s  {peak:6.2f} GiB above the start")
        if abs(found["streamed"]["total"] / found["whole"]["total"] - 1) > 1e-5:
            raise AssertionError("the two ways do not agree")
        speed = found["streamed"]["bases_per_second"] / found["whole"]["bases_per_second"]
        memory = found["whole"]["peak_gib"] / found["streamed"]["peak_gib"]
        print(f"streamed: {speed:.2f} times the speed, 1/{memory:.0f} of the memory")


if __name__ == "__main__":
    main()
