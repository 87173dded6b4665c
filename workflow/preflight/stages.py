"""What concerns which stage, before it runs: its gates, and the lines of a dry run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.config import Config
from workflow.console import say
from workflow.gates import GateLog
from workflow.preflight.context import check_length
from workflow.preflight.data import DOCUMENTS, data_forecast, train_bases
from workflow.preflight.disk import bases_to_score, check_disk, disk_lines, models_scored
from workflow.preflight.hardware import Gpu, planned_gpus
from workflow.preflight.memory import check_memory, memory_lines
from workflow.preflight.parallel import check_parallel
from workflow.preflight.precision import check_precision
from workflow.preflight.shapes import shape_of
from workflow.preflight.time import scoring_seconds, time_line, training_seconds

if TYPE_CHECKING:
    from workflow.striped_hyena.config import ModelConfig as Shape


def preflight(config: Config, stage: str) -> GateLog:
    """The gate log of a stage, with the gates that can be told beforehand.

    Raises
    ------
    GateError
        One fired and its action is `stop`.
    InputError
        A setting that no override makes possible, or a name that does not exist.
    """
    gates = GateLog(asdict(config.gates))
    lengths = {
        "train": config.train.context_length,
        "predict": config.windows.length,
        "variants": config.variants.window,
    }
    if config.computes(stage) and stage in lengths:
        check_length(config, gates, lengths[stage], f"asked for in {stage}")
    shape = None
    if _needs_model(config, stage):
        gpus, shape = gpus_of(config), shape_of(config.model)
        check_precision(config, stage, gpus, gates)
        if shape is None:
            say(f"  WARNING PyTorch is not installed here: sizes, memory and disk of {stage} are not checked")
        elif config.computes(stage):
            check_parallel(config, stage, shape, gpus, gates)
            check_memory(config, stage, shape, gpus, gates)
    check_disk(config, stage, shape, gates)
    return gates


def forecast(config: Config, stage: str) -> list[str]:
    """What a stage would need, for a dry run.

    Raises
    ------
    InputError
        A name that does not exist.
    """
    shape = shape_of(config.model) if _needs_model(config, stage) else None
    lines: list[str] = []
    if shape is not None and config.computes(stage):
        gpus = gpus_of(config)
        lines += memory_lines(config, stage, shape, gpus)
        if stage == "train":
            seconds = training_seconds(config, shape, gpus)
            lines += [time_line(config, config.train.precision, gpus, seconds), *_data_lines(config)]
        if stage == "predict" and (bases := bases_to_score(config)):
            lines.append(_scoring_line(config, shape, gpus, bases))
    return lines + disk_lines(config, stage, shape)


def _needs_model(config: Config, stage: str) -> bool:
    return stage == "convert" or config.computes(stage)


def gpus_of(config: Config) -> list[Gpu]:
    """The GPUs of one machine that the backend uses; none on the CPU."""
    if config.backend.name != "local":
        return planned_gpus(config.parallel)
    return [] if config.backend.device == "cpu" else planned_gpus(config.parallel)[: config.parallel.devices]


def _scoring_line(config: Config, shape: Shape, gpus: list[Gpu], bases: int) -> str:
    readings = 2 if config.predict.reverse_complement else 1
    seconds = scoring_seconds(config, shape, gpus, bases * readings * models_scored(config))
    return time_line(config, config.predict.precision, gpus, seconds)


def _data_lines(config: Config) -> list[str]:
    """Empty as long as the token files are not there."""
    tokens = Path(config.runs_folder) / config.run_name / "preprocess"
    return data_forecast(config, train_bases(tokens)) if (tokens / DOCUMENTS).exists() else []
