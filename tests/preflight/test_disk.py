from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from tests.preflight.conftest import Configure
from workflow.config import Config
from workflow.errors import GateError
from workflow.gates import GateLog, GateResult
from workflow.preflight import disk
from workflow.preflight.disk import bases_to_score, check_disk, checkpoints_at_a_time, disk_lines, disk_needs
from workflow.preflight.memory import adapter_parameters
from workflow.striped_hyena.config import PRESETS

SHAPE = PRESETS["evo2_7b"]
RAW = "the tools' own files"


def judged(config: Config, stage: str, action: str = "stop") -> list[GateResult]:
    gates = GateLog({"disk_space": action})
    check_disk(config, stage, SHAPE, gates)
    return gates.results


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    """Published windows: 3 kb to score."""
    folder = tmp_path / "demo" / "prepare" / "windows"
    folder.mkdir(parents=True)
    table = pd.DataFrame({"split": ["train", "test", "test"], "length": [50_000, 1_000, 2_000]})
    table.to_parquet(folder / "tiling.parquet")
    return folder


def test_converted_checkpoints(configure: Configure) -> None:
    held = {"the converted checkpoint": SHAPE.parameters * 2}
    assert disk_needs(configure("model=evo2_7b"), "convert", SHAPE) == held
    assert disk_needs(configure("model=evo2_7b", "backend=nemo2", "train=scratch"), "convert", SHAPE) == held
    random = disk_needs(configure("model=evo2_7b", "train=scratch"), "convert", SHAPE)
    assert random == {"the converted checkpoint": SHAPE.parameters * 4}


@pytest.mark.parametrize(
    ("overrides", "bytes_of_parameter", "bytes_of_adapter", "kept"),
    [
        ("backend=local train=full", 16, 0, 2),
        ("backend=local train=lora", 0, 16, 2),
        ("backend=nemo2 train=full", 14, 0, 6),
        ("backend=nemo2 train=full train.steps=60", 14, 0, 4),
        ("backend=nemo2 train=lora", 2, 14, 6),
        ("backend=mbridge train=full", 14, 0, 6),
        ("backend=mbridge train=full train.steps=1000", 14, 0, 40),
        ("backend=mbridge train=lora", 0, 14, 6),
    ],
)
def test_training_checkpoints(
    overrides: str, bytes_of_parameter: int, bytes_of_adapter: int, kept: int, configure: Configure
) -> None:
    config = configure("model=evo2_7b", *overrides.split())
    assert checkpoints_at_a_time(config) == kept
    adapters = adapter_parameters(SHAPE, config.train.lora.rank, config.train.lora.targets)
    expected = (SHAPE.parameters * bytes_of_parameter + adapters * bytes_of_adapter) * kept
    assert disk_needs(config, "train", SHAPE) == {"checkpoints": expected}


@pytest.mark.parametrize(
    ("overrides", "needs"),
    [
        ("train=none", {"predictions": 3_000 * 9}),
        ("train=scratch", {"predictions": 3_000 * 9}),
        ("train=lora", {"predictions": 2 * 3_000 * 9}),
        ("train=lora backend=nemo2", {"predictions": 2 * 3_000 * 9, RAW: 3_000 * 2048}),
        ("train=lora backend=nemo2 backend.raw_gigabytes=0.001", {"predictions": 2 * 3_000 * 9, RAW: 1e6}),
        (
            "train=lora backend=mbridge backend.raw_gigabytes=0.001 backend.keep_raw=true",
            {"predictions": 2 * 3_000 * 9, RAW: 2 * 3_000 * 2048},
        ),
    ],
)
def test_predictions(overrides: str, needs: dict[str, float], configure: Configure, windows: Path) -> None:
    assert disk_needs(configure(*overrides.split()), "predict", SHAPE) == needs
    assert disk_needs(configure(*overrides.split()), "predict", None) == needs


def test_before_the_windows_are_there_the_genome_tells(configure: Configure, tmp_path: Path) -> None:
    fasta, packed = tmp_path / "x.fa", tmp_path / "x.fa.gz"
    fasta.write_text(">x\n" + "A" * 99_996)
    packed.write_bytes(gzip.compress(fasta.read_bytes()))
    assert bases_to_score(configure(f"genome.fasta={fasta}")) == 9_999
    assert disk_needs(configure(f"genome.fasta={fasta}"), "preprocess", None) == {"token files": 2 * 99_999}
    told = bases_to_score(configure(f"genome.fasta={packed}"))
    assert told == int(4 * packed.stat().st_size * 0.1)
    nowhere = configure("genome.fasta=https://example.org/x.fa")
    assert bases_to_score(nowhere) is None
    assert disk_needs(nowhere, "predict", SHAPE) == disk_needs(nowhere, "preprocess", SHAPE) == {}
    assert judged(nowhere, "predict") == [] and disk_lines(nowhere, "predict", SHAPE) == []


def test_gate(
    configure: Configure, windows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure("model=evo2_7b")
    monkeypatch.setattr(disk, "free_disk_gib", lambda folder: 1000.0)
    (result,) = judged(config, "convert")
    assert result.passed and result.saw == "room for the converted checkpoint"
    assert "1000" not in result.limit
    assert judged(config, "predict")[0].saw == "room for predictions"
    assert disk_lines(config, "convert", SHAPE) == [
        "disk: about 12.3 GiB for the converted checkpoint; 1000.0 GiB are free"
    ]
    monkeypatch.setattr(disk, "free_disk_gib", lambda folder: 12.0)
    with pytest.raises(
        GateError,
        match=r"^gate disk_space: saw about 12\.3 GiB for the converted checkpoint, limit 12\.0 GiB free in .*/demo\. "
        r".*Override with gates\.disk_space=warn\.$",
    ):
        judged(config, "convert")
    assert not judged(config, "convert", "warn")[0].passed
    assert "WARNING gate disk_space" in capsys.readouterr().out


@pytest.mark.parametrize("stage", ["infer", "prepare", "evaluate"])
def test_other_stages_write_little(stage: str, configure: Configure) -> None:
    assert judged(configure(), stage) == []
