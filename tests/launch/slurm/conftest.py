"""Configurations as a user's settings make them, and stand-ins for programs that are not here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from workflow.command import resolve
from workflow.config import Config

ROOT = Path(__file__).parents[3]
Configure = Callable[..., Config]
#: Small, and on the CPU.
SMALL = ("genome=phix174", "windows.length=128", "model=tiny", "backend.device=cpu", "train=none")


@pytest.fixture(scope="session")
def configure() -> Configure:
    """The configuration that overrides give."""

    def composed(*overrides: str) -> Config:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            return resolve(compose("config", list(overrides)))

    return composed


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a program of a name on the path; it notes its arguments in the file that is returned, then runs `lines`."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(name: str, lines: str = "") -> Path:
        noted = folder / f"{name}.noted"
        (folder / name).write_text(f"#!/bin/bash\nprintf '%s\\0' \"$@\" >> '{noted}'\n{lines}\n")
        (folder / name).chmod(0o755)
        return noted

    return install


def words_in(noted: Path) -> list[str]:
    """The arguments that a stand-in was given."""
    return noted.read_text().split("\0")[:-1]
