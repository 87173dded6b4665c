"""docs/scale.md says what the preflight says."""

from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from workflow.command import resolve
from workflow.config import Config
from workflow.preflight.data import bases_of_step
from workflow.preflight.disk import disk_needs
from workflow.preflight.hardware import GIB, planned_gpus
from workflow.preflight.memory import adapter_parameters, estimate_memory, largest_micro_batch
from workflow.preflight.time import scoring_seconds, training_seconds
from workflow.striped_hyena import PRESETS

ROOT = Path(__file__).parent.parent
PAGE = " ".join((ROOT / "docs" / "scale.md").read_text(encoding="utf-8").split())
TRAINED, TESTED = 8_000_000_000, 1_000_000_000


def planned(method: str, *overrides: str) -> Config:
    GlobalHydra.instance().clear()
    asked = (
        "genome=XTT22",
        "model=evo2_7b",
        "backend=mbridge",
        "backend.tokenizer=nucleotide_fast_tokenizer_512",
        "parallel.devices=8",
        "parallel.gpu=H100-80GB",
        f"train={method}",
        "train.accumulate=8",
        f"train.tokens={TRAINED}",
        "train.validate_every=1000",
    )
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return resolve(compose("config", [*asked, *overrides]))


def row(name: str) -> list[str]:
    """The two cells of a row of the first table, without the marks."""
    cells = PAGE.split(f"| {name} | ")[1].split(" | ")
    return [cell.removesuffix(" |").split(" |")[0].removesuffix(" ●") for cell in cells[:2]]


@pytest.mark.parametrize(("column", "method"), enumerate(("lora", "full")))
def test_first_table(column: int, method: str) -> None:
    config = planned(method)
    shape, gpus = PRESETS[config.model.architecture], planned_gpus(config.parallel)
    hours = training_seconds(config, shape, gpus) / 3600  # type: ignore[operator]
    assert gpus[0].memory_gib
    one_save = disk_needs(
        replace(config, train=replace(config.train, validate_every=config.train.steps)), "train", shape
    )
    expected = {
        "bases of a step": f"{bases_of_step(config):,}",
        "steps of one pass over 8 Gb": f"{config.train.steps:,}",
        "computing": f"{hours:.1f} h",
        "GPU hours": f"{8 * hours:.0f}",
        "memory of each GPU": f"{estimate_memory(config, 'train', shape).total / GIB:.1f} GiB",
        "largest micro-batch": str(largest_micro_batch(config, "train", shape, gpus[0].memory_gib)),
        "one checkpoint": f"{one_save['checkpoints'] / 1e9:.1f} GB",
        "scoring 1 Gb with one model": f"{scoring_seconds(config, shape, gpus, TESTED) / 3600:.1f} h",  # type: ignore[operator]
    }
    assert {name: row(name)[column] for name in expected} == expected


def test_disk() -> None:
    full, lora = planned("full"), planned("lora")
    shape = PRESETS[full.model.architecture]
    saved = {config.train.method: disk_needs(config, "train", shape)["checkpoints"] for config in (full, lora)}
    assert f"full training writes {saved['full'] / 1e12:.2f} TB ●, LoRA {saved['lora'] / 1e9:.0f} GB ●" in PAGE
    converted = disk_needs(full, "convert", shape)["the converted checkpoint"]
    assert f"writing {converted / 1e9:.1f} GB ● of weights" in PAGE
    assert f"at most {full.backend.raw_gigabytes:.0f} GB ● of the tools' files" in PAGE


def test_predictions_on_disk() -> None:
    """Four float16 and the base itself, by two models."""
    assert f"{TESTED * (4 * 2 + 1) * 2 / 1e9:.0f} GB ● kept of 1 Gb by two models" in PAGE


def test_adapters() -> None:
    config = planned("lora")
    parameters = adapter_parameters(
        PRESETS[config.model.architecture], config.train.lora.rank, config.train.lora.targets
    )
    assert f"LoRA reduces {parameters / 1e6:.0f} M parameters ●" in PAGE


def test_a_trial() -> None:
    config = planned("lora", "train.tokens=null", "train.steps=500", "train.validate_every=100")
    shape, gpus = PRESETS[config.model.architecture], planned_gpus(config.parallel)
    bases = 500 * bases_of_step(config)
    assert f"reads {bases / 1e6:.0f} Mb, {100 * bases / TRAINED:.1f} % of the genome" in PAGE
    assert f"{training_seconds(config, shape, gpus) / 3600:.1f} h ● with LoRA on eight GPUs" in PAGE  # type: ignore[operator]
