"""Configurations as the command composes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from workflow.config import Config, register_schema

CONFIGS = Path(__file__).parents[3] / "configs"
Configure = Callable[..., Config]
#: Commands of every model are told for the same settings.
AS_TINY = ("model.batch_size=8", "model.activation_checkpointing=false")


@pytest.fixture(scope="session")
def configure() -> Configure:
    """The configuration that overrides give. Tests share it and leave it as it is."""

    register_schema()

    @cache
    def composed(*overrides: str) -> Config:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = OmegaConf.to_object(compose("config", [*AS_TINY, *overrides]))
        assert isinstance(config, Config)
        return config

    return composed


@pytest.fixture(scope="session")
def nemo2(configure: Configure) -> Configure:
    """A run of the 7B model by nemo2 on one GPU, all weights trained, with further overrides."""
    return lambda *overrides: configure("backend=nemo2", "model=evo2_7b", "train=full", *overrides)


@pytest.fixture(scope="session")
def mbridge(configure: Configure) -> Configure:
    """A run of the 7B model by mbridge on one GPU, all weights trained, with further overrides."""
    tokenizer = "backend.tokenizer=/tok/nucleotide_fast_tokenizer_512"
    return lambda *overrides: configure("backend=mbridge", tokenizer, "model=evo2_7b", "train=full", *overrides)
