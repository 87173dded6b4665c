"""The stages: what each reads, what it depends on, and what makes its result another one."""

from __future__ import annotations

import glob
import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.config import Config
from workflow.genome.files import locate
from workflow.identity import lookup
from workflow.stages import (
    classify,
    convert,
    download,
    elements,
    embed,
    evaluate,
    experiment,
    infer,
    predict,
    prepare,
    preprocess,
    readings,
    train,
    variants,
)
from workflow.stages.context import StageContext

#: Stages that a later one reads when they are there and up to date, and does without when not.
OPTIONAL = ("infer", "variants", "elements", "experiment", "embed", "classify")


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes
    ----------
    name : str
    run : callable
        Fills `context.out`; returns the counts of its summary.
    sections : tuple of str
        What it reads of the configuration, as dotted keys.
    after : tuple of str
        Stages whose artefacts it reads.
    names : callable, optional
        What it reads from elsewhere by a name that stands for its content.
    forecast : callable, optional
        Lines on what it would do, for a dry run.
    files : callable, optional
        Files outside the run that it reads; of those that are downloaded, where they will be.
    decisive : callable, optional
        Its settings, by dotted key, as far as they decide what it makes; all of `sections` without it.
    version : int
        Counts up when its artefacts change their format.
    in_place : bool
        Whether it keeps its state in its folder and goes on from there, instead of building aside.
    tools : tuple of str
        Programs of NVIDIA's that it starts, whose further flags (`backend.extra`) are part of its settings.
    tells_paths : bool
        Whether its artefacts tell where its files lie, so that a file that was moved is another one to it.
    tidy : callable, optional
        Called with the run folder once the stage is published: deletes what was kept in case it is not.
    place : callable, optional
        Name of its folder in the run, where that is not its own name.
    make_shard : callable, optional
        Makes and publishes the one part of its work that the configuration asks for.
    """

    name: str
    run: Callable[[StageContext], dict[str, object]]
    sections: tuple[str, ...]
    after: tuple[str, ...] = ()
    files: Callable[[Config], list[Path]] | None = None
    names: Callable[[Config], list[str]] | None = None
    forecast: Callable[[Config], list[str]] | None = None
    decisive: Callable[[Config, dict[str, Any]], dict[str, Any]] | None = None
    version: int = 1
    in_place: bool = False
    tools: tuple[str, ...] = ()
    tells_paths: bool = False
    tidy: Callable[[Path], None] | None = None
    place: Callable[[Config], str] | None = None
    make_shard: Callable[[StageContext], None] | None = None

    def folder(self, config: Config) -> str:
        """Its folder in the run."""
        return self.name if self.place is None else self.place(config)

    def settings(self, config: Config, values: dict[str, Any]) -> dict[str, Any]:
        """What it reads of the configuration, by dotted key; `values` is the configuration as plain values."""
        told = {key: lookup(values, key) for key in self.sections}
        if self.decisive is not None:
            told = self.decisive(config, told)
        if config.backend.name == "local":
            return told
        extra = {tool: config.backend.extra[tool] for tool in self.tools if config.backend.extra.get(tool)}
        return told | {f"backend.extra.{tool}": flags for tool, flags in extra.items()}

    def tell_files(self, inputs: list[dict[str, Any]]) -> list[Any]:
        """What makes its files those they are: what they hold and, for `tells_paths`, where they lie."""
        return [[item.get("sha256"), item["path"]] if self.tells_paths else item.get("sha256") for item in inputs]


def _genome_files(config: Config) -> list[Path]:
    return [file.path for file in download.source_files(config.genome)]


def _genome_files_and_tables(config: Config) -> list[Path]:
    tables = (config.genome.sequence_table, config.split.table)
    return _genome_files(config) + [locate(path, "the configuration names it") for path in tables if path]


def _checkpoint_files(config: Config) -> list[Path]:
    checkpoint = convert.checkpoint(config)
    if checkpoint is None or convert.is_published(checkpoint):
        return []
    path = Path(checkpoint)
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else sorted(path.parent.glob(f"{glob.escape(path.name)}.part*"))


def _named_checkpoint(config: Config) -> list[str]:
    checkpoint = convert.checkpoint(config)
    if checkpoint is None:
        return [f"random weights of seed {config.seed}"]
    return [checkpoint] if convert.is_published(checkpoint) else []


def _named_files(*keys: str) -> Callable[[Config], list[Path]]:
    """The files that settings name, where they do."""

    def files(config: Config) -> list[Path]:
        named = {key: operator.attrgetter(key)(config) for key in keys}
        return [locate(path, f"{key} names it") for key, path in named.items() if path]

    return files


def _element_files(config: Config) -> list[Path]:
    source = config.elements.source
    if source in (None, "promoters"):
        return []
    return [locate(str(source), "elements.source names it; it is promoters, or a BED file")]


#: What decides how many samples make a step.
_PARALLEL = tuple(f"parallel.{key}" for key in ("nodes", "devices", "tensor", "pipeline", "context"))

PIPELINE = {
    stage.name: stage
    for stage in (
        Stage(
            "download",
            download.download,
            download.SECTIONS,
            files=_genome_files,
            forecast=download.forecast,
            tells_paths=True,
        ),
        Stage(
            "prepare",
            prepare.prepare,
            ("genome.name", "genome.sequence_names", "genome.unplaced_names", "split", "windows", "seed"),
            files=_genome_files_and_tables,
            forecast=prepare.forecast,
            version=3,
        ),
        Stage(
            "preprocess",
            preprocess.preprocess,
            ("genome.name", "genome.lineage", "genome.lineages", "mixture", "seed"),
            after=("prepare",),
            version=2,
        ),
        Stage(
            "convert",
            convert.convert,
            ("model.architecture", "model.tool_sizes", "backend.name"),
            files=_checkpoint_files,
            names=_named_checkpoint,
            tools=convert.TOOLS,
        ),
        Stage(
            "train",
            train.train,
            ("train", *_PARALLEL, "backend.name", "seed"),
            ("preprocess", "convert"),
            forecast=train.forecast,
            decisive=train.decisive,
            in_place=True,
            tools=("train_evo2",),
        ),
        Stage(
            "predict",
            predict.predict,
            ("predict", "windows.length", "backend.name"),
            ("prepare", "convert", "train"),
            files=readings.forgetting_files,
            decisive=predict.decisive,
            version=3,
            tools=("predict_evo2",),
            tidy=predict.remove_shards,
            make_shard=predict.predict_shard,
        ),
        Stage(
            "infer",
            infer.infer,
            ("infer", "predict.precision", "backend.name", "seed"),
            ("prepare", "convert", "train"),
            files=_named_files("infer.prompt_file", "infer.genes"),
            version=2,
            tools=("infer_evo2",),
        ),
        Stage(
            "variants",
            variants.variants,
            ("variants", "predict.precision", "backend.name"),
            ("prepare", "convert", "train"),
            files=_named_files("variants.table", "variants.fasta", "variants.scores"),
            tools=("predict_evo2",),
        ),
        Stage(
            "elements",
            elements.elements,
            ("elements", "predict.precision", "backend.name", "seed"),
            ("prepare", "convert", "train"),
            files=_element_files,
            tools=("predict_evo2",),
        ),
        Stage(
            "experiment",
            experiment.experiment,
            ("experiment", "predict.precision", "backend.name"),
            ("prepare", "convert", "train"),
            files=_named_files("experiment.table"),
            tools=("predict_evo2",),
        ),
        Stage(
            "embed",
            embed.embed,
            ("embed", "predict.precision", "backend.name", "seed"),
            ("prepare", "convert", "train"),
            files=_named_files("embed.input"),
            forecast=embed.forecast,
            decisive=embed.decisive,
            tools=("predict_evo2",),
            tidy=embed.remove_shards,
            make_shard=embed.embed_shard,
        ),
        Stage(
            "classify",
            classify.classify,
            ("classify", "backend.name", "seed", "evaluation.bootstrap_samples", "evaluation.confidence"),
            ("convert", "train"),
            files=classify.files,
            forecast=classify.forecast,
            decisive=classify.decisive,
            tidy=classify.remove_state,
            place=classify.place,
        ),
        Stage(
            "evaluate",
            evaluate.evaluate,
            ("evaluation", "seed"),
            ("prepare", "preprocess", "train", "predict", *OPTIONAL),
            version=2,
        ),
    )
}
