"""A small model in the formats of both generations, token files, and the tools called in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.dataset.conftest import write_token_file
from tests.emulator import write_tokenizer
from tests.emulator.main import main
from tests.emulator.savanna import save_savanna
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.config import ModelConfig

#: One layer of each kind; test sizes take any shape with four heads.
MINI = ModelConfig("SDH*", width=64, heads=4, mlp_width=96, filter_groups=8)

Tool = Callable[..., int]


@dataclass(frozen=True)
class World:
    """What the tests share.

    Attributes
    ----------
    hub, tokenizer, nemo2, mbridge, dataset : Path
        Folder of published files; tokenizer; the model in either format; YAML of the training data.
    model : StripedHyena2
    """

    hub: Path
    tokenizer: Path
    nemo2: Path
    mbridge: Path
    dataset: Path
    model: StripedHyena2


def nemo2(*words: object, version: str = "2.7.1") -> int:
    """Run a tool of nemo2. Returns its exit code."""
    return main(["--toolchain", "nemo2", "--version", version, *map(str, words)])


def mbridge(*words: object) -> int:
    """Run a tool of mbridge. Returns its exit code."""
    return main(["--toolchain", "mbridge", "--version", "2026.05", *map(str, words)])


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """One thread, full precision, and torchrun's variables."""
    monkeypatch.setenv("EMULATOR_PRECISION", "fp32")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    for name in ("EMULATOR_FAULT", "EMULATOR_PATCHED", "EMULATOR_STEP_SECONDS", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything that is made once."""
    folder = tmp_path_factory.mktemp("emulator")
    torch.manual_seed(0)
    model = StripedHyena2(MINI).eval()
    save_savanna(model, folder / "hub" / "org" / "mini" / "mini.pt")
    made = World(
        hub=folder / "hub",
        tokenizer=write_tokenizer(folder / "tokenizer"),
        nemo2=folder / "nemo2",
        mbridge=folder / "mbridge",
        dataset=_training_data(folder / "tokens"),
        model=model,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMULATOR_PRECISION", "fp32")
        patch.setenv("EMULATOR_HUB", str(made.hub))
        sizes = ("--model-size", "test", "--output-dir", made.nemo2)
        assert nemo2("evo2_convert_to_nemo2", "--model-path", "hf://org/mini", *sizes) == 0
        words = ("--mbridge-ckpt-dir", made.mbridge, "--tokenizer-path", made.tokenizer)
        size = ("--model-size", "striped_hyena_test")
        assert mbridge("evo2_convert_savanna_to_mbridge", "--savanna-ckpt-path", "org/mini", *size, *words) == 0
    return made


def _training_data(folder: Path) -> Path:
    """A motif with errors, some of it soft-masked, in three splits."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    entries = []
    for split, length in (("train", 1500), ("validation", 300), ("test", 300)):
        bases = np.resize(np.frombuffer(b"ACGTTGCAAGGCTTAacgtagg", np.uint8), length)
        bases = np.where(rng.random(length) < 0.05, ord("A"), bases).astype(np.uint8)
        write_token_file(folder / split, [bases.tobytes()])
        entries.append({"dataset_prefix": str(folder / split), "dataset_split": split, "dataset_weight": 1.0})
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump(entries))
    return path


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    """Three sequences of different lengths, out of order, in mixed case."""
    path = tmp_path / "input.fasta"
    path.write_text(">zeta desc\nACGTACGTAA\n>alpha\nacgtNNACGTACGTACGTACG\n>mid\nTTTTT\n")
    return path
