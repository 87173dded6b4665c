"""Configurations as the command composes them, for runs in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from workflow.command import resolve
from workflow.config import Config

CONFIGS = Path(__file__).parents[2] / "configs"
Configure = Callable[..., Config]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """The configuration that overrides give, of a run named `rice` in a temporary folder of runs."""

    def composed(*overrides: str) -> Config:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return resolve(compose("config", [f"runs_folder={tmp_path}/runs", "run_name=rice", *overrides]))

    return composed
