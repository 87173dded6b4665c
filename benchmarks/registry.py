"""How long the list of runs takes, against reading every manifest: `python benchmarks/registry.py [RUNS]`.

Makes that many runs of six stages (10,000 by default) in a temporary folder, with manifests as long as real ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from workflow.artifacts import write_json
from workflow.registry.records import describe, refresh

STAGES = ("download", "prepare", "preprocess", "convert", "train", "predict", "evaluate")


def manifest(stage: str, number: int) -> dict[str, Any]:
    """A manifest of about 8 kB, which is what a run of the demo genome has."""
    settings = {f"setting_{place}": place for place in range(120)}
    config = dict.fromkeys(("split", "windows", "predict"), settings) | {
        "genome": {"name": "rice"},
        "model": {"name": "tiny"},
        "backend": {"name": "local"},
        "train": {"method": "lora", "learning_rate": number * 1e-6},
    }
    identity = {"config": {"train": config["train"]}, "files": [], "stages": {"prepare": "a" * 64}}
    return {
        "stage": stage,
        "fingerprint": f"{number:064x}",
        "identity": identity,
        "config": config,
        "outputs": [{"path": f"file_{place}", "bytes": 1000 * place} for place in range(20)],
        "counts": {"first_validation_loss": 1.33, "best_validation_loss": 1.3} if stage == "train" else {},
        "gates": [],
        "timings": {"started": f"2026-05-{1 + number % 28:02d}T10:00:00+00:00", "seconds": 100.0},
    }


def metrics(number: int) -> dict[str, Any]:
    """The part of an evaluation that the list shows."""
    nll = {"base": 1.3, "adapted": 1.25, "markov": 1.31}
    gain = {"gain": number * 1e-6, "gain_low": 0.0, "gain_high": 0.1}
    return {
        "verdict": {"outcome": "better", "headline": "The adapted model is better."},
        "bases": 1000,
        "models": [{"model": name, "repeats": "all bases", "nll": value} for name, value in nll.items()],
        "differences": [{"model": "adapted", "reference": "base", "repeats": "all bases"} | gain],
        "forgetting": None,
    }


def make(folder: Path, number: int) -> None:
    """One run."""
    run = folder / f"run-{number:05d}"
    for stage in STAGES:
        (run / stage).mkdir(parents=True)
        (run / stage / "manifest.json").write_text(json.dumps(manifest(stage, number)))
    write_json(run / "evaluate" / "metrics.json", metrics(number))
    refresh(run)


def listed(folder: Path) -> float:
    """Seconds of the whole command, start of Python included."""
    began = time.perf_counter()
    words = [sys.executable, "-m", "workflow.runs", "list", "--folder", str(folder)]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.count("\n")
    seconds = time.perf_counter() - began
    assert lines >= sum(1 for _ in folder.iterdir())
    return seconds


def main() -> None:
    """Print the seconds of three lists and of one reading of all manifests."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(count):
            make(folder, number)
        quick = min(listed(folder) for _ in range(3))
        began = time.perf_counter()
        for run in folder.iterdir():
            describe(run)
        slow = time.perf_counter() - began
    print(f"{count:,} runs: list {quick:.2f} s; reading their manifests {slow:.2f} s, {slow / quick:.1f} times as long")


if __name__ == "__main__":
    main()
