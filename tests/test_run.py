"""The command as a user runs it: in a process of its own, on the demo genomes, killed and started again."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.artifacts import PerBaseScores

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "data" / "demo"
#: Small enough for seconds, with everything in it.
SMALL = (
    "train.steps=6",
    "train.validate_every=2",
    "train.batch_size=2",
    "train.context_length=256",
    "train.validation_samples=4",
    "infer.n_prompts=2",
    "infer.samples=2",
    "infer.prompt_length=32",
    "infer.length=40",
    "evaluation.bootstrap_samples=200",
    "evaluation.markov_max_order=4",
    "evaluation.heatmap_bases=40",
    f"predict.forgetting={ROOT / 'tests' / 'data' / 'other_organisms.fa'}",
)
#: Runs the command, and ends the process as SIGKILL does when something happens for the n-th time: a rename to
#: a given name is about to be made, a window is about to be written, or an optimizer step.
KILLER = """
import os, runpy, signal, sys
what, left = sys.argv.pop(1), [int(sys.argv.pop(1))]
def die_at(owner, name, applies):
    original = getattr(owner, name)
    def counted(*args, **kwargs):
        left[0] -= applies(*args)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)
    setattr(owner, name, counted)
if what == "step":
    from workflow.backends.embedded.adaptation import Adaptation
    die_at(Adaptation, "on_before_optimizer_step", lambda *args: True)
elif what == "window":
    from workflow.artifacts import PerBaseWriter
    die_at(PerBaseWriter, "write", lambda *args: True)
else:
    die_at(os, "replace", lambda source, target: os.path.basename(target) == what)
runpy.run_module("workflow.run", run_name="__main__")
"""


def command(
    *arguments: str, runs: Path, program: tuple[str, ...] = ("-m", "workflow.run")
) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, *program, f"runs_folder={runs}", *arguments]
    return subprocess.run(line, cwd=runs.parent, env=environment, capture_output=True, text=True, timeout=300)


def artefacts(folder: Path) -> dict[str, bytes]:
    """Every published file but for those that hold times, and Lightning's own counters; of manifests the counts."""
    timed = ("manifest.json", "report.html", "structure.json", "run.json", "stream.jsonl")
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in timed and "tensorboard" not in path.parts
    }
    for path in sorted(folder.glob("*/manifest.json")):
        manifest = json.loads(path.read_text())
        files[f"{path.parent.name} counts and gates"] = repr([manifest["counts"], manifest["gates"]]).encode()
    return files


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole run of the defaults, made small, and what it printed."""
    runs = tmp_path_factory.mktemp("whole") / "runs"
    done = command(*SMALL, runs=runs)
    assert done.returncode == 0, done.stdout + done.stderr
    return runs / "athaliana_plastid-tiny-lora", done.stdout


def test_the_defaults_go_from_fasta_to_report(undisturbed: tuple[Path, str]) -> None:
    run, printed = undisturbed
    assert printed.rstrip().endswith(f"report: {run / 'evaluate' / 'report.html'}")
    report = (run / "evaluate" / "report.html").read_text()
    assert "athaliana_plastid" in report
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|url\(["']?http|@import""", report)
    metrics = json.loads((run / "evaluate" / "metrics.json").read_text())
    manifest = json.loads((run / "predict" / "manifest.json").read_text())
    for name in ("base", "adapted"):
        scores = pd.read_parquet(run / "predict" / name / "scores.parquet")
        store = PerBaseScores(run / "predict" / name)
        observed = [
            store.window(row)[0][np.arange(length), ["ACGT".index(chr(b)) for b in store.window(row)[1] & 0xDF]]
            for row, length in enumerate(store.index["length"])
        ]
        np.testing.assert_allclose([o.astype(float).sum() for o in observed], scores["sum"], atol=0.15)
        nll = -scores["sum"].sum() / scores["n"].sum()
        assert manifest["counts"][f"{name}_nll_nats_per_base"] == pytest.approx(nll)
        assert f"{nll:.3f}" in report
    assert metrics


def test_base_and_adapted_models_differ_and_start_from_the_same_prompts(undisturbed: tuple[Path, str]) -> None:
    run, _ = undisturbed
    base, adapted = (np.asarray(PerBaseScores(run / "predict" / name).logprobs) for name in ("base", "adapted"))
    assert base.shape == adapted.shape
    assert float(np.abs(base.astype(np.float32) - adapted).max()) > 1e-3
    generations = pd.read_parquet(run / "infer" / "generations.parquet")
    assert len(generations) == 2 * 2 * 2
    assert set(generations["model"]) == {"base", "adapted"}
    assert generations["sequence"].str.fullmatch("[ACGT]{40}").all()
    assert generations.groupby("prompt_id")["prompt"].nunique().eq(1).all()
    assert generations["truth"].str.len().eq(40).all()


def test_a_second_run_does_nothing(undisturbed: tuple[Path, str]) -> None:
    run, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    done = command(*SMALL, runs=run.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("skipped, done with the same settings and inputs") == 8
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_run_killed_in_every_stage_ends_as_an_undisturbed_one(undisturbed: tuple[Path, str]) -> None:
    run, _ = undisturbed
    aside = run.with_name("undisturbed")
    shutil.move(run, aside)
    # Before each stage is published; inside training, also between the two renames that replace its state
    # (the second time that `state` is the target); and inside the writing of predictions.
    kills = [("download", 1), ("prepare", 1), ("preprocess", 1)]
    kills += [("step", 1), ("step", 4), ("state", 2), ("manifest.json", 1)]
    kills += [("window", 5), ("predict", 1), ("infer", 1), ("evaluate", 1)]
    try:
        for what, count in kills:
            killed = command(*SMALL, runs=run.parent, program=("-c", KILLER, what, str(count)))
            assert killed.returncode == -9, (what, killed.stdout, killed.stderr)
        done = command(*SMALL, runs=run.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        ours, expected = artefacts(run), artefacts(aside)
        assert ours.keys() == expected.keys()
        assert [name for name in expected if ours[name] != expected[name]] == []
    finally:
        shutil.rmtree(run, ignore_errors=True)
        shutil.move(aside, run)


def test_zero_shot_and_one_stage_alone(undisturbed: tuple[Path, str], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(undisturbed[0] / "prepare", runs / "zero" / "prepare")
    arguments = ("run_name=zero", "train=none", *(a for a in SMALL if not a.startswith("train.")))
    asked = ("train.context_length=256", "stage=[prepare,preprocess,convert,predict,evaluate]")
    done = command(*arguments, *asked, runs=runs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (runs / "zero" / "predict" / "base").exists() and not (runs / "zero" / "predict" / "adapted").exists()
    alone = command(*arguments, "train.context_length=256", "stage=predict", "split.purge=500", runs=runs)
    assert alone.returncode == 2
    assert "stage prepare has to run first" in alone.stderr and "split.purge was 1000, is 500" in alone.stderr


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


GFF = "##gff-version 3\nchr1\tx\tgene\t{}\t{}\t.\t+\t.\tID=g1\n"


@pytest.mark.parametrize(
    ("name", "fasta", "annotation", "message"),
    [
        ("empty", b"", None, "genome.fa, line 1: the file is empty"),
        ("duplicate", b">a\nACGT\n>a\nACGT\n", None, "genome.fa, line 3"),
        ("letters", b">a\nACGT\nAC1T\n", None, "genome.fa, line 3"),
        ("truncated", gzip.compress(b">a\n" + b"ACGT" * 5000, mtime=0)[:-20], None, "genome.fa"),
        ("columns", b">chr1\n" + b"ACGT" * 500, "##gff-version 3\nchr1\tx\tgene\t1\t9\n", "genes.gff3, line 2"),
        ("past_end", b">chr1\n" + b"ACGT" * 500, GFF.format(10, 2001), "genes.gff3, line 2"),
        ("unknown", b">1\n" + b"ACGT" * 500, GFF.format(10, 20), "genes.gff3, line 2"),
    ],
)
def test_bad_input_is_one_line_and_publishes_nothing(
    tmp_path: Path, name: str, fasta: bytes, annotation: str | None, message: str
) -> None:
    runs = tmp_path / "runs"
    arguments = ["genome=custom", f"genome.name={name}", f"genome.fasta={write(tmp_path / 'genome.fa', fasta)}"]
    if annotation:
        arguments.append(f"genome.annotation={write(tmp_path / 'genes.gff3', annotation)}")
    done = command(*arguments, "stage=prepare", runs=runs)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr
    (run,) = runs.iterdir()
    assert sorted(path.name for path in run.iterdir()) == [".lock", "download", "failed.json", "run.json"]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    missing = ("genome=custom", "genome.name=x", "genome.fasta=nowhere.fa", "stage=prepare")
    quiet = command(*missing, runs=tmp_path / "runs")
    assert quiet.returncode == 2 and "Traceback" not in quiet.stderr
    assert quiet.stderr.startswith(f"error: {tmp_path / 'nowhere.fa'} does not exist")
    loud = command(*missing, "debug=true", runs=tmp_path / "runs")
    assert (
        f"InputError: {tmp_path / 'nowhere.fa'} does not exist" in loud.stderr
        and "workflow/pipeline/running.py" in loud.stderr
    )


def test_unknown_keys_are_named(tmp_path: Path) -> None:
    done = command("train.stepz=3", runs=tmp_path / "runs")
    assert done.returncode != 0
    assert "Key 'stepz' not in 'TrainConfig'" in done.stderr


def test_dry_run_says_what_would_happen_and_writes_the_commands(tmp_path: Path) -> None:
    done = command("dry_run=true", "genome=phix174", runs=tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert "download: would run, not done yet\n" in done.stdout
    assert "prepare: would run, not done yet\n" in done.stdout
    assert "phix174_NC_001422.1.fa" in done.stdout
    assert [path.name for path in (tmp_path / "runs").rglob("*") if path.is_file()] == ["commands.sh"]


def test_prompts_of_one_s_own(undisturbed: tuple[Path, str], tmp_path: Path) -> None:
    prompts = write(tmp_path / "prompts.fa", ">first\nACGTACGTAC\n>second\nTTGACCA\n")
    runs = tmp_path / "runs"
    shutil.copytree(undisturbed[0], runs / undisturbed[0].name)
    done = command(*SMALL, f"infer.prompt_file={prompts}", "stage=infer", runs=runs)
    assert done.returncode == 0, done.stdout + done.stderr
    generations = pd.read_parquet(runs / undisturbed[0].name / "infer" / "generations.parquet")
    assert generations["prompt_id"].unique().tolist() == ["first", "second"]
    wrong = command(*SMALL, "infer.prompts=[ACGN]", "stage=infer", runs=runs)
    assert wrong.returncode == 2 and "prompt_1 holds letters other than A, C, G, T" in wrong.stderr
