"""Checkpoints that the tools are given: linked to, merged, and found again where a run was moved."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.backends.nvidia.conftest import Configure
from workflow.backends.base import Workplace
from workflow.backends.contracts import load_contract
from workflow.backends.nvidia import converting
from workflow.backends.nvidia.mbridge import MegatronBridge
from workflow.backends.nvidia.running import ToolRunner
from workflow.backends.nvidia.settings import Source
from workflow.checkpoints import Format
from workflow.errors import InputError

CONTRACT = load_contract("mbridge", "2026.05")
TINY = ("backend=mbridge", "backend.tokenizer=/tok", "+model.tool_sizes.mbridge=striped_hyena_test")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder of MBridge with two iterations, the newer of which was not written to its end."""
    folder = tmp_path / "it's trained"
    for step in (100, 500):
        iteration = folder / f"iter_{step:07d}"
        iteration.mkdir(parents=True)
        (iteration / "train_state.pt").write_text(f"state of {step}")
    (folder / "latest_checkpointed_iteration.txt").write_text("100")
    return folder


@pytest.fixture
def mbridge_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path passes for a checkpoint of MBridge."""
    monkeypatch.setattr(converting, "sniff", lambda path: Format.MBRIDGE)


def converted(configure: Configure, checkpoint: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(converting, "_inspect", lambda config, target: {})
    config = configure(*TINY)
    runner = ToolRunner(config, CONTRACT, Workplace(out))
    out.mkdir()
    converting.convert(MegatronBridge(CONTRACT), runner, config, str(checkpoint), out)
    return out / converting.CHECKPOINT


@pytest.mark.usefixtures("mbridge_format")
@pytest.mark.parametrize(("given", "step"), [("iter_0000100", 100), ("iter_0000500", 500), ("", 100)])
def test_the_iteration_that_is_given_is_the_one_that_is_loaded(
    configure: Configure, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, step: int
) -> None:
    """Whatever lies beside it; of a whole folder the one that it notes as its newest."""
    target = converted(configure, trained / given, tmp_path / "convert", monkeypatch)
    loaded = converting.loadable(target)
    assert loaded.name == f"iter_{step:07d}" and (loaded / "train_state.pt").read_text() == f"state of {step}"
    assert [path.name for path in target.glob("iter_*")] == [loaded.name]
    assert (target / "latest_checkpointed_iteration.txt").read_text() == str(step)
    assert (target / "latest_train_state.pt").read_text() == f"state of {step}"


@pytest.mark.usefixtures("mbridge_format")
def test_the_script_does_the_same(
    configure: Configure, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = converted(configure, trained, tmp_path / "convert", monkeypatch)
    config, out = configure(*TINY), tmp_path / "by 'hand"
    runner = ToolRunner(config, CONTRACT, Workplace(out))
    lines = converting.script(MegatronBridge(CONTRACT), runner, config, str(trained), out)
    subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], check=True)
    theirs = out / converting.CHECKPOINT
    assert sorted(path.name for path in theirs.iterdir()) == sorted(path.name for path in ours.iterdir())
    for path in ours.iterdir():
        there = theirs / path.name
        assert path.resolve() == there.resolve() if path.is_symlink() else path.read_text() == there.read_text()


@pytest.mark.usefixtures("mbridge_format")
def test_an_iteration_under_another_name(
    configure: Configure, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained / "iter_0000500").rename(trained / "best")
    with pytest.raises(InputError, match=r"best is an MBridge checkpoint under another name.*iter_NNNNNNN"):
        converted(configure, trained / "best", tmp_path / "convert", monkeypatch)


def test_other_formats_are_linked_to_as_they_are(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NeMo2 for nemo2, from a place with a space in its name."""
    (tmp_path / "a model").mkdir()
    converting._link(Source("nemo2", tmp_path / "a model"), tmp_path / "link")
    assert (tmp_path / "link").resolve() == tmp_path / "a model"
    lines = converting._linking(Source("nemo2", tmp_path / "a model"), tmp_path)
    subprocess.run(["bash", "-euc", "\n".join(lines)], check=True)
    assert (tmp_path / converting.CHECKPOINT).resolve() == tmp_path / "a model"


def adapter(folder: Path, base: Path) -> Path:
    iteration = folder / "iter_0000008"
    (iteration / "tokenizer").mkdir(parents=True)
    (iteration / "__0_0.distcp").write_text("numbers")
    settings = {"checkpoint": {"pretrained_checkpoint": str(base), "other": 1}, "peft": {"dim": 2}}
    (iteration / "run_config.yaml").write_text(yaml.safe_dump(settings))
    return iteration


def test_adapters_whose_base_was_moved(tmp_path: Path) -> None:
    base, place = tmp_path / "new" / "checkpoint" / "iter_0000001", tmp_path / "place"
    place.mkdir()
    given = adapter(tmp_path / "train", tmp_path / "old" / "checkpoint")
    before = (given / "run_config.yaml").read_text()
    found = converting.with_base(given, base, place)
    assert found.parent == place and (given / "run_config.yaml").read_text() == before
    settings = yaml.safe_load((found / "run_config.yaml").read_text())
    assert settings["checkpoint"] == {"pretrained_checkpoint": str(base.parent), "other": 1}
    assert settings["peft"] == {"dim": 2}
    assert (found / "__0_0.distcp").read_text() == "numbers" and (found / "tokenizer").is_dir()


def test_adapters_whose_base_is_where_it_was(tmp_path: Path) -> None:
    base = tmp_path / "checkpoint" / "iter_0000001"
    given = adapter(tmp_path / "train", base.parent)
    assert converting.with_base(given, base, tmp_path / "absent") == given
