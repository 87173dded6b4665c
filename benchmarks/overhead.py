"""What the workflow adds to the tools that it starts: each stage's command against the tool's own line, typed by hand.

python benchmarks/overhead.py [--step-seconds 0.5]

NVIDIA's tools are played by the emulator of the tests, each of whose training steps takes a set time; the line by hand
is the one that a dry run tells. What the command takes beyond it is its start, the fingerprints, the gates, and the
reading of what the tool has left. Stages without a tool are told with the share of their time that is such work.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.emulator import install, write_tokenizer  # noqa: E402
from workflow.artifacts import read_manifest  # noqa: E402

STEPS, TRAINING_MINUTES = 40, 10
SMALL = (
    "genome=phix174",
    "split.method=block",
    "train=full",
    "train.context_length=256",
    f"train.steps={STEPS}",
    "train.validate_every=20",
    "train.batch_size=4",
    "model.batch_size=4",
    "+model.tool_sizes={nemo2: test, mbridge: striped_hyena_test}",
    "predict.forgetting=null",
    "evaluation.bootstrap_samples=200",
)


class Bench:
    """A folder of runs and the emulated tools."""

    def __init__(self, folder: Path, backend: str, step_seconds: float) -> None:
        self.folder = folder
        version = {"nemo2": "2.7.1", "mbridge": "main"}[backend]
        tools = install(folder / "tools", backend, version)
        self.overrides = [
            *SMALL,
            f"backend={backend}",
            f"backend.tokenizer={write_tokenizer(folder / 'nucleotide_fast_tokenizer_512')}",
            f"runs_folder={folder / 'runs'}",
            "run_name=bench",
        ]
        self.environment = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "EMULATOR_STEP_SECONDS": str(step_seconds),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }

    def command(self, stage: str, *more: str) -> tuple[float, str]:
        """Seconds of `python -m workflow.run`, and what it printed."""
        return self.timed([sys.executable, "-m", "workflow.run", f"stage={stage}", *self.overrides, *more])

    def timed(self, argv: list[str]) -> tuple[float, str]:
        """Seconds of a command, and what it printed."""
        begun = time.perf_counter()
        done = subprocess.run(argv, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{shlex.join(argv)}\n{done.stdout}{done.stderr}")
        return time.perf_counter() - begun, done.stdout

    def tool_lines(self, stage: str) -> list[str]:
        """The lines that a dry run tells of a stage's tools."""
        told = self.command(stage, "dry_run=true")[1]
        return [line.strip().removeprefix("runs").strip() for line in told.splitlines() if line.startswith("  runs ")]


def main() -> None:
    """Run each stage both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--step-seconds", type=float, default=0.5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), "nemo2", options.step_seconds)
        for stage in ("prepare", "preprocess", "convert"):
            told(stage, bench.command(stage)[0], own_seconds(bench, stage))
        by_hand = sum(
            bench.timed(["bash", "-c", line.replace("/bench/train", "/by-hand/train")])[0]
            for line in bench.tool_lines("train")
        )
        seconds = bench.command("train")[0]
        share = (seconds - by_hand) / (60 * TRAINING_MINUTES)
        print(f"train      command {seconds:6.1f} s   by hand {by_hand:6.1f} s   ratio {seconds / by_hand:.3f}")
        print(f"           beyond the tool {seconds - by_hand:.1f} s: {share:.2%} of {TRAINING_MINUTES} minutes")
        for stage in ("predict", "evaluate"):
            told(stage, bench.command(stage)[0], own_seconds(bench, stage))
        seconds = bench.command("[prepare,preprocess,convert,train,predict,evaluate]")[0]
        print(f"all done   command {seconds:6.1f} s   to find that nothing is to be done")


def own_seconds(bench: Bench, stage: str) -> float:
    """Seconds that a stage itself took, as its manifest has it."""
    return float(read_manifest(bench.folder / "runs" / "bench" / stage)["timings"]["seconds"])


def told(stage: str, seconds: float, own: float) -> None:
    """One line on a stage."""
    print(f"{stage:<10} command {seconds:6.1f} s   the stage {own:6.1f} s   beyond {seconds - own:.1f} s")


if __name__ == "__main__":
    main()
