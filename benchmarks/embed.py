"""Speed and memory of the stage `embed` for many short sequences: memory must not grow with their number.

python benchmarks/embed.py [--sequences 1000 10000 100000] [--bases 50] [--folder FOLDER]

The model is a small random one, so that what is measured is the stage around it. Each case runs in a process of its
own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from prepare import run

ROOT = Path(__file__).resolve().parent.parent


def write_reads(path: Path, count: int, bases: int) -> None:
    import numpy as np

    random, letters = np.random.default_rng(0), np.frombuffer(b"ACGT", np.uint8)
    with path.open("wb") as file:
        for number in range(count):
            file.write(b">read%d\n" % number + letters[random.integers(4, size=bases)].tobytes() + b"\n")


def case(folder: Path, count: int, bases: int) -> dict[str, object]:
    """Embed so many sequences; what the stage counts."""
    from dataclasses import asdict, replace

    import torch
    from hydra import compose, initialize_config_dir

    from workflow.command import resolve
    from workflow.gates import GateLog
    from workflow.stages.context import StageContext
    from workflow.stages.embed import embed, remove_shards
    from workflow.striped_hyena import PRESETS, ModelConfig, StripedHyena2, save_checkpoint

    torch.manual_seed(0)
    shape = ModelConfig("SH*", width=16, heads=2, mlp_width=24, filter_groups=4)
    PRESETS["benchmark"] = shape
    out, place = folder / f"embed_{count}", folder / "convert"
    out.mkdir()
    place.mkdir(exist_ok=True)
    save_checkpoint(StripedHyena2(shape), place / "model.safetensors")
    write_reads(folder / "reads.fa", count, bases)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        settings = ["stage=embed", "train=none", f"embed.input={folder / 'reads.fa'}"]
        config = resolve(compose("config", settings))
    config = replace(config, model=replace(config.model, architecture="benchmark"))
    counts = embed(StageContext(config, out, folder, GateLog(asdict(config.gates)), fingerprint=f"{count:012d}"))
    remove_shards(folder)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--bases", type=int, default=50, help="bases of each (default: 50)")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case is not None:
        print(json.dumps(case(given.folder, given.case, given.bases)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        print(f"{'sequences':>10} {'sequences/s':>12} {'bases/s':>10} {'peak GiB':>9}")
        for count in given.sequences:
            command = [sys.executable, str(Path(__file__).resolve()), "--folder", folder, "--case", str(count)]
            done = run([*command, "--bases", str(given.bases)])
            rates = done.told["sequences_per_second"], done.told["bases_read_per_second"]
            print(f"{count:>10,} {rates[0]:>12,.0f} {rates[1]:>10,.0f} {done.peak_gib:>9.2f}")


if __name__ == "__main__":
    main()
