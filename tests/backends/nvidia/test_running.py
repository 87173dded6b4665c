"""How commands of a stage are started: by which launcher, with which mounts, into which log."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.backends.nvidia.conftest import Configure
from workflow.backends.base import Workplace
from workflow.backends.contracts import Command, load_contract
from workflow.backends.nvidia.running import ToolRunner

TORCHRUN = ("launcher=torchrun", "parallel.nodes=2", "parallel.devices=4", "launcher.rendezvous=host:29500")


def runner(configure: Configure, folder: Path, *overrides: str, alone: bool = False) -> ToolRunner:
    config = configure("backend=mbridge", f"runs_folder={folder}", *overrides)
    return ToolRunner(config, load_contract("mbridge", "2026.05"), Workplace(folder), alone=alone)


def command(tool: str, processes: int | None) -> Command:
    needed = {"infer_evo2": {"--ckpt-dir": "c"}, "predict_evo2": {"--ckpt-dir": "c", "--fasta": "f"}}
    return Command(tool, needed[tool], processes=processes)


def test_only_training_and_prediction_spread_over_machines(configure: Configure, tmp_path: Path) -> None:
    """Generation would wait for machines that do not start it."""
    started = runner(configure, tmp_path, *TORCHRUN)
    assert "torchrun --nnodes 2 " in started.line(command("predict_evo2", 4))
    assert "torchrun --standalone --nproc-per-node 1 " in started.line(command("infer_evo2", 1))


def test_alone(configure: Configure, tmp_path: Path) -> None:
    started = runner(configure, tmp_path, *TORCHRUN, alone=True)
    assert "torchrun --standalone --nproc-per-node 1 " in started.line(command("predict_evo2", 1))
    assert "torchrun" not in started.line(command("predict_evo2", None))


def test_a_container_sees_where_links_lead(configure: Configure, tmp_path: Path) -> None:
    real, shown = tmp_path / "real", tmp_path / "shown"
    real.mkdir()
    shown.mkdir()
    (real / "model.pt").touch()
    (shown / "link.pt").symlink_to(real / "model.pt")
    given = f"model.checkpoint={shown / 'link.pt'}"
    line = runner(configure, tmp_path / "runs", "launcher=docker", given).line(command("infer_evo2", 1))
    assert f"-v {shown}:{shown}" in line and f"-v {real}:{real}" in line


def test_a_container_is_not_given_folders_that_do_not_exist(configure: Configure, tmp_path: Path) -> None:
    """Docker would make them, for root."""
    given = f"model.checkpoint={tmp_path / 'absent' / 'model.pt'}"
    line = runner(configure, tmp_path, "launcher=docker", given).line(command("infer_evo2", 1))
    assert "absent" not in line


def test_logs_and_what_is_told(configure: Configure, tmp_path: Path) -> None:
    place = Workplace(tmp_path / "work", log_folder=tmp_path / "kept")
    config = configure("backend=mbridge", f"runs_folder={tmp_path}")
    started = ToolRunner(config, load_contract("mbridge", "2026.05"), place)
    tools = tmp_path / "bin"
    tools.mkdir()
    tool = tools / "infer_evo2"
    tool.write_text(f"#!{sys.executable}\nprint('said')\n")
    tool.chmod(0o755)
    asked = Command("infer_evo2", {"--ckpt-dir": "c"}, {"PATH": f"{tools}:/usr/bin:/bin"})
    log = started.run(asked, name="of-its-own")
    assert log == tmp_path / "kept" / "of-its-own.log" and log.read_text().endswith("said\n")
    (told,) = place.commands
    assert told["version"] == str(load_contract("mbridge", "2026.05")) and " infer_evo2 " in told["command"]
    assert started.log("infer_evo2") == tmp_path / "kept" / "infer_evo2.log"
