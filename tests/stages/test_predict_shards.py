"""Predictions in shards are those of one process, whoever makes them, and whatever happens on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.stages.conftest import Configure
from workflow.artifacts import PerBaseScores, read_json
from workflow.config import Config
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.pipeline import PIPELINE, Run
from workflow.preflight.disk import disk_needs
from workflow.stages.context import StageContext
from workflow.stages.predict import predict, predict_shard, remove_shards

ROOT = Path(__file__).parent.parent.parent
#: Windows of many lengths, joined of exons and read in both directions, and other organisms after them.
SETTINGS = (
    "train=none",
    "train.context_length=512",
    "windows.length=512",
    "windows=genes",
    "windows.sets.transcript.upstream=32",
    "predict.windows=transcript",
    "predict.reverse_complement=true",
    "predict.batch_tokens=3000",
    f"predict.forgetting={ROOT / 'tests' / 'data' / 'other_organisms.fa'}",
)
FINGERPRINT = "0123456789abcdef"


@pytest.fixture(scope="module")
def prepared(configure: Configure) -> Path:
    """A run up to conversion; its folder."""
    config = configure("stage=[prepare,convert]", *SETTINGS)
    Run(config).execute()
    return Path(config.runs_folder) / config.run_name


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Path:
    """A run folder of one's own, with the stages of the prepared one."""
    (tmp_path / "run").mkdir()
    for stage in ("prepare", "convert"):
        (tmp_path / "run" / stage).symlink_to(prepared / stage)
    return tmp_path / "run"


def context(config: Config, run: Path, fingerprint: str = FINGERPRINT) -> StageContext:
    """As the pipeline makes it, to build in a new folder."""
    out = run.parent / f"out{len(list(run.parent.glob('out*')))}"
    out.mkdir()
    return StageContext(config, out, run, GateLog(asdict(config.gates)), run / "logs", fingerprint=fingerprint)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(configure: Configure, prepared: Path) -> tuple[dict[str, bytes], dict[str, Any], list[dict[str, Any]]]:
    """What one process makes: files, counts and gates."""
    here = context(configure(*SETTINGS), prepared)
    counts = predict(here)
    return files(here.out), counts, here.gates.as_records()


def check(here: StageContext, counts: dict[str, object], whole: Any) -> None:
    made, (expected, expected_counts, expected_gates) = files(here.out), whole
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name]] == []
    assert counts == expected_counts and here.gates.as_records() == expected_gates


@pytest.mark.parametrize("shards", [3, 7, 100])
def test_equal_to_one_process(
    configure: Configure, run: Path, whole: Any, capsys: pytest.CaptureFixture[str], shards: int
) -> None:
    here = context(configure(*SETTINGS, f"predict.shards={shards}"), run)
    check(here, predict(here), whole)
    ranges = [read_json(path)["range"] for path in run.glob(f"predict.shards/{FINGERPRINT[:12]}/base-*/manifest.json")]
    assert len(ranges) == shards
    windows = 2 * len(PerBaseScores(here.out / "base"))
    # Between the two directions of a window.
    assert shards < 7 or any(start % 2 for start, _ in ranges if start < windows)
    told = capsys.readouterr().out
    assert (f" of {shards} shards are empty, as there are no more batches" in told) == (shards == 100)
    remove_shards(run)
    assert sorted(path.name for path in run.iterdir()) == ["convert", "prepare"]


def test_several_processes(configure: Configure, run: Path, whole: Any) -> None:
    """As many shards as processes where no number is given."""
    here = context(configure(*SETTINGS, "parallel.devices=2", "backend.device=cpu"), run)
    check(here, predict(here), whole)
    assert sorted(path.name for path in run.glob("predict.shards/*/base-*")) == ["base-0-of-2", "base-1-of-2"]


def test_array_tasks_and_the_command_that_joins(
    configure: Configure, run: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (2, 0, 1):
        here = context(configure(*SETTINGS, "predict.shards=3", f"predict.shard={number}"), run)
        predict_shard(here)
        assert not any(here.out.iterdir())
    assert not list(run.glob("predict.shards/*/.records-*"))
    here = context(configure(*SETTINGS, "predict.shards=3"), run)
    monkeypatch.setattr(StageContext, "backend", lambda _: pytest.fail("nothing is left to score"))
    check(here, predict(here), whole)


KILLED = """
import os, signal, sys
from pathlib import Path
from omegaconf import OmegaConf
from tests.stages.test_predict_shards import context
from workflow.artifacts import PerBaseWriter
from workflow.config import Config
from workflow.stages.predict import predict
config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(sys.argv[1])))
run, left = Path(sys.argv[2]), [int(sys.argv[3])]
write = PerBaseWriter.write
def counted(*arguments):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    write(*arguments)
PerBaseWriter.write = counted
predict(context(config, run))
"""


def test_a_killed_process_is_gone_on_with(configure: Configure, run: Path, whole: Any) -> None:
    config = configure(*SETTINGS, "predict.shards=7")
    windows = len(PerBaseScores(context_of_whole(whole, run)))
    line = [
        sys.executable,
        "-c",
        KILLED,
        OmegaConf.to_yaml(OmegaConf.create(asdict(config))),
        str(run),
        str(windows // 2),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    assert subprocess.run(line, cwd=ROOT, env=environment, check=False).returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in run.glob("predict.shards/*/base-*/manifest.json")}
    assert 0 < len(kept) < 7
    here = context(config, run)
    check(here, predict(here), whole)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert not list(run.glob("predict.shards/*/.base-*.tmp-*"))


def context_of_whole(whole: Any, run: Path) -> Path:
    """The files of one process in a folder."""
    folder = run.parent / "whole"
    folder.mkdir()
    for name in ("index.parquet", "logprobs.npy", "bases.npy", "logprobs_reverse.npy"):
        (folder / name).write_bytes(whole[0][f"base/{name}"])
    return folder


def test_a_damaged_shard_is_named_and_can_be_made_again(configure: Configure, run: Path, whole: Any) -> None:
    config = configure(*SETTINGS, "predict.shards=3")
    predict(context(config, run))
    shard = run / "predict.shards" / FINGERPRINT[:12] / "base-1-of-3"
    content = bytearray((shard / "base" / "logprobs.npy").read_bytes())
    content[-100] ^= 1
    (shard / "base" / "logprobs.npy").write_bytes(content)
    with pytest.raises(
        InputError, match=r"base-1-of-3/base/logprobs\.npy is damaged: .*stage=predict predict\.shards=3"
    ):
        predict(context(config, run))
    shutil.rmtree(shard)
    here = context(config, run)
    check(here, predict(here), whole)


def test_shards_of_other_settings_are_told_and_not_used(
    configure: Configure, run: Path, whole: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    other = context(
        configure(*SETTINGS, "predict.shards=2", "predict.shard=0", "predict.precision=bf16"), run, "f" * 64
    )
    predict_shard(other)
    predict_shard(context(configure(*SETTINGS, "predict.shards=4", "predict.shard=1"), run))
    here = context(configure(*SETTINGS, "predict.shards=2"), run)
    check(here, predict(here), whole)
    assert f"note: 2 shards of other settings or another number are in {run}/predict.shards" in capsys.readouterr().out


def test_a_shard_holds_what_its_gates_saw(configure: Configure, run: Path) -> None:
    predict_shard(context(configure(*SETTINGS, "predict.shards=2", "predict.shard=0"), run))
    manifest = read_json(run / "predict.shards" / FINGERPRINT[:12] / "base-0-of-2" / "manifest.json")
    assert [gate["name"] for gate in manifest["gates"]] == ["context_length"]
    assert manifest["tools"] == [] and manifest["fingerprint"] == FINGERPRINT


def test_the_number_of_shards_is_no_part_of_the_result(configure: Configure) -> None:
    stage = PIPELINE["predict"]
    plain, cut, one, other = (
        stage.settings(config, asdict(config))
        for config in (
            configure(*SETTINGS),
            configure(*SETTINGS, "predict.shards=9"),
            configure(*SETTINGS, "predict.shards=9", "predict.shard=3"),
            configure(*SETTINGS, "predict.precision=bf16"),
        )
    )
    assert plain == cut == one != other
    assert plain["predict"].keys() == asdict(configure(*SETTINGS).predict).keys() - {"shards", "shard"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("predict.shards=0",), r"predict\.shards=0 must be positive"),
        (("predict.shard=0",), r"predict\.shard=0 is a part of how many\? Give predict\.shards=N"),
        (("predict.shards=4", "predict.shard=4"), r"predict\.shard=4 is none of predict\.shards=4: .* from 0 to 3"),
        (("predict.shards=4", "predict.shard=-1"), r"predict\.shard=-1 is none of"),
    ],
)
def test_shards_that_cannot_be(configure: Configure, settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        configure(*SETTINGS, *settings)


def test_disk_that_shards_take(configure: Configure, prepared: Path) -> None:
    """Joined predictions are written beside the shards; who makes one shard writes that alone."""
    whole, several, one = (
        disk_needs(configure(*SETTINGS, *more), "predict", None)
        for more in ((), ("predict.shards=4",), ("predict.shards=4", "predict.shard=1"))
    )
    (size,) = whole.values()
    assert size > 0 and list(several.values()) == [size, size] and list(one.values()) == [size / 4]


def test_raw_files_are_not_joined(configure: Configure, run: Path) -> None:
    here = context(configure(*SETTINGS, "predict.shards=2", "backend.keep_raw=true"), run)
    with pytest.raises(InputError, match=r"backend\.keep_raw=true .* use predict\.shards=1"):
        predict(here)
