"""Configurations as the command composes them, and a run that has been prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from workflow.command import resolve
from workflow.config import Config
from workflow.pipeline import Run

CONFIGS = Path(__file__).parent.parent.parent / "configs"
Configure = Callable[..., Config]


@pytest.fixture(scope="module")
def configure(tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """Compose the command's configuration with overrides, in a run folder of this module."""
    runs = tmp_path_factory.mktemp("runs")

    def composed(*overrides: str) -> Config:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return resolve(compose("config", [f"runs_folder={runs}", "run_name=demo", *overrides]))

    return composed


@pytest.fixture(scope="module")
def prepared(configure: Configure) -> Path:
    """A run of the plastid genome with the tiny model, up to conversion; its folder."""
    config = configure("stage=[prepare,preprocess,convert]", "train=none")
    Run(config).execute()
    return Path(config.runs_folder) / config.run_name
