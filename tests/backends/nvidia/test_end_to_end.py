"""The whole path by both generations of tools, played by the emulator: like the embedded engine, and when they fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from tests.emulator import install, write_tokenizer
from workflow.artifacts import PerBaseScores, read_json, read_manifest
from workflow.command import resolve
from workflow.config import Config, register_schema
from workflow.dry_run import write_commands
from workflow.errors import GateError, InputError, ToolError
from workflow.pipeline import Run
from workflow.tracking import STREAM, read_stream

CONFIGS = Path(__file__).parents[3] / "configs"
VERSIONS = {"nemo2": "2.7.1", "mbridge": "2026.05"}
#: Sizes of the tools that stand for the tiny model.
SIZES = ("+model.tool_sizes.nemo2=test", "+model.tool_sizes.mbridge=striped_hyena_test")
SMALL = (
    "genome=phix174",
    "split.method=block",
    "train=full",
    "train.context_length=256",
    "train.steps=8",
    "train.validate_every=4",
    "train.warmup_steps=2",
    "train.batch_size=4",
    "train.reverse_complement=0",
    "infer.n_prompts=1",
    "infer.samples=1",
    "infer.length=24",
    "infer.prompt_length=64",
    "evaluation.bootstrap_samples=500",
    "evaluation.markov_max_order=4",
    f"predict.forgetting={CONFIGS.parent / 'tests' / 'data' / 'other_organisms.fa'}",
    *SIZES,
)
LORA = ("train=lora", "train.steps=8", "train.validate_every=4", "train.batch_size=4")


class Bench:
    """A folder of runs, and the tools that may be put on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        for name, version in VERSIONS.items():
            install(folder / name, name, version)
        self.tokenizer = write_tokenizer(folder / "nucleotide_fast_tokenizer_512")

    @contextmanager
    def installed(self, backend: str, fault: str = "") -> Iterator[None]:
        """With the tools of a backend on PATH, and one of them going wrong."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(self.folder / "cache"))
            patch.setenv("EMULATOR_PRECISION", "fp32")
            patch.setenv("EMULATOR_FAULT", fault)
            patch.setenv("OMP_NUM_THREADS", "1")
            if backend in VERSIONS:
                patch.setenv("PATH", str(self.folder / backend), prepend=":")
            yield

    def config(self, backend: str, *overrides: str, name: str = "") -> Config:
        register_schema()
        GlobalHydra.instance().clear()
        precision = "fp32" if backend == "local" else "bf16"
        fixed = (f"backend={backend}", f"backend.precision={precision}", f"runs_folder={self.runs}")
        named = (f"run_name={name or backend}", f"backend.tokenizer={self.tokenizer}")
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return resolve(compose("config", [*fixed, *named, *SMALL, *overrides]))

    def run(self, backend: str, *overrides: str, name: str = "", fault: str = "") -> Path:
        """Run the stages asked for; returns the run's folder."""
        config = self.config(backend, *overrides, name=name)
        with self.installed(backend, fault):
            Run(config).execute()
        return self.runs / config.run_name

    def copy(self, source: str, name: str, *stages: str) -> None:
        """Begin a run with some stages of another."""
        for stage in stages:
            shutil.copytree(self.runs / source / stage, self.runs / name / stage, symlinks=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def whole(bench: Bench) -> Callable[[str], Path]:
    """The whole path by a backend, once."""
    done: dict[str, Path] = {}

    def path(backend: str) -> Path:
        if backend not in done:
            done[backend] = bench.run(backend)
        return done[backend]

    return path


# ---------------------------------------------------------------- all goes well


@pytest.mark.parametrize("backend", VERSIONS)
def test_same_numbers_as_the_embedded_engine(whole: Callable[[str], Path], backend: str) -> None:
    ours, theirs = whole("local"), whole(backend)
    expected, found = (read_manifest(run / "evaluate")["counts"] for run in (ours, theirs))
    for key in ("nll_base", "nll_adapted", "nll_markov"):
        assert found[key] == pytest.approx(expected[key], abs=1e-3), key
    assert found["windows"] == expected["windows"] and found["bases_scored"] == expected["bases_scored"]
    for model in ("base", "adapted"):
        one, other = (PerBaseScores(run / "predict" / model) for run in (ours, theirs))
        pd.testing.assert_frame_equal(one.index, other.index)
        assert np.array_equal(one.bases, other.bases)
        assert np.abs(one.logprobs.astype(float) - other.logprobs.astype(float)).max() < 0.02
    assert (theirs / "evaluate" / "report.html").exists()


@pytest.mark.parametrize("backend", VERSIONS)
def test_what_a_run_leaves(whole: Callable[[str], Path], backend: str) -> None:
    run = whole(backend)
    train = read_manifest(run / "train")
    assert train["counts"]["steps"] == 8 and train["counts"]["bases_seen"] == 8 * 4 * 256
    assert train["counts"]["first_validation_loss"] < np.log(4)
    (tool,) = train["tools"]
    assert " train_evo2 " in tool["command"] and "PYTHONHASHSEED=42" in tool["command"]
    assert "PYTHONHASHSEED" in tool["why"]
    metrics = pd.read_parquet(run / "train" / "metrics.parquet")
    assert metrics.columns.tolist() == ["step", "bases_seen", "name", "value"]
    assert {"train_loss", "val_loss", "learning_rate"} <= set(metrics["name"])
    assert metrics.loc[metrics["name"] == "val_loss", "step"].tolist() == [4, 8]
    checkpoints = read_json(run / "train" / "checkpoints.json")
    assert sum(row["best"] for row in checkpoints) == 1
    best = next(row for row in checkpoints if row["best"])
    assert best["val_loss"] == pytest.approx(train["counts"]["best_validation_loss"])
    # Raw files are gone, logs are not; generated text has no other letters than bases here.
    assert not list((run / "predict").rglob("*.pt")) and list((run / "predict" / "logs").iterdir())
    generations = pd.read_parquet(run / "infer" / "generations.parquet")
    assert len(generations) == 2 and set("".join(generations["sequence"])) <= set("ACGTN")
    assert generations["sequence"].str.len().eq(24).all()
    fired = [gate for stage in ("train", "predict", "infer") for gate in read_manifest(run / stage)["gates"]]
    assert fired and all(gate["passed"] for gate in fired)


@pytest.mark.parametrize("backend", VERSIONS)
def test_adapters(bench: Bench, whole: Callable[[str], Path], backend: str) -> None:
    """Trained, read by the prediction, and merged for the generation, which cannot read them."""
    whole(backend)
    name = f"{backend}-lora"
    bench.copy(backend, name, "prepare", "preprocess", "convert")
    settings = ("stage=[train,predict,infer]", "predict.precision=bf16", "predict.forgetting=null")
    run = bench.run(backend, *LORA, *settings, name=name)
    counts = read_manifest(run / "predict")["counts"]
    assert counts["adapted_nll_nats_per_base"] < counts["base_nll_nats_per_base"]
    gates = {gate["name"]: gate for gate in read_manifest(run / "train")["gates"]}
    assert gates["adapters_move"]["passed"] and gates["adapters_move"]["saw"].startswith("0 of ")
    programs = " ".join(tool["command"] for tool in read_manifest(run / "infer")["tools"])
    assert "savanna.pt" in programs and "checkpoint" in programs
    assert not list(run.rglob("savanna.pt"))


def test_raw_files_may_be_kept_and_windows_scored_in_parts(bench: Bench, whole: Callable[[str], Path]) -> None:
    whole("nemo2")
    bench.copy("nemo2", "parts", "prepare", "preprocess", "convert", "train")
    settings = ("stage=predict", "backend.keep_raw=true", "backend.raw_gigabytes=1e-6", "predict.forgetting=null")
    run = bench.run("nemo2", *settings, name="parts")
    assert len(list((run / "predict" / "raw" / "base").glob("part_*/predictions/*.pt"))) == 2
    one, other = (pd.read_parquet(r / "predict" / "adapted" / "scores.parquet") for r in (run, whole("nemo2")))
    pd.testing.assert_frame_equal(one, other, atol=1e-4)


def test_two_ranks_find_an_index_that_one_has_built(bench: Bench, whole: Callable[[str], Path]) -> None:
    whole("mbridge")
    bench.copy("mbridge", "ranks", "prepare", "preprocess", "convert")
    settings = ("parallel.devices=2", "train.batch_size=2", "stage=[train,predict]", "gates.gpu_memory=warn")
    run = bench.run("mbridge", *settings, name="ranks")
    first, second = (tool["command"] for tool in read_manifest(run / "train")["tools"])
    assert "--nproc-per-node 1" in first and "--model-size striped_hyena_test" in first
    assert "--nproc-per-node 2" in second and "--finetune-ckpt-dir" not in first
    assert read_manifest(run / "train")["counts"]["bases_seen"] == 8 * 4 * 256
    assert not list((run / "train").glob(".index*"))
    why = " ".join(read_manifest(run / "train")["tools"][1]["why"].values())
    assert "index of the samples" in why


def test_commands_run_by_hand(bench: Bench, whole: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """`commands.sh` trains and predicts without this program."""
    whole("nemo2")
    bench.copy("nemo2", "by-hand", "prepare", "preprocess")
    config = bench.config("nemo2", "stage=[convert,train,predict]", name="by-hand")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    with bench.installed("nemo2"):
        script = write_commands(Run(config))
        assert not (bench.runs / "by-hand" / "convert").exists()
        text = script.read_text()
        done = subprocess.run([str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert text.startswith("#!/usr/bin/env bash") and "\n# train\n" in text
    raw = bench.runs / "by-hand" / "predict" / "raw"
    assert list((raw / "base").glob("predictions__*.pt")) and list((raw / "adapted").glob("predictions__*.pt"))


# ---------------------------------------------------------------- the tools fail

TRAINING_FAULTS = [
    ("nemo2", "exit", ToolError, r"train_evo2 ended with exit code 1.*train_evo2\.log", ()),
    ("mbridge", "oom", ToolError, r"out of GPU memory.*train\.batch_size", ()),
    ("nemo2", "empty", ToolError, r"train_evo2 ended without a complete checkpoint|no metrics", ()),
    ("mbridge", "hang", ToolError, r"printed nothing for", ("backend.silence_minutes=0.15",)),
    ("mbridge", "nan", GateError, r"gate finite_loss: saw a (training|validation) loss of nan", ()),
    ("nemo2", "ln512", GateError, r"gate first_validation_loss: saw 6\.2.*ln 512", ()),
    ("mbridge", "ln512", GateError, r"gate first_validation_loss: saw 6\.2.*ln 512", ()),
    ("nemo2", "frozen", GateError, r"gate adapters_move: saw \d+ of \d+ adapters unmoved", LORA),
    ("mbridge", "frozen", GateError, r"gate adapters_move: saw \d+ of \d+ adapters unmoved", LORA),
]


@pytest.mark.parametrize(
    ("backend", "fault", "error", "message", "settings"),
    TRAINING_FAULTS,
    ids=lambda value: value if isinstance(value, str) and len(value) < 9 else "",
)
def test_a_training_that_goes_wrong(
    bench: Bench,
    whole: Callable[[str], Path],
    backend: str,
    fault: str,
    error: type[InputError],
    message: str,
    settings: tuple[str, ...],
) -> None:
    whole(backend)
    name = f"{backend}-{fault}"
    bench.copy(backend, name, "prepare", "preprocess", "convert")
    with pytest.raises(error, match=message) as caught:
        bench.run(backend, *settings, "stage=train", name=name, fault=f"train_evo2:{fault}")
    assert "\n" not in str(caught.value)
    assert not (bench.runs / name / "train" / "manifest.json").exists()
    # What a gate has refused is kept, and never gone on from.
    assert bool(list((bench.runs / name / "train").glob("refused-*/results"))) == (error is GateError)
    assert error is not GateError or not (bench.runs / name / "train" / "results").exists()


def test_a_refused_training_begins_anew(bench: Bench, whole: Callable[[str], Path]) -> None:
    """The state that it left would go on from weights that were not the base model's."""
    whole("mbridge")
    bench.copy("mbridge", "anew", "prepare", "preprocess", "convert")
    for attempt in ("first", "typed again"):
        with pytest.raises(GateError, match=r"first_validation_loss: saw 6\.2.* after 4 steps"):
            bench.run("mbridge", "stage=train", name="anew", fault="train_evo2:ln512")
        assert not (bench.runs / "anew" / "train" / "results").exists(), attempt
    refused = [read_stream(path)[0] for path in (bench.runs / "anew" / "train").glob("refused-*/stream.jsonl")]
    assert [records[0].step for records in refused] == [1, 1]
    run = bench.run("mbridge", "stage=train", name="anew")
    counts, expected = (read_manifest(folder / "train")["counts"] for folder in (run, whole("mbridge")))
    # Who follows the training sees nothing of those that were refused.
    streams = [read_stream(folder / "train" / STREAM)[0] for folder in (run, whole("mbridge"))]
    assert [record.step for record in streams[0]] == [record.step for record in streams[1]]
    assert counts["first_validation_loss"] == pytest.approx(expected["first_validation_loss"], abs=1e-4)


@pytest.mark.parametrize("backend", VERSIONS)
def test_a_killed_training_goes_on(bench: Bench, whole: Callable[[str], Path], backend: str) -> None:
    name = f"{backend}-killed"
    whole(backend)
    bench.copy(backend, name, "prepare", "preprocess", "convert")
    with pytest.raises(ToolError, match="SIGKILL"):
        bench.run(backend, "stage=train", name=name, fault="train_evo2:kill")
    run = bench.run(backend, "stage=train", name=name)
    counts, expected = (read_manifest(folder / "train")["counts"] for folder in (run, whole(backend)))
    assert counts["steps"] == expected["steps"]
    assert counts["best_validation_loss"] == pytest.approx(expected["best_validation_loss"], abs=5e-3)


PREDICTION_FAULTS = [
    ("nemo2", "truncate", "predictions__rank_", ()),
    ("mbridge", "truncate", "predictions__rank_", ()),
    ("nemo2", "missing-rank", "NC_001422", ("parallel.devices=2", "gates.gpu_memory=warn")),
    ("mbridge", "missing-rank", "NC_001422", ("parallel.devices=2", "gates.gpu_memory=warn")),
    ("nemo2", "empty", "holds no predictions|no predictions", ()),
    ("nemo2", "kill", "SIGKILL", ()),
    ("mbridge", "exit", "exit code 1", ()),
]


@pytest.mark.parametrize(("backend", "fault", "message", "settings"), PREDICTION_FAULTS)
def test_a_prediction_that_goes_wrong(
    bench: Bench, whole: Callable[[str], Path], backend: str, fault: str, message: str, settings: tuple[str, ...]
) -> None:
    name = f"{backend}-predict-{fault}"
    whole(backend)
    bench.copy(backend, name, "prepare", "preprocess", "convert")
    with pytest.raises(InputError, match=message) as caught:
        bench.run(backend, *settings, "train=none", "stage=predict", name=name, fault=f"predict_evo2:{fault}")
    assert "\n" not in str(caught.value)
    assert not (bench.runs / name / "predict").exists()


@pytest.mark.parametrize("backend", VERSIONS)
def test_a_conversion_that_leaves_nothing(bench: Bench, whole: Callable[[str], Path], backend: str) -> None:
    """Upstream issue 1579: exit code 0 and an empty folder."""
    tool = {"nemo2": "evo2_convert_to_nemo2", "mbridge": "evo2_convert_savanna_to_mbridge"}[backend]
    with pytest.raises(ToolError, match="the conversion left nothing usable"):
        bench.run(backend, "stage=convert", name=f"{backend}-convert", fault=f"{tool}:empty")
    assert not (bench.runs / f"{backend}-convert" / "convert").exists()


# ---------------------------------------------------------------- refused before anything runs


@pytest.mark.parametrize(
    ("backend", "settings", "message"),
    [
        ("nemo2", ("model.tool_sizes.nemo2=7b_262k",), "7b_262k"),
        ("nemo2", ("train.early_stopping=3",), "early_stopping"),
        ("nemo2", (*LORA, "train.lora.rank=8"), "train.lora"),
        ("nemo2", ("+backend.extra.train_evo2={--no-such-flag: '1'}",), "--no-such-flag"),
        ("mbridge", ("backend.tokenizer=null",), "backend.tokenizer"),
        ("mbridge", ("backend.version=1.0",), "mbridge 1.0 are not known"),
        ("nemo2", ("train.precision=fp32",), "train.precision=fp32"),
    ],
)
def test_refused_before_anything_runs(bench: Bench, backend: str, settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        bench.run(backend, *settings, name="refused")
    assert "\n" not in str(caught.value)
    assert not (bench.runs / "refused").exists() or not list((bench.runs / "refused").rglob("manifest.json"))


def test_without_the_tools(bench: Bench) -> None:
    """A dry run works anywhere; a run says what is missing."""
    config = bench.config("nemo2", "stage=convert", name="absent")
    lines, notes = Run(config).script("convert")
    assert "evo2_convert_to_nemo2 --model-path hf://" in "".join(lines)
    assert "not installed here" in "".join(notes) and "2.7.1" in "".join(notes)
    with pytest.raises(InputError, match="not installed here"):
        Run(config).execute()
