"""Configurations as the command composes them, and machines with other hardware than this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from workflow.config import Config, register_schema
from workflow.preflight import hardware

CONFIGS = Path(__file__).parent.parent.parent / "configs"
Configure = Callable[..., Config]
#: The memory of every model is told for the same settings.
AS_TINY = ("model.batch_size=8", "model.activation_checkpointing=false")
#: `backend=nemo2` on eight GPUs of a kind that FP8 was found good on.
ON_HOPPER = ("backend=nemo2", "parallel.gpu=H100-80GB", "parallel.devices=8")


@cache
def composed(*overrides: str) -> Config:
    """The configuration that overrides give. Composing takes a tenth of a second, and many tests ask for the same."""
    register_schema()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = OmegaConf.to_object(compose("config", ["run_name=demo", *AS_TINY, *overrides]))
    assert isinstance(config, Config)
    return config


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """The configuration that overrides give, with runs in a temporary folder."""
    return lambda *overrides: replace(composed(*overrides), runs_folder=str(tmp_path))


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a program of that name, with the given shell lines, on the path."""

    def install(lines: str) -> Path:
        folder = tmp_path / f"bin{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return program

    return install


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has, tests begin without a GPU."""
    monkeypatch.setattr(hardware, "_query", hardware._query.__wrapped__)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
