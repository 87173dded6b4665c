"""The stand-ins keep to the contract, write the real formats and go wrong as told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemReader

from tests.emulator import distributed, folders, install
from tests.emulator.adapters import is_adapter
from tests.emulator.conftest import MINI, World, mbridge, nemo2
from tests.emulator.conversion import read_nemo2
from tests.emulator.faults import KINDS
from tests.emulator.names import from_megatron
from workflow.backends.contracts import load_contract
from workflow.backends.embedded import training
from workflow.config import ParallelConfig, TrainConfig
from workflow.dataset.bases import TokenBases
from workflow.dataset.megatron import TokenFile
from workflow.dataset.samples import TrainingSamples, validation_samples
from workflow.gates import GateLog
from workflow.striped_hyena import Sampling, generate, load_checkpoint
from workflow.striped_hyena.poles import make_filters_trainable

EPOCH = "predictions__rank_0__dp_rank_0.pt"
#: Keys, shapes and dtypes that the real tools wrote for three sequences of 10, 21 and 5 bases.
REAL: dict[tuple[str, ...], dict[str, tuple[tuple[int, ...], torch.dtype]]] = {
    ("--prepend-bos",): {
        "token_logits": ((3, 22, 512), torch.float32),
        "pad_mask": ((3, 22), torch.int64),
        "seq_idx": ((3,), torch.int64),
        "tokens": ((3, 22), torch.int64),
    },
    ("--output-log-prob-seqs",): {
        "log_probs_seqs": ((3,), torch.float32),
        "seq_idx": ((3,), torch.int64),
    },
    ("--output-log-prob-seqs", "--log-prob-collapse-option", "per_token"): {
        "log_probs_seqs": ((3, 20), torch.float32),
        "seq_idx": ((3,), torch.int64),
        "loss_mask": ((3, 20), torch.bool),
    },
    ("--embedding-layer", "0"): {
        "hidden_embeddings": ((3, 21, 64), torch.float32),
        "pad_mask": ((3, 21), torch.int64),
        "seq_idx": ((3,), torch.int64),
        "tokens": ((3, 21), torch.int64),
    },
}
ONLY_MBRIDGE = ("tokens", "loss_mask")


def predict_nemo2(world: World, fasta: Path, out: Path, *words: object, **options: Any) -> int:
    flags = ("--fasta", fasta, "--ckpt-dir", world.nemo2, "--model-size", "test", "--output-dir", out)
    return nemo2("predict_evo2", *flags, *words, **options)


def predict_mbridge(world: World, fasta: Path, out: Path, *words: object) -> int:
    flags = ("--fasta", fasta, "--ckpt-dir", world.mbridge, "--output-dir", out)
    return mbridge("predict_evo2", *flags, *words)


def load(path: Path) -> dict[str, Tensor]:
    content: dict[str, Tensor] = torch.load(path, weights_only=True)
    return content


class TestScripts:
    def test_every_tool_has_one(self, tmp_path: Path) -> None:
        folder = install(tmp_path / "bin", "mbridge", "2026.05")
        names = {path.name for path in folder.iterdir() if os.access(path, os.X_OK)}
        assert names == {*load_contract("mbridge", "2026.05").tools, "torchrun"}

    def test_help_and_wrong_flags_from_another_folder(self, tmp_path: Path) -> None:
        (tmp_path / "tests").mkdir()  # Hides no module of ours.
        tool = install(tmp_path / "bin", "nemo2", "2.7") / "predict_evo2"
        helped = subprocess.run([tool, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert helped.returncode == 0
        assert "--micro-batch-size" in helped.stdout
        refused = subprocess.run([tool, "--batch-size", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert "usage: predict_evo2" in refused.stderr

    def test_help_does_not_wait_for_torch(self) -> None:
        code = (
            "import sys\nfrom tests.emulator.main import main\n"
            "try: main(['--toolchain', 'nemo2', '--version', '2.7.1', 'train_evo2', '--help'])\n"
            "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
        )
        root = Path(__file__).parents[2]
        done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
        assert done.stdout.endswith("0 False\n")

    def test_torchrun_tells_the_tool_its_world(self, tmp_path: Path) -> None:
        torchrun = install(tmp_path / "bin", "mbridge", "2026.05") / "torchrun"
        show = tmp_path / "show"
        show.write_text('#!/bin/sh\necho "$RANK of $WORLD_SIZE: $*"\nexit 3\n')
        show.chmod(0o755)
        flags = ["--nnodes", "2", "--nproc_per_node=4", "--node-rank", "0", "--master-port=1"]
        done = subprocess.run(
            [torchrun, *flags, "--no-python", show, "--nproc_x", "a b"], capture_output=True, text=True, check=False
        )
        assert done.stdout == "0 of 8: --nproc_x a b\n"
        assert done.returncode == 1
        assert "exitcode  : 3" in done.stderr
        without = subprocess.run([torchrun, "predict_evo2"], capture_output=True, text=True, check=False)
        assert without.returncode == 1
        assert "can't open file" in without.stderr


class TestConversion:
    def test_nemo2_folder(self, world: World) -> None:
        assert {path.name for path in (world.nemo2 / "context").iterdir()} == {"io.json", "model.yaml"}
        weights = {path.name for path in (world.nemo2 / "weights").iterdir()}
        assert weights == {".metadata", "__0_0.distcp", "__0_1.distcp", "common.pt", "metadata.json"}
        described = FileSystemReader(world.nemo2 / "weights").read_metadata().state_dict_metadata
        fused: Any = described["module.decoder.layers.0.mlp.linear_fc1.weight"]
        assert (tuple(fused.size), len(fused.chunks)) == ((192, 64), 2)
        assert "module.output_layer._extra_state/shard_0_1" in described
        assert len(described) == 42

    def test_mbridge_folder(self, world: World) -> None:
        assert (world.mbridge / "latest_checkpointed_iteration.txt").read_text() == "1"
        iteration = world.mbridge / "iter_0000001"
        names = {path.name for path in iteration.iterdir() if not path.name.endswith(".distcp")}
        beside = {"common.pt", "metadata.json", "run_config.yaml", "tokenizer", "train_state.pt", ".metadata"}
        assert names == beside
        assert len(list(iteration.glob("*.distcp"))) == 41
        assert yaml.safe_load((iteration / "run_config.yaml").read_text())["peft"] is None

    def test_both_hold_the_model(self, world: World) -> None:
        expected = world.model.state_dict()
        for tensors in (read_nemo2(world.nemo2), distributed.read(world.mbridge / "iter_0000001")):
            found = from_megatron(tensors, MINI.pattern)
            assert found.keys() == {name for name in expected if not name.endswith("inv_freq")}
            for name, tensor in found.items():
                torch.testing.assert_close(tensor, expected[name])

    def test_precision_of_the_real_tools(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMULATOR_PRECISION", "bf16")
        words = ("--mbridge-ckpt-dir", tmp_path / "out", "--tokenizer-path", world.tokenizer, "--seq-length", 8192)
        size = ("--model-size", "striped_hyena_test")
        assert mbridge("evo2_convert_nemo2_to_mbridge", "--nemo2-ckpt-dir", world.nemo2, *size, *words) == 0
        tensors = distributed.read(tmp_path / "out" / "iter_0000001")
        exact = {name.rpartition(".")[2] for name, tensor in tensors.items() if tensor.dtype == torch.float32}
        assert exact == {"h", "decay", "gamma", "R", "p"}

    def test_local_files(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(world.hub / "org" / "mini")
        words = ("--model-size", "test", "--output-dir")
        assert nemo2("evo2_convert_to_nemo2", "--model-path", "mini.pt", *words, tmp_path / "a") == 1
        assert "Weights only load failed" in capsys.readouterr().err
        assert nemo2("evo2_convert_to_nemo2", "--model-path", "hf://./mini.pt", *words, tmp_path / "b") == 0
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        assert nemo2("evo2_convert_to_nemo2", "--model-path", "mini.pt", *words, tmp_path / "c") == 0

    def test_eaten_letters(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("EMULATOR_HUB", str(world.hub))
        words = ("--model-path", "hf://harvard/mini", "--output-dir", tmp_path / "out")
        assert nemo2("evo2_convert_to_nemo2", *words) == 1
        assert "Repository Not Found: arvard/mini" in capsys.readouterr().err

    def test_wrong_size(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("EMULATOR_HUB", str(world.hub))
        words = ("--model-path", "hf://org/mini", "--model-size", "7b", "--output-dir", tmp_path / "out")
        assert nemo2("evo2_convert_to_nemo2", *words) == 1
        assert "size mismatch" in capsys.readouterr().err

    def test_silent_end_of_mbridge(self, world: World, tmp_path: Path) -> None:
        torch.save({"module": {}, "arguments": Fraction(1, 3)}, tmp_path / "unsafe.pt")
        words = ("--mbridge-ckpt-dir", tmp_path / "out", "--tokenizer-path", world.tokenizer)
        file = ("--savanna-ckpt-path", tmp_path / "unsafe.pt", "--model-size", "striped_hyena_test")
        assert mbridge("evo2_convert_savanna_to_mbridge", *file, *words) == 0
        assert list((tmp_path / "out").iterdir()) == []

    def test_missing_tokenizer(self, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ("--mbridge-ckpt-dir", tmp_path / "out", "--tokenizer-path", tmp_path, "--seq-length", 8192)
        size = ("--model-size", "striped_hyena_test")
        assert mbridge("evo2_convert_nemo2_to_mbridge", "--nemo2-ckpt-dir", world.nemo2, *size, *words) == 1
        assert "Can't load tokenizer" in capsys.readouterr().err

    def test_export_is_what_went_in(self, world: World, tmp_path: Path) -> None:
        words = ("--mbridge-ckpt-dir", world.mbridge / "iter_0000001", "--output-path", tmp_path / "v" / "mini.pt")
        assert mbridge("evo2_export_mbridge_to_vortex", *words, "--model-size", "striped_hyena_test") == 0
        found = load_checkpoint(tmp_path / "v" / "mini.pt", MINI).state_dict()
        for name, tensor in world.model.state_dict().items():
            torch.testing.assert_close(found[name], tensor)
        assert json.loads((tmp_path / "v" / "config.json").read_text())["vocab_size"] is None

    def test_download(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("EMULATOR_HUB", str(tmp_path))
        there = tmp_path / "ngc" / "evo2" / "1b-8k:1.0"
        there.mkdir(parents=True)
        assert nemo2("download_bionemo_data", "evo2/1b-8k:1.0", "--source", "ngc") == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(there)
        assert nemo2("download_bionemo_data", "evo2/1b-8k:2.0") == 1


class TestPrediction:
    @pytest.mark.parametrize("words", REAL)
    @pytest.mark.parametrize("toolchain", ["nemo2", "mbridge"])
    def test_tables_are_like_the_real_ones(
        self, world: World, fasta: Path, tmp_path: Path, words: tuple[str, ...], toolchain: str
    ) -> None:
        if toolchain == "nemo2" and words[0] == "--embedding-layer":
            with pytest.raises(SystemExit):
                predict_nemo2(world, fasta, tmp_path / "out", *words)
            return
        expected = dict(REAL[words])
        if toolchain == "nemo2":
            expected = {key: entry for key, entry in expected.items() if key not in ONLY_MBRIDGE}
            assert predict_nemo2(world, fasta, tmp_path / "out", *words) == 0
        else:
            assert predict_mbridge(world, fasta, tmp_path / "out", *words) == 0
        assert {path.name for path in (tmp_path / "out").iterdir()} == {EPOCH, "seq_idx_map.json"}
        assert (tmp_path / "out" / "seq_idx_map.json").read_text() == '{"alpha": 0, "mid": 1, "zeta": 2}'
        table = load(tmp_path / "out" / EPOCH)
        assert {key: (tuple(value.shape), value.dtype) for key, value in table.items()} == expected
        assert table["seq_idx"].tolist() == [0, 1, 2]

    def test_values_are_the_engine_s(self, world: World, fasta: Path, tmp_path: Path) -> None:
        flags = ("--prepend-bos", "--micro-batch-size", 2)
        assert predict_nemo2(world, fasta, tmp_path / "n", *flags) == 0
        assert predict_mbridge(world, fasta, tmp_path / "m", *flags) == 0
        table, other = load(tmp_path / "n" / EPOCH), load(tmp_path / "m" / EPOCH)
        torch.testing.assert_close(table["token_logits"], other["token_logits"])
        ids = torch.tensor([[0, *b"ACGTNNACGTACGTACGTACG"]])
        assert other["tokens"][0].tolist() == ids[0].tolist()
        with torch.inference_mode():
            torch.testing.assert_close(table["token_logits"][0], world.model(ids).logits[0], atol=1e-4, rtol=1e-4)

    def test_padding(self, world: World, fasta: Path, tmp_path: Path) -> None:
        assert predict_mbridge(world, fasta, tmp_path / "out", "--prepend-bos", "--micro-batch-size", 2) == 0
        table = load(tmp_path / "out" / EPOCH)
        assert table["pad_mask"].sum(1).tolist() == [21, 5, 10]
        assert table["pad_mask"][:, 0].tolist() == [0, 0, 0]
        silent = (table["token_logits"] == 0).all(-1)
        assert silent.sum(1).tolist() == [0, 0, 11]  # Of a batch of its own; inside a batch padding is computed.
        assert table["tokens"][1, 6:].tolist() == [0] * 16

    def test_log_probabilities_agree_with_logits(self, world: World, fasta: Path, tmp_path: Path) -> None:
        assert predict_mbridge(world, fasta, tmp_path / "logits") == 0
        logits = load(tmp_path / "logits" / EPOCH)
        modes = {}
        for mode in ("sum", "mean", "per_token"):
            words = ("--output-log-prob-seqs", "--log-prob-collapse-option", mode)
            assert predict_mbridge(world, fasta, tmp_path / mode, *words) == 0
            modes[mode] = load(tmp_path / mode / EPOCH)
        observed = logits["token_logits"].log_softmax(-1)[:, :-1].gather(-1, logits["tokens"][:, 1:, None])[..., 0]
        kept = modes["per_token"]["loss_mask"]
        assert kept.sum(1).tolist() == [20, 4, 9]
        torch.testing.assert_close(modes["per_token"]["log_probs_seqs"], torch.where(kept, observed, 0.0))
        torch.testing.assert_close(modes["sum"]["log_probs_seqs"], (observed * kept).sum(1))
        torch.testing.assert_close(modes["mean"]["log_probs_seqs"], (observed * kept).sum(1) / kept.sum(1))

    def test_batches_and_sub_folders(self, world: World, fasta: Path, tmp_path: Path) -> None:
        words = ("--write-interval", "batch", "--files-per-subdir", 1)
        assert predict_nemo2(world, fasta, tmp_path / "n", *words) == 0
        assert predict_mbridge(world, fasta, tmp_path / "m", *words) == 0
        stem = "predictions__rank_0__dp_rank_0__batch_"
        names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.pt"))
        assert names == [
            f"m/{stem}0.pt",
            f"m/subdir_2/{stem}1.pt",
            f"m/subdir_2/{stem}2.pt",
            f"n/subdir_1/{stem}0.pt",
            f"n/subdir_2/{stem}1.pt",
            f"n/subdir_3/{stem}2.pt",
        ]
        table = load(tmp_path / "n" / "subdir_2" / f"{stem}1.pt")
        assert table["batch_idx"].tolist() == [1]
        assert table["token_logits"].shape == (1, 5, 512)

    def test_ranks(self, world: World, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert predict_nemo2(world, fasta, tmp_path / "n", "--devices", 4, "--tensor-parallel-size", 2) == 0
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert predict_mbridge(world, fasta, tmp_path / "m") == 0
        dealt = {str(p.relative_to(tmp_path)): load(p)["seq_idx"].tolist() for p in tmp_path.rglob("*.pt")}
        assert dealt == {
            f"n/{EPOCH}": [0, 2],
            "n/predictions__rank_2__dp_rank_1.pt": [1],
            f"m/{EPOCH}": [0, 2],
            "m/predictions__rank_1__dp_rank_1.pt": [1],
        }

    def test_names_of_the_oldest_version(self, world: World, fasta: Path, tmp_path: Path) -> None:
        assert predict_nemo2(world, fasta, tmp_path / "out", "--batch-size", 3, version="2.6.3") == 0
        assert (tmp_path / "out" / "predictions__rank_0.pt").exists()

    def test_context_parallelism_shuffles_positions(self, world: World, tmp_path: Path) -> None:
        fasta = tmp_path / "x.fa"
        fasta.write_text(">x\nACGTACGT\n")
        assert predict_nemo2(world, fasta, tmp_path / "one") == 0
        assert predict_nemo2(world, fasta, tmp_path / "two", "--context-parallel-size", 2) == 0
        straight, shuffled = (load(tmp_path / name / EPOCH)["token_logits"][0] for name in ("one", "two"))
        torch.testing.assert_close(shuffled, straight[[0, 1, 6, 7, 2, 3, 4, 5]])

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b">a\nACGT\n>a\nACGT\n", "duplicate sequence id a"),
            (b">a\nACGT\n>b\n>c\nAC\n", "empty sequence b"),
            (b">a\nACGT\nAC\nACGT\n", "invalid line lengths in a"),
            (b"\x1f\x8b\x08\x00", "missing '>' prefix"),
        ],
    )
    def test_refused_fasta(
        self, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
    ) -> None:
        (tmp_path / "bad.fa").write_bytes(content)
        assert predict_nemo2(world, tmp_path / "bad.fa", tmp_path / "out") == 1
        assert told in capsys.readouterr().err

    @pytest.mark.parametrize("tool", ["train_evo2", "predict_evo2", "infer_evo2"])
    def test_mbridge_needs_torchrun(
        self,
        world: World,
        fasta: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tool: str,
    ) -> None:
        monkeypatch.delenv("RANK")
        flags = {
            "train_evo2": ("--dataset-config", world.dataset),
            "predict_evo2": ("--ckpt-dir", world.mbridge, "--fasta", fasta, "--output-dir", tmp_path),
            "infer_evo2": ("--ckpt-dir", world.mbridge),
        }
        assert mbridge(tool, *flags[tool]) == 1
        assert "environment variable RANK expected, but not set" in capsys.readouterr().err

    def test_wrong_size(self, world: World, fasta: Path, capsys: pytest.CaptureFixture[str]) -> None:
        flags = ("--fasta", fasta, "--ckpt-dir", world.nemo2, "--model-size", "7b")
        assert nemo2("predict_evo2", *flags) == 1
        assert "shape mismatch" in capsys.readouterr().err


class TestGeneration:
    def test_nemo2(self, world: World, tmp_path: Path) -> None:
        out = tmp_path / "out.txt"
        words = ("--ckpt-dir", world.nemo2, "--prompt", "ACGTACGT", "--max-new-tokens", 6, "--top-k", 4, "--seed", 7)
        assert nemo2("infer_evo2", *words, "--output-file", out) == 0
        text = out.read_text()
        assert text.startswith("InferenceRequest(request_id='0', prompt='ACGTACGT', ")
        (answer,) = generate(world.model, ["ACGTACGT"], 6, sampling=Sampling(top_k=4), seeds=[7])
        assert f"generated_text='{answer.sequence}', segments=None" in text
        assert f"generated_tokens={torch.tensor(list(answer.sequence.encode()))!r}" in text

    def test_mbridge(self, world: World, tmp_path: Path) -> None:
        prompts, out = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
        prompts.write_text('{"id": "p1", "prompt": "ACGTACGT"}\n{"prompt": "TTTT"}\n')
        words = ("--ckpt-dir", world.mbridge, "--prompt-file", prompts, "--max-new-tokens", 5, "--output-file", out)
        assert mbridge("infer_evo2", *words, "--return-log-probs") == 0
        first, second = map(json.loads, out.read_text().splitlines())
        assert list(first) == ["id", "prompt", "completion", "finish_reason", "usage", "logprobs"]
        assert (first["id"], second["id"]) == ("p1", "1")
        assert second["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
        assert len(first["logprobs"]["completion_logprobs"]) == 5
        assert mbridge("infer_evo2", *words, "--max-seq-length", 9) == 1


Words = tuple[object, ...]
COMMON: Words = ("--seq-length", 128, "--micro-batch-size", 2, "--max-steps", 6, "--lr", 0.003, "--min-lr", 0.0003)
COMMON += ("--warmup-steps", 2, "--seed", 5, "--enable-preemption")


def train_nemo2(world: World, out: Path, *words: object, steps: int = 6) -> int:
    flags: Words = ("--dataset-config", world.dataset, "--dataset-dir", world.dataset.parent, "--model-size", "test")
    flags += ("--ckpt-dir", world.nemo2, "--result-dir", out, "--val-check-interval", 3, "--limit-val-batches", 1)
    flags += (*COMMON, "--devices", 1, "--grad-acc-batches", 2, "--create-tensorboard-logger", "--max-steps", steps)
    return nemo2("train_evo2", *flags, *words)


def train_mbridge(world: World, out: Path, *words: object) -> int:
    flags: Words = ("--dataset-config", world.dataset, "--model-size", "striped_hyena_test", "--log-interval", 1)
    flags += ("--finetune-ckpt-dir", world.mbridge, "--result-dir", out, "--eval-interval", 3, "--eval-iters", 1)
    flags += (*COMMON, "--global-batch-size", 4, "--hf-tokenizer-model-path", world.tokenizer)
    return mbridge("train_evo2", *flags, *words)


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    values = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        events.Reload()
        if name in events.Tags()["scalars"]:
            values += [(event.step, event.value) for event in events.Scalars(name)]
    return values


def last_nemo2(out: Path) -> Path:
    (folder,) = (out / "evo2" / "checkpoints").glob("*-last")
    return folder


def engine_s_own_training(world: World, out: Path) -> Any:
    """The same settings with the embedded engine's own loop."""
    config = TrainConfig(
        method="full",
        context_length=128,
        steps=6,
        batch_size=2,
        accumulate=2,
        learning_rate=0.003,
        warmup_steps=2,
        validate_every=3,
        validation_samples=4,
        reverse_complement=0.0,
        seed=5,
    )
    model = folders.build(read_nemo2(world.nemo2), MINI)
    make_filters_trainable(model)
    splits = [TokenBases(TokenFile(world.dataset.parent / split)) for split in ("train", "validation")]
    samples = TrainingSamples(splits[:1], [1.0], context_length=128, seed=5, reverse_complement=0.0)
    training.fit(
        model,
        samples,
        validation_samples(splits[1:], [1.0], context_length=128, count=4),
        config=config,
        parallel=ParallelConfig(),
        accelerator="cpu",
        folder=out,
        gates=GateLog({"first_validation_loss": "warn"}),
    )
    return training.conclude(out, samples, config.plan(1))


class TestTraining:
    def test_full_is_the_engine_s_own(self, world: World, tmp_path: Path) -> None:
        assert train_nemo2(world, tmp_path / "n") == 0
        assert train_mbridge(world, tmp_path / "m") == 0
        own = engine_s_own_training(world, tmp_path / "own")
        n, m = tmp_path / "n" / "evo2", tmp_path / "m" / "evo2"
        reference = load_checkpoint(tmp_path / "own" / "best" / "model.safetensors").state_dict()
        assert own["best_step"] == 6
        iteration = m / "checkpoints" / "iter_0000006"
        for tensors in (read_nemo2(last_nemo2(tmp_path / "n")), distributed.read(iteration, folders.is_weight)):
            for name, tensor in from_megatron(tensors, MINI.pattern).items():
                torch.testing.assert_close(tensor, reference[name], atol=1e-5, rtol=1e-4)
        self._check_nemo2(n, own["best_validation_loss"])
        self._check_mbridge(m, own["best_validation_loss"])

    def _check_nemo2(self, folder: Path, loss: float) -> None:
        names = {path.name for path in (folder / "checkpoints").iterdir()}
        last = "epoch=0-step=5-consumed_samples=24.0"
        assert names == {last, f"{last}-last"}  # The first was not ranked, as there was no loss before it.
        assert not list((folder / "checkpoints").glob("*-unfinished"))
        assert {"cmd-args.log", "hparams.yaml"} < {path.name for path in (folder / "dev").iterdir()}
        validation = scalars(folder / "dev", "val_loss")
        assert [step for step, _ in validation] == [2, 5]
        assert validation[-1][1] == pytest.approx(loss, abs=1e-4)
        assert [step for step, _ in scalars(folder / "dev", "reduced_train_loss")] == list(range(6))
        assert scalars(folder / "dev", "consumed_samples")[0] == (1, 8.0)

    def _check_mbridge(self, folder: Path, loss: float) -> None:
        names = {path.name for path in (folder / "checkpoints").iterdir()}
        files = {"latest_checkpointed_iteration.txt", "latest_train_state.pt", "progress.txt"}
        assert names == {"iter_0000003", "iter_0000006", *files}
        validation = scalars(folder / "tb_logs", "lm loss validation")
        assert [step for step, _ in validation] == [3, 6, 6, 6]
        assert validation[1][1] == pytest.approx(loss, abs=1e-4)
        assert validation[3][1] != pytest.approx(loss, abs=1e-4)  # The test loss comes last.
        assert [step for step, _ in scalars(folder / "tb_logs", "lm loss")] == list(range(1, 7))
        state = torch.load(folder / "checkpoints" / "iter_0000006" / "train_state.pt", weights_only=True)
        assert (int(state["step"]), int(state["consumed_train_samples"])) == (6, 24)

    def test_lines_of_the_logs(self, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert train_nemo2(world, tmp_path / "n") == 0
        nemo = capsys.readouterr().out
        assert re.search(
            r"^Training epoch 0, iteration 5/5 \| lr: \S+ \| global_batch_size: 4 \| global_step: 5 \| "
            r"reduced_train_loss: \d\.\d+ \| train_step_timing in s: \S+ \| consumed_samples: 24 \| val_loss: \d\.\d+$",
            nemo,
            re.MULTILINE,
        )
        assert train_mbridge(world, tmp_path / "m") == 0
        bridge = capsys.readouterr().out
        assert re.search(
            r"^ \[[^]]+\] iteration        1/       6 \| consumed samples:            4 \| elapsed time per iteration "
            r"\(ms\): \S+ \| learning rate: 1\.500000E-03 \| global batch size:     4 \| lm loss: \d\.\d{6}E\+00 \|",
            bridge,
            re.MULTILINE,
        )
        told = re.findall(r"^ validation loss at (iteration .*?) \| lm loss value: ", bridge, re.MULTILINE)
        assert told == ["iteration 3", "iteration 6", "iteration 6 on validation set", "iteration 6 on test set"]

    def test_goes_on_after_a_kill(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Killed(BaseException):
            pass

        def die(*unused: object) -> None:
            raise Killed

        assert train_nemo2(world, tmp_path / "whole") == 0
        for toolchain, train in (("n", train_nemo2), ("m", train_mbridge)):
            with monkeypatch.context() as patch:
                patch.setenv("EMULATOR_FAULT", "train_evo2:kill")
                patch.setattr(os, "kill", die)
                with pytest.raises(Killed):
                    train(world, tmp_path / toolchain)
            left = {path.name for path in (tmp_path / toolchain / "evo2" / "checkpoints").iterdir()}
            assert left >= (
                {"iter_0000003", "iter_0000006"} if toolchain == "m" else {UNFINISHED, f"{UNFINISHED}-unfinished"}
            )
            assert train(world, tmp_path / toolchain) == 0
        expected = read_nemo2(last_nemo2(tmp_path / "whole"))
        resumed = read_nemo2(last_nemo2(tmp_path / "n"))
        iteration = folders.newest_iteration(tmp_path / "m" / "evo2" / "checkpoints")
        other = distributed.read(iteration, folders.is_weight)
        for name, tensor in expected.items():
            torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(other[name], tensor, atol=1e-5, rtol=1e-4)

    def test_sigterm_saves_a_checkpoint(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.emulator.training.dawdle", lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert train_nemo2(world, tmp_path / "n") == 0
        assert last_nemo2(tmp_path / "n").name == "epoch=0-step=0-consumed_samples=4.0-last"
        assert train_mbridge(world, tmp_path / "m") == 0
        assert (tmp_path / "m" / "evo2" / "checkpoints" / "latest_checkpointed_iteration.txt").read_text() == "1"

    def test_adapters_of_nemo2(
        self, world: World, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lora = ("--lora-finetune",)
        assert train_nemo2(world, tmp_path / "a", *lora, "--no-activation-checkpointing") == 0
        tensors = read_nemo2(last_nemo2(tmp_path / "a"))
        targets = {name.split(".")[-4] for name in tensors if is_adapter(name)}
        assert targets == {"linear_qkv", "linear_proj", "linear_fc1", "linear_fc2"}
        assert tensors["decoder.layers.0.mlp.linear_fc1.adapter.linear_in.weight"].shape == (32, 64)
        assert "embedding.word_embeddings.weight" not in tensors
        assert moved(tensors) == (10, 10)
        metadata = json.loads((last_nemo2(tmp_path / "a") / "weights" / "adapter_metadata.json").read_text())
        assert metadata == {"model_ckpt_path": str(world.nemo2)}
        assert train_nemo2(world, tmp_path / "b", *lora) == 0
        stuck = read_nemo2(last_nemo2(tmp_path / "b"))
        assert moved(stuck) == (0, 10)
        assert not torch.equal(stuck["decoder.final_norm.weight"], torch.ones(64))
        monkeypatch.setenv("EMULATOR_PATCHED", "1")
        assert train_nemo2(world, tmp_path / "c", *lora) == 0
        assert moved(read_nemo2(last_nemo2(tmp_path / "c"))) == (10, 10)
        words = ("--lora-checkpoint-path", last_nemo2(tmp_path / "a"))
        assert predict_nemo2(world, fasta, tmp_path / "adapted", *words) == 0
        assert predict_nemo2(world, fasta, tmp_path / "base") == 0
        adapted, base = (load(tmp_path / name / EPOCH)["token_logits"] for name in ("adapted", "base"))
        assert (adapted - base).abs().max() > 0.01

    def test_adapters_of_mbridge(
        self, world: World, fasta: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert train_mbridge(world, tmp_path / "a", "--lora-finetune") == 1
        assert "'Parameter' object has no attribute 'main_grad'" in capsys.readouterr().err
        words = ("--lora-finetune", "--disable-tensorboard-logger", "--lora-dim", 4, "--lora-alpha", 8)
        assert train_mbridge(world, tmp_path / "b", *words) == 0
        checkpoints = tmp_path / "b" / "evo2" / "checkpoints"
        iteration = checkpoints / "iter_0000006"
        tensors = distributed.read(iteration, folders.is_weight)
        assert all(map(is_adapter, tensors))
        assert moved(tensors) == (16, 16)
        config = yaml.safe_load((iteration / "run_config.yaml").read_text())
        assert config["checkpoint"]["pretrained_checkpoint"] == str(world.mbridge)
        assert (config["peft"]["dim"], config["peft"]["alpha"]) == (4, 8)
        assert config["peft"]["params_to_save"] == set(tensors)
        flags = ("--fasta", fasta, "--ckpt-dir", checkpoints, "--output-dir", tmp_path / "adapted")
        assert mbridge("predict_evo2", *flags) == 0
        assert predict_mbridge(world, fasta, tmp_path / "base") == 0
        adapted, base = (load(tmp_path / name / EPOCH)["token_logits"] for name in ("adapted", "base"))
        assert (adapted - base).abs().max() > 0.01
        export = ("--mbridge-ckpt-dir", checkpoints, "--output-path", tmp_path / "x.pt")
        assert mbridge("evo2_export_mbridge_to_vortex", *export, "--model-size", "striped_hyena_test") == 1

    def test_optimizer_is_removed(self, world: World, tmp_path: Path) -> None:
        assert train_mbridge(world, tmp_path / "a") == 0
        source = tmp_path / "a" / "evo2" / "checkpoints"
        words: Words = ("--src-ckpt-dir", source / "iter_0000006", "--dst-ckpt-dir", tmp_path / "b")
        assert mbridge("evo2_remove_optimizer", *words) == 0
        before, after = distributed.read(source / "iter_0000006"), distributed.read(tmp_path / "b" / "iter_0000006")
        assert set(before) - set(after) == {name for name in before if name.startswith("optimizer")}
        assert train_nemo2(world, tmp_path / "c") == 0
        words = ("--model-path", last_nemo2(tmp_path / "c"), "--output-dir", tmp_path / "d", "--strip-optimizer")
        assert nemo2("evo2_convert_to_nemo2", *words) == 0
        stripped, trained = read_nemo2(tmp_path / "d"), read_nemo2(last_nemo2(tmp_path / "c"))
        assert stripped.keys() == trained.keys()
        assert not [name for name in distributed.read(tmp_path / "d" / "weights") if name.startswith("optimizer")]

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("--global-batch-size", 3), "not divisible by micro batch size"),
            (("--hf-tokenizer-model-path", "nowhere"), "Can't load tokenizer"),
            (("--finetune-ckpt-dir", "nowhere"), "run_config.yaml not found"),
            (("--model-size", "evo2_7b"), "shape mismatch"),
            (("--dataset-config", "nowhere.yaml"), "No such file or directory"),
            (("--tensor-model-parallel-size", 2), "not divisible by total_model_size 2"),
        ],
    )
    def test_refused(
        self, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], told: str
    ) -> None:
        assert train_mbridge(world, tmp_path / "out", *words) == 1
        assert told in capsys.readouterr().err

    def test_data_folder_of_nemo2(self, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ("--dataset-config", world.dataset, "--model-size", "test", "--max-steps", 1)
        assert nemo2("train_evo2", *words, "--result-dir", tmp_path) == 1
        assert "--dataset-dir is required" in capsys.readouterr().err


UNFINISHED = "epoch=0-step=5-consumed_samples=24.0"


def moved(tensors: dict[str, Tensor]) -> tuple[int, int]:
    """Adapters that are not as they began, and all adapters; counted by their outputs."""
    outputs = [tensor for name, tensor in tensors.items() if name.endswith("adapter.linear_out.weight")]
    return sum(bool(tensor.any()) for tensor in outputs), len(outputs)


class TestFaults:
    @pytest.mark.parametrize(("kind", "code", "told"), [("exit", 1, "Traceback"), ("oom", 1, "CUDA out of memory")])
    def test_failures(
        self,
        world: World,
        fasta: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        kind: str,
        code: int,
        told: str,
    ) -> None:
        monkeypatch.setenv("EMULATOR_FAULT", f"train_evo2:hang,predict_evo2:{kind}")
        assert predict_nemo2(world, fasta, tmp_path / "out") == code
        assert told in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_empty(self, world: World, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMULATOR_FAULT", "predict_evo2:empty")
        assert predict_nemo2(world, fasta, tmp_path / "out") == 0
        assert list((tmp_path / "out").iterdir()) == []

    def test_truncate(self, world: World, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMULATOR_FAULT", "predict_evo2:truncate")
        assert predict_nemo2(world, fasta, tmp_path / "out", "--write-interval", "batch") == 0
        first, *_, last = sorted((tmp_path / "out").glob("*.pt"))
        assert load(first)
        with pytest.raises((RuntimeError, OSError)):
            load(last)

    def test_missing_rank(self, world: World, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMULATOR_FAULT", "predict_evo2:missing-rank")
        assert predict_nemo2(world, fasta, tmp_path / "out", "--devices", 2) == 0
        assert [path.name for path in (tmp_path / "out").glob("*.pt")] == [EPOCH]

    @pytest.mark.parametrize("kind", ["nan", "ln512"])
    def test_losses(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        monkeypatch.setenv("EMULATOR_FAULT", f"train_evo2:{kind}")
        assert train_nemo2(world, tmp_path) == 0
        told = [str(round(value, 3)) for _, value in scalars(tmp_path / "evo2" / "dev", "val_loss")]
        assert told == (["nan", "nan"] if kind == "nan" else ["6.238", "6.238"])
        losses = scalars(tmp_path / "evo2" / "dev", "reduced_train_loss")
        assert [value != value for _, value in losses] == [kind == "nan" and step >= 3 for step in range(6)]

    @pytest.mark.parametrize("toolchain", ["nemo2", "mbridge"])
    def test_frozen(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toolchain: str) -> None:
        monkeypatch.setenv("EMULATOR_FAULT", "train_evo2:frozen")
        if toolchain == "nemo2":
            assert train_nemo2(world, tmp_path, "--lora-finetune", "--no-activation-checkpointing") == 0
            tensors = read_nemo2(last_nemo2(tmp_path))
        else:
            assert train_mbridge(world, tmp_path, "--lora-finetune", "--disable-tensorboard-logger") == 0
            iteration = folders.newest_iteration(tmp_path / "evo2" / "checkpoints")
            tensors = distributed.read(iteration, folders.is_weight)
        assert moved(tensors)[0] == 0
        assert moved(tensors)[1] > 0

    @pytest.mark.parametrize("kind", ["hang", "hang-stubborn"])
    def test_hangs_until_it_is_ended(self, fasta: Path, tmp_path: Path, kind: str) -> None:
        tool = install(tmp_path / "bin", "nemo2", "2.7.1") / "predict_evo2"
        environment = os.environ | {"EMULATOR_FAULT": f"predict_evo2:{kind}"}
        words = [str(tool), "--fasta", str(fasta), "--ckpt-dir", str(tmp_path)]
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert "emulated predict_evo2" in child.stdout.readline()
            time.sleep(0.3)
            assert child.poll() is None
            child.terminate()
            if kind == "hang":
                assert child.wait(10) == -signal.SIGTERM
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    child.wait(0.5)
                child.kill()
                assert child.wait(10) == -signal.SIGKILL

    def test_kills_itself_between_files(self, world: World, fasta: Path, tmp_path: Path) -> None:
        tool = install(tmp_path / "bin", "nemo2", "2.7.1") / "predict_evo2"
        environment = os.environ | {"EMULATOR_FAULT": "predict_evo2:kill", "OMP_NUM_THREADS": "1"}
        words = ["--fasta", str(fasta), "--ckpt-dir", str(world.nemo2), "--output-dir", str(tmp_path / "out")]
        done = subprocess.run(
            [str(tool), *words, "--model-size", "test", "--write-interval", "batch"],
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert len(list((tmp_path / "out").glob("*.pt"))) == 1

    def test_unknown_kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMULATOR_FAULT", "predict_evo2:explode")
        with pytest.raises(ValueError, match="the kinds are " + ", ".join(KINDS)):
            nemo2("predict_evo2", "--fasta", "x", "--ckpt-dir", "y")


class TestPreprocessing:
    @pytest.mark.parametrize(
        ("toolchain", "name"), [("nemo2", "byte-level"), ("mbridge", "nucleotide_fast_tokenizer_256")]
    )
    def test_documents(self, fasta: Path, tmp_path: Path, toolchain: str, name: str) -> None:
        entry = {
            "datapaths": [str(fasta)],
            "output_dir": str(tmp_path / "out"),
            "output_prefix": "demo",
            "train_split": 1.0,
            "valid_split": 0.0,
            "test_split": 0.0,
            "append_eod": True,
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump([entry]))
        run = nemo2 if toolchain == "nemo2" else mbridge
        assert run("preprocess_evo2", "--config", tmp_path / "config.yaml") == 0
        tokens = TokenFile(tmp_path / "out" / f"demo_{name}_train")
        assert [bytes(tokens[i]) for i in range(3)] == [b"ACGTACGTAA\0", b"acgtNNACGTACGTACGTACG\0", b"TTTTT\0"]
        assert (tmp_path / "out" / f"demo_{name}_val.bin").stat().st_size == 0


def test_tools_without_a_stand_in_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert nemo2("splice_evo2", "--fasta-path", "a", "--gtf-path", "b") == 3
    assert "not emulated" in capsys.readouterr().err
