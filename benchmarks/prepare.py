"""Speed and memory of the preparation of a polyploid genome, against earlier ways and against the machine's limits.

python benchmarks/prepare.py [--bases 1e9] [--folder FOLDER] [--keep]

A synthetic genome (benchmarks/synthetic.py) is made in the folder, and one of a quarter of its size, which runs first:
it shows whether memory is flat, and compiles what is compiled once. Earlier ways run on a small sample; their time
for the whole is in proportion to the bases. Each case runs in a process of its own. Its peak memory is what the system
counts as resident, the pages of memory-mapped files among it. Nothing is dropped from the page cache in between.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
#: As many homolog groups as sugarcane has; whole groups then give 80, 10 and 10 %.
GROUPS, HAPLOTYPES, BASES_PER_GENE = 10, 8, 25_000
SAMPLE_BASES = 20_000_000
WINDOW = 8192
STAGES = ("download", "prepare", "preprocess")
GIGA = 1e9
TOKENS = "token files and their FASTA alone"
#: Together they split, write gene units and write token files; they check, audit and classify nothing.
EARLIER = ("pyfaidx, gffutils, Python (sample, scaled)", "upstream's HF tokenizer (sample, scaled)")
BYTES = "upstream's byte tokenizer (sample, scaled)"
#: On fewer bases the start of the processes takes most of the time.
LEAST_BASES_FOR_GOALS = 10**9


@dataclass(frozen=True)
class Case:
    """What one case took.

    Attributes
    ----------
    seconds : float
        Wall time of the process or, where the case tells it, of its work alone.
    peak_gib : float
        Largest resident memory of the process and of those that it started.
    told : dict
        What the case tells beside.
    """

    seconds: float
    peak_gib: float
    told: dict[str, Any] = field(default_factory=dict)


class CaseError(Exception):
    """A case did not end well; the message is the last line of what it wrote."""


def run(command: list[str]) -> Case:
    """Run a process and measure it; its last line of output is read when it is JSON.

    Raises
    ------
    CaseError
        It ended with an error.
    """
    # The peak that the system tells of a process is at least that of the process that started it: this one
    # imports nothing large.
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        # So that the last line of an error is the error.
        environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        last = (output.read().strip().splitlines() or [""])[-1]
    if process.returncode:
        raise CaseError(last[:200] or f"exit code {process.returncode}")
    told = json.loads(last) if last.startswith("{") else {}
    return Case(told.get("seconds", seconds), usage.ru_maxrss / 2**20, told)


def in_own_process(name: str, *arguments: object) -> Case:
    """A case of `preparation_cases`."""
    return run([sys.executable, str(BENCHMARKS / "preparation_cases.py"), json.dumps([name, *arguments], default=str)])


def synthetic_genome(folder: Path, bases: int, groups: int = GROUPS) -> Path:
    """A genome in the folder, made unless it is there."""
    out = folder / f"genome_{bases}_{groups}x{HAPLOTYPES}"
    if not out.exists():
        sizes = {"bases": bases, "genes": bases // BASES_PER_GENE, "groups": groups, "haplotypes": HAPLOTYPES}
        options = [f"--{key}={value}" for key, value in sizes.items()]
        run([sys.executable, str(BENCHMARKS / "synthetic.py"), *options, f"--out={out}"])
    return out


def prepare_and_preprocess(genome: Path, runs: Path, audit: bool) -> Case:
    """The stages on a genome, as a user starts them; `told` are their own seconds and the bytes that they wrote."""
    shutil.rmtree(runs, ignore_errors=True)
    settings = {
        "stage": f"[{','.join(STAGES)}]",
        "genome": "custom",
        "genome.name": "syn",
        "genome.fasta": genome / "genome.fa",
        "genome.annotation": genome / "genes.gff3",
        "genome.sequence_names": r'"Chr(?P<group>\d+)(?P<haplotype>[A-Z])"',
        "genome.unplaced_names": r'"scaffold_\d+"',
        "windows.length": WINDOW,
        "split.audit": str(audit).lower(),
        "gates.train_test_similarity": "warn",
        "runs_folder": runs,
        "run_name": "run",
    }
    case = run([sys.executable, "-m", "workflow.run", *(f"{key}={value}" for key, value in settings.items())])
    manifests = {stage: runs / "run" / stage / "manifest.json" for stage in STAGES}
    seconds = {stage: json.loads(path.read_text())["timings"]["seconds"] for stage, path in manifests.items()}
    written = sum(path.stat().st_size for path in runs.rglob("*") if path.is_file())
    return Case(case.seconds, case.peak_gib, {"stages": seconds, "bytes": written})


class Table:
    """Rows, printed as they come; a row whose case fails tells why and is left out of what follows."""

    def __init__(self, title: str) -> None:
        self.cases: dict[str, Case] = {}
        print(title)
        print(f"{'':<46} {'seconds':>9} {'Gbp/min':>8} {'peak GiB':>9}  ")

    def row(self, name: str, bases: int | None, action: Callable[[], Case], note: Callable[[Case], str]) -> None:
        try:
            case = self.cases[name] = action()
        except CaseError as error:
            print(f"{name:<46} not run: {error}", flush=True)
            return
        speed = f"{gbp_a_minute(bases, case.seconds):>8.3g}" if bases else f"{'':>8}"
        print(f"{name:<46} {case.seconds:>9.1f} {speed} {case.peak_gib:>9.2f}  {note(case)}", flush=True)

    def speed(self, name: str, bases: int) -> float | None:
        return gbp_a_minute(bases, self.cases[name].seconds) if name in self.cases else None


def gbp_a_minute(bases: float, seconds: float) -> float:
    return bases / GIGA / seconds * 60


def measure(bases: int, folder: Path, work: Path, table: Table) -> None:
    """Print a row for each case, with genomes in `folder` and everything else in `work`, which is new and empty."""
    runs, scratch = work / "runs", work / "scratch"
    scratch.mkdir()
    sample = synthetic_genome(folder, SAMPLE_BASES, groups=2)
    stages = lambda case: ", ".join(f"{name} {seconds:.1f} s" for name, seconds in case.told["stages"].items())  # noqa: E731
    for name, size in (("quarter", bases // 4), ("whole", bases)):
        genome = synthetic_genome(folder, size)
        # With the audit last: what it prepared for the whole is read by the next case.
        for audit in (False, True):
            label = f"ours, {name}, {'with' if audit else 'without'} audit"
            table.row(label, size, partial(prepare_and_preprocess, genome, runs, audit), stages)
    prepared = runs / "run" / "prepare"
    tokens = partial(scaled, "tokens", bases, None, prepared, scratch)
    table.row(TOKENS, bases, tokens, lambda case: f"{case.told['bases']:,} bases in the regions, scaled to all")
    shutil.rmtree(runs, ignore_errors=True)
    lines = lambda case: f"{case.told['lines']:,} lines, {case.told['lines'] / case.seconds:,.0f} a second"  # noqa: E731
    table.row("GFF3 of 400,000 genes", None, lambda: in_own_process("annotation", scratch, GROUPS, HAPLOTYPES), lines)
    table.row(
        EARLIER[0],
        bases,
        partial(scaled, "gffutils", bases, SAMPLE_BASES, sample, scratch),
        lambda case: times_slower(case, table, "ours, whole, without audit"),
    )
    for tokenizer, title in (("bytes", BYTES), ("huggingface", EARLIER[1])):
        table.row(
            title,
            bases,
            partial(scaled, "tokenizer", bases, None, sample, scratch, tokenizer),
            lambda case: times_slower(case, table, TOKENS),
        )
    print_limits(bases, table, in_own_process("limits", sample, scratch, bases, WINDOW).told)


def scaled(name: str, bases: int, measured: int | None, *arguments: object) -> Case:
    """A case on `measured` bases, or on as many as it tells, with its time for all bases; its memory as it is."""
    case = in_own_process(name, *arguments)
    return Case(case.seconds * bases / (measured or case.told["bases"]), case.peak_gib, case.told)


def times_slower(case: Case, table: Table, ours: str) -> str:
    return f"{case.seconds / table.cases[ours].seconds:,.3g} × the time of “{ours}”" if ours in table.cases else ""


def print_limits(bases: int, table: Table, rates: dict[str, float]) -> None:
    """What the machine does at most, and which of it takes most of the time of a run."""
    print(f"\ndisk {rates['disk'] / 1e6:,.0f} MB/s written, gzip {rates['decompression'] / 1e6:,.0f} MB/s decompressed")
    print(
        f"hashing {rates['ours'] / 1e6:,.0f} Mb/s a thread, {rates['ours'] / rates['sourmash']:.1f}× sourmash's "
        f"{rates['sourmash'] / 1e6:,.1f} Mb/s"
    )
    whole = table.cases.get("ours, whole, with audit")
    if whole is None:
        return
    seconds = {
        "disk": whole.told["bytes"] / rates["disk"],
        "hashing": bases / rates["ours"] / rates["threads"],
    }
    unpacking = bases / rates["decompression"]
    most = max(seconds, key=seconds.__getitem__)
    told = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    packed = "decompression" if unpacking > seconds[most] else most
    print(
        f"of {whole.seconds:.1f} s with audit at these rates: {told}; {most} takes most, and both together are "
        f"{sum(seconds.values()) / whole.seconds:.0%}; "
        f"were the FASTA gzip, decompression {unpacking:.1f} s: {packed} takes most"
    )
    earlier = [table.cases.get(name) for name in EARLIER]
    if all(earlier):
        total = sum(case.seconds for case in earlier if case)
        print(f"earlier ways together: {total:,.0f} s, {total / whole.seconds:,.3g} × ours with audit")


def print_goals(bases: int, table: Table) -> None:
    """Each goal, what was measured, and whether that meets it."""
    peaks = {name: case.peak_gib for name, case in table.cases.items() if name.startswith("ours")}
    audited = [peaks.get(f"ours, {name}, with audit") for name in ("quarter", "whole")]
    growth = audited[1] / audited[0] if audited[0] and audited[1] else None
    annotation = table.cases.get("GFF3 of 400,000 genes")
    print()
    if bases < LEAST_BASES_FOR_GOALS:
        print(
            f"the goals are meant for {LEAST_BASES_FOR_GOALS / GIGA:g} Gb or more; here start-up takes much of the time"
        )
    goal("≥ 3 Gbp/min with audit", table.speed("ours, whole, with audit", bases), at_least=3)
    goal("≥ 5 Gbp/min without audit", table.speed("ours, whole, without audit", bases), at_least=5)
    goal("≥ 7 Gbp/min token files", table.speed(TOKENS, bases), at_least=7)
    goal("≤ 5 s for the GFF3 of 400,000 genes", annotation.seconds if annotation else None, at_most=5)
    goal("≤ 1.5 GB resident", max(peaks.values()) * 2**30 / GIGA if peaks else None, at_most=1.5)
    goal("≤ 1.25 × the memory for 4 × the bases", growth, at_most=1.25)


def goal(name: str, value: float | None, at_least: float = 0, at_most: float = float("inf")) -> None:
    verdict = "not measured" if value is None else f"{value:.3g} {'met' if at_least <= value <= at_most else 'missed'}"
    print(f"goal {name}: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=lambda text: int(float(text)), default=10**9)
    parser.add_argument("--folder", type=Path, help="where to work")
    parser.add_argument("--keep", action="store_true", help="keep the genomes in the folder, use those that are there")
    options = parser.parse_args()
    if options.keep and options.folder is None:
        parser.error("--keep needs a --folder")
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    # The folder may hold other things: only what is made here is removed.
    work = Path(tempfile.mkdtemp(prefix="prepare-", dir=options.folder)).resolve()
    genomes = options.folder.resolve() if options.keep else work
    table = Table(
        f"{options.bases / GIGA:g} Gb, {GROUPS} groups × {HAPLOTYPES} copies, windows of {WINDOW}, "
        f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f} before the start"
    )
    try:
        measure(options.bases, genomes, work, table)
        print_goals(options.bases, table)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
