"""Training of the local engine by one process and by two: tokens per second as ratios, and peak memory of a process.

python benchmarks/training.py [--width 256] [--length 1024] [--samples 4] [--steps 20] [--device auto]

Each case is a training of its own by `workflow.backends.embedded`, with the same samples a step, all weights trained.
A step's time is the median, without start and validation. On the CPU each of two processes gets half of the cores,
and the one process all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from workflow.backends.base import Workplace
from workflow.backends.embedded.places import WEIGHTS
from workflow.backends.embedded.processes import Job, program
from workflow.backends.embedded.training import make_ready
from workflow.config import (
    BackendConfig,
    Config,
    GatesConfig,
    GenomeConfig,
    ModelConfig,
    ParallelConfig,
    SweepConfig,
    TrainConfig,
    WindowsConfig,
)
from workflow.dataset.megatron import paths_of, write_index
from workflow.dataset.nvidia import DATASET_SPLIT, TRAINING_CONFIG
from workflow.striped_hyena import ModelConfig as Shape
from workflow.striped_hyena import StripedHyena2, save_checkpoint

#: Name, processes, strategy.
CASES = (("one process", 1, "ddp"), ("two, ddp", 2, "ddp"), ("two, fsdp", 2, "fsdp"))
#: Runs a rank and leaves its peak memory, in bytes, and when each step was made.
MEASURED = """
import json, os, resource, sys, time
from pathlib import Path
import torch
from workflow.backends.embedded import rank
from workflow.backends.embedded.adaptation import Adaptation
original, times = Adaptation.on_before_optimizer_step, []
def timed(self, optimizer):
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    times.append(time.perf_counter())
    original(self, optimizer)
Adaptation.on_before_optimizer_step = timed
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rank.main()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
    peak = torch.cuda.max_memory_allocated()
told = {"peak": peak, "seconds": sorted(b - a for a, b in zip(times, times[1:]))[len(times) // 2 - 1]}
Path(sys.argv[1]).with_name(f"rank-{os.environ['RANK']}.json").write_text(json.dumps(told))
"""


def configured(arguments: argparse.Namespace, processes: int, strategy: str) -> Config:
    return Config(
        genome=GenomeConfig(name="random", fasta="random.fa"),
        model=ModelConfig(name="random", architecture="tiny", context_length=arguments.length),
        backend=BackendConfig(name="local", device=arguments.device),
        parallel=ParallelConfig(devices=processes, strategy=strategy),
        train=TrainConfig(
            method="scratch",
            context_length=arguments.length,
            steps=arguments.steps,
            batch_size=arguments.samples // processes,
            learning_rate=1e-4,
            validate_every=arguments.steps,
            validation_samples=2,
        ),
        windows=WindowsConfig(length=arguments.length),
        gates=GatesConfig(),
        sweep=SweepConfig(name="random"),
        run_name="random",
    )


def write_tokens(folder: Path, bases: int) -> None:
    """Random bases as the token files that `preprocess` publishes."""
    folder.mkdir()
    rng, letters = np.random.default_rng(0), np.frombuffer(b"ACGT", np.uint8)
    for split in ("train", "val"):
        paths_of(folder / split)[0].write_bytes(rng.choice(letters, bases).tobytes() + b"\0")
        write_index(folder / split, np.array([bases + 1]))
    entries = [
        {"dataset_prefix": split, "dataset_split": DATASET_SPLIT[split], "dataset_weight": 1.0}
        for split in ("train", "val")
    ]
    (folder / TRAINING_CONFIG).write_text(yaml.safe_dump(entries))
    rows = [{"file": split, "tag": 0} for split in ("train", "val")]
    pd.DataFrame(rows).to_parquet(folder / "documents.parquet", index=False)


def measure(config: Config, base: Path, tokens: Path, out: Path) -> tuple[float, float]:
    """Seconds of a step, and the peak memory of a process in GiB."""
    place = Workplace(out)
    place.logs.mkdir(parents=True)
    make_ready(out)
    started = program(config, place)
    job = Path(started.argv[-1])
    Job(config, base, tokens, out, []).write(job)
    script = out / "measured.py"
    script.write_text(MEASURED)
    *torchrun, _, _, job_file = started.argv
    subprocess.run(
        [*torchrun, str(script), job_file], env=os.environ | started.environment, check=True, capture_output=True
    )
    told = [json.loads(path.read_text()) for path in job.parent.glob("rank-*.json")]
    assert len(told) == config.parallel.processes
    return told[0]["seconds"], max(one["peak"] for one in told) / 2**30


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 256), ("length", 1024), ("samples", 4), ("steps", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    arguments = parser.parse_args(words)
    width = arguments.width
    shape = Shape("SDH*" * 2, width=width, heads=width // 64, mlp_width=width * 8 // 3 // 16 * 16, filter_groups=16)
    on_gpu = torch.cuda.is_available() and arguments.device != "cpu"
    cases = CASES[: 1 if on_gpu and torch.cuda.device_count() < 2 else None]
    print(f"{shape.parameters:,} parameters, {arguments.samples} × {arguments.length:,} bases a step")
    alone = None
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        torch.manual_seed(0)
        (folder / "convert").mkdir()
        save_checkpoint(StripedHyena2(shape), folder / "convert" / WEIGHTS)
        write_tokens(folder / "preprocess", 100 * arguments.length)
        for name, processes, strategy in cases:
            config = configured(arguments, processes, strategy)
            seconds, peak = measure(config, folder / "convert", folder / "preprocess", folder / strategy / name)
            alone = alone or seconds
            speed = arguments.samples * arguments.length / seconds
            print(f"{name:12} {speed:10,.0f} bases/s, {alone / seconds:5.2f} of one process; {peak:6.2f} GiB a process")


if __name__ == "__main__":
    main()
