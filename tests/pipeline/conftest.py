import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workflow.config import (
    STAGES,
    BackendConfig,
    ClassifyConfig,
    Config,
    ElementsConfig,
    EmbedConfig,
    ExperimentConfig,
    GenomeConfig,
    ModelConfig,
    TrainConfig,
    VariantsConfig,
    WindowsConfig,
)
from workflow.pipeline import PIPELINE
from workflow.stages.context import StageContext

PHIX = Path(__file__).parent.parent.parent / "data" / "demo" / "phix174_NC_001422.1.fa"


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    """A run on a copy of phiX174, of `prepare`, which `download` goes before, and `preprocess`."""
    fasta, checkpoint, table = tmp_path / "genome.fa", tmp_path / "model.safetensors", tmp_path / "table.csv"
    shutil.copy(PHIX, fasta)
    checkpoint.write_bytes(b"weights")
    table.write_text("id,value\n")
    return Config(
        genome=GenomeConfig(name="phix", fasta=str(fasta), source="the archive"),
        windows=WindowsConfig(length=256),
        model=ModelConfig(name="tiny", architecture="tiny", checkpoint=str(checkpoint), context_length=256),
        backend=BackendConfig(name="local", device="cpu"),
        train=TrainConfig(method="lora", context_length=256, steps=4, learning_rate=1e-3),
        variants=VariantsConfig(table=str(table), window=256),
        elements=ElementsConfig(source="promoters"),
        experiment=ExperimentConfig(table=str(table), id_column="id"),
        embed=EmbedConfig(input=str(fasta)),
        classify=ClassifyConfig(table=str(table)),
        stage=["prepare", "preprocess"],
        runs_folder=str(tmp_path / "runs"),
        run_name="demo",
    )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Puts a stand-in in the place of every stage; the names of those that ran, in order."""
    names: list[str] = []
    for stage in STAGES:
        monkeypatch.setitem(PIPELINE, stage, replace(PIPELINE[stage], run=stand_in(stage, names)))
    return names


def stand_in(stage: str, names: list[str]) -> Callable[[StageContext], dict[str, object]]:
    def run(context: StageContext) -> dict[str, object]:
        names.append(stage)
        (context.out / "state").open("a").write(f"{stage}\n")
        return {"steps": context.config.train.steps}

    return run
