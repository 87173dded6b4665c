"""`commands.sh`: what a run does, to be read or run by hand."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from workflow.command import resolve
from workflow.config import register_schema
from workflow.dry_run import describe, write_commands
from workflow.pipeline import Run

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def dry(tmp_path: Path) -> Callable[..., Run]:
    """A run of the tiny model on phiX174 that has not begun."""

    def make(*overrides: str) -> Run:
        register_schema()
        GlobalHydra.instance().clear()
        fixed = [f"runs_folder={tmp_path / 'my runs'}", "run_name=demo", "genome=phix174", "split.method=block"]
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return Run(resolve(compose("config", [*fixed, "+model.tool_sizes.nemo2=test", *overrides])))

    return make


def test_commands_of_the_embedded_engine_are_its_stages(dry: Callable[..., Run]) -> None:
    script = write_commands(dry())
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash" and f"cd {Path.cwd()}" in lines
    stages = ["download", "prepare", "preprocess", "convert", "train", "predict", "infer", "evaluate"]
    assert [line.rpartition("stage=")[2] for line in lines if "stage=" in line] == stages
    assert not any(line.startswith("#") and "stage=" in line for line in lines)


def test_what_a_tool_made_by_hand_is_not_taken_for_a_stage(dry: Callable[..., Run]) -> None:
    """The stages after it would say that it has not run."""
    script = write_commands(dry("backend=nemo2"))
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode == 0
    sections = {part.split("\n")[0]: part for part in script.read_text().split("\n# ")[1:]}
    assert "\npython -m" in sections["prepare"] or "stage=prepare" in sections["prepare"]
    assert "train_evo2 --dataset-config" in sections["train"]
    last = script.read_text().rstrip().splitlines()[-1]
    assert last.startswith("# ") and last.endswith("stage=evaluate")


def test_the_share_in_frame_is_told(dry: Callable[..., Run]) -> None:
    asked = ("genome=athaliana_plastid", "windows=genes", "mixture=codons", "train.objective=codon_hxe")
    told = describe(dry(*asked, "mixture.weights.cds=1.5", "train.reverse_complement=0.2"))
    assert "codons: about 60.0% of the bases are in frame (cds with 75.0% of the mixture" in told
    assert "in frame" not in describe(dry(*asked[:3]))


def test_notes_are_told_once(dry: Callable[..., Run]) -> None:
    told = describe(dry("backend=nemo2", "train.reverse_complement=0.5"))
    assert told.count("nemo2 is not installed here") == 1
    assert told.count("reverse_complement") >= 1 and "  note   " in told
