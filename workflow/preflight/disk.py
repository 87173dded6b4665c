"""Gate `disk_space`: what a stage writes against what is free where the run lies."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.artifacts import read_table
from workflow.config import Config
from workflow.gates import GateLog
from workflow.genome.files import find, is_gzip
from workflow.preflight.hardware import GIB, free_disk_gib
from workflow.preflight.memory import adapter_parameters

if TYPE_CHECKING:
    from workflow.striped_hyena.config import ModelConfig as Shape

#: Bytes of a parameter in a checkpoint: bfloat16 weights; and with them float32 weights and AdamW's two moments,
#: as files that the tools wrote have it. Gradients are not saved.
_WEIGHTS, _STATE = 2, 14
#: The same of the local engine: float32 weights, and the moments.
_LOCAL_WEIGHTS, _LOCAL_STATE = 4, 12
#: Best checkpoints that full training on nemo2 is told to keep, beside the last one.
_KEPT = 5
#: Bytes of a base: four float16 and the base itself; the four of the other direction; of the tools' own files,
#: 512 float32.
_PREDICTED, _REVERSE, _RAW = 4 * 2 + 1, 4 * 2, 512 * 4
#: A token file and a FASTA file with the same documents.
_TOKENS = 2
_GZIP_RATIO = 4


def disk_needs(config: Config, stage: str, shape: Shape | None) -> dict[str, float]:
    """Bytes that a stage writes, by what; what cannot be told beforehand, or without the model's shape, is left out."""
    if stage == "preprocess":
        return {"token files": bases * _TOKENS} if (bases := _genome_bases(config)) else {}
    if stage == "predict":
        return _prediction_needs(config)
    if shape is None:
        return {}
    if stage == "convert":
        return {"the converted checkpoint": shape.parameters * _converted_bytes(config)}
    if stage == "train":
        return {"checkpoints": _checkpoint_bytes(config, shape) * checkpoints_at_a_time(config)}
    return {}


def check_disk(config: Config, stage: str, shape: Shape | None, gates: GateLog) -> None:
    """Gate `disk_space`, for a stage whose needs can be told."""
    needs = disk_needs(config, stage, shape)
    if not needs:
        return
    folder = Path(config.runs_folder) / config.run_name
    free = free_disk_gib(folder)
    fits = sum(needs.values()) <= free * GIB
    gates.check(
        "disk_space",
        fits,
        # An estimate, and what is free, change from day to day: they are told where it matters.
        saw=f"room for {', '.join(needs)}" if fits else f"about {_told(needs)}",
        limit="what is free where the run lies" if fits else f"{free:.1f} GiB free in {folder.absolute()}",
        why="A full disk ends the stage, and may damage what it writes last: free some, or give another runs_folder.",
    )


def disk_lines(config: Config, stage: str, shape: Shape | None) -> list[str]:
    """What would be written, for a dry run."""
    needs = disk_needs(config, stage, shape)
    free = free_disk_gib(Path(config.runs_folder) / config.run_name)
    return [f"disk: about {_told(needs)}; {free:.1f} GiB are free"] if needs else []


def checkpoints_at_a_time(config: Config) -> int:
    """Checkpoints of a training that are on the disk together."""
    if config.backend.name == "local":
        return 2  # the new state is complete before the old one goes
    saved = math.ceil(config.train.steps / config.train.validate_every)
    if config.backend.name == "nemo2":
        return 1 + min(saved, _KEPT)
    return saved


def bases_to_score(config: Config) -> int | None:
    """Bases of the windows that are scored: from the published windows, else from the genome's file; or unknown."""
    windows = Path(config.runs_folder) / config.run_name / "prepare" / "windows" / f"{config.predict.windows}.parquet"
    if windows.exists():
        table = read_table(windows, ["split", "length"])
        return int(table.loc[table["split"] == config.predict.split, "length"].sum())
    genome = _genome_bases(config)
    return int(genome * config.split.fractions[config.predict.split]) if genome else None


def models_scored(config: Config) -> int:
    """The base model, the adapted one, or both."""
    return 1 if config.train.method in ("none", "scratch") else 2


def _prediction_needs(config: Config) -> dict[str, float]:
    bases = bases_to_score(config)
    if bases is None:
        return {}
    readings = 2 if config.predict.reverse_complement else 1
    stored = bases * (_PREDICTED + (readings - 1) * _REVERSE) * models_scored(config)
    needs: dict[str, float] = {"predictions": stored}
    if config.predict.shard is not None:
        needs = {"a shard of the predictions": stored / config.prediction_shards}
    elif config.prediction_shards > 1:
        # They are kept until what they are joined to is published.
        needs["the shards of these"] = stored
    if config.backend.name != "local":
        at_once = readings * bases * _RAW * (models_scored(config) if config.backend.keep_raw else 1)
        limit = math.inf if config.backend.keep_raw else config.backend.raw_gigabytes * 1e9
        needs["the tools' own files"] = min(at_once, limit)
    return needs


def _converted_bytes(config: Config) -> int:
    is_local_scratch = config.backend.name == "local" and config.train.method == "scratch"
    return _LOCAL_WEIGHTS if is_local_scratch else _WEIGHTS


def _checkpoint_bytes(config: Config, shape: Shape) -> float:
    adapters = adapter_parameters(shape, config.train.lora.rank, config.train.lora.targets)
    is_lora, backend = config.train.method == "lora", config.backend.name
    trained = adapters if is_lora else shape.parameters
    if backend == "local":
        return trained * (_LOCAL_STATE + _LOCAL_WEIGHTS)
    # nemo2 writes the frozen weights into each LoRA checkpoint, mbridge does not.
    frozen = shape.parameters * _WEIGHTS if is_lora and backend == "nemo2" else 0
    return trained * _STATE + frozen


def _genome_bases(config: Config) -> int | None:
    """About the bases of the genome's file, where it is here."""
    path = find(config.genome.fasta)
    if path is None:
        return None
    return path.stat().st_size * (_GZIP_RATIO if is_gzip(path) else 1)


def _told(needs: dict[str, float]) -> str:
    return ", ".join(f"{_size(size)} for {what}" for what, size in needs.items())


def _size(count: float) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 2**20:.1f} MiB"
