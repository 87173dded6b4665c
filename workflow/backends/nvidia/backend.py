"""NVIDIA's tools as a backend: the NeMo2 container and its Megatron-Bridge successor."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from workflow.backends.base import ModelFiles, Prompt, SequenceSet, Workplace
from workflow.backends.contracts import Command, Contract
from workflow.backends.embedding import plan_embedding
from workflow.backends.nvidia import converting, training
from workflow.backends.nvidia.embedding import embed_in_parts
from workflow.backends.nvidia.generating import generate_all
from workflow.backends.nvidia.mbridge import MegatronBridge
from workflow.backends.nvidia.nemo2 import Nemo2
from workflow.backends.nvidia.running import ToolRunner
from workflow.backends.nvidia.scoring import PREDICTIONS, WINDOWS, score_in_parts
from workflow.backends.nvidia.settings import Toolchain
from workflow.backends.nvidia.toolchain import contract_for, find_toolchain, user_cache
from workflow.config import Config, LauncherConfig
from workflow.console import say
from workflow.dataset.nvidia import TRAINING_CONFIG
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.patching import is_applied
from workflow.preflight import check_context
from workflow.preflight.memory import work_of
from workflow.tracking import open_tracker

if TYPE_CHECKING:
    from workflow.striped_hyena.generation import Generated
    from workflow.striped_hyena.scoring import SequenceScore

#: Lets adapters train under full activation checkpointing.
_LORA_PATCH = "nemo2-lora-recompute"
RAW = "raw"
#: Stages that score sequences which they make themselves.
_TASKS = ("variants", "elements", "experiment")
#: A tag such as 2.7.1; neither the port of a registry nor a digest.
_VERSION_TAG = re.compile(r":(?P<version>\d+\.\d+(?:\.\d+)?)(?:-[\w.-]*)?$")


class NvidiaBackend:
    """`train_evo2`, `predict_evo2` and the others, as installed here or in a container.

    Raises
    ------
    InputError
        `backend.version` is not known, or not what is installed.
    """

    def __init__(self, config: Config, place: Workplace) -> None:
        self.place, backend = place, config.backend
        in_container = config.launcher.name == "docker"
        self.is_there = in_container
        if in_container:
            self.contract, remarks = _contract_of_image(config)
        else:
            installed = find_toolchain(toolchain=backend.name, cache=user_cache())
            self.is_there = installed is not None
            self.contract, remarks = contract_for(backend, installed)
        place.notes += [remark for remark in remarks if remark not in place.notes]
        self.tools = self._tools(backend.name, config.launcher)

    # ------------------------------------------------------------ the protocol

    def script(self, config: Config, stage: str, run: Path) -> list[str]:
        """Checked command lines of a stage, with the paths of the published run."""
        if self.is_there:
            _require_tokenizer(config)
        scores = stage in _TASKS and config.computes(stage)
        self._take_notes(config, "predict" if scores else stage)
        runner = ToolRunner(config, self.contract, Workplace((run / stage).absolute()))
        if stage == "convert":
            wanted = config.model.checkpoint if config.train.method != "scratch" else None
            return converting.script(self.tools, runner, config, wanted, run / stage) if wanted else []
        if stage == "train":
            return [runner.line(self._training(config, run / "convert", run / "preprocess", run / stage))]
        if stage == "predict":
            return self._prediction_script(config, runner, run)
        if stage == "infer":
            return self._generation_script(config, runner, run)
        if stage == "embed":
            return self._embedding_script(config, runner, run)
        return self._task_script(config, runner, run, stage) if scores else []

    def convert(self, config: Config, checkpoint: str | None, out: Path) -> dict[str, Any]:
        """Convert with the tools of this generation; nothing for `train=scratch`."""
        runner = self._runner(config, "convert")
        if checkpoint is None:
            return {}
        return converting.convert(self.tools, runner, config, checkpoint, out)

    def train(self, config: Config, base: Path, tokens: Path, out: Path, gates: GateLog) -> dict[str, Any]:
        """Run `train_evo2`, watched by the gates; goes on from its newest complete checkpoint."""
        runner = self._runner(config, "train")
        documents = training.Documents.of(config, tokens)
        median_length = check_context(config, gates, documents.context_lengths, "training documents")
        results = out.absolute() / training.RESULTS
        command = self._training(config, base, tokens, out)
        training.remove_index_leftovers(out)
        for name in training.put_aside_incomplete(results, config.backend.name):
            say(f"  WARNING a checkpoint was not written to its end and is put aside as {name}")
        goes_on = training.has_checkpoint(results, config.backend.name)
        if config.parallel.nodes * config.parallel.devices > 1 and not goes_on:
            self._build_index(config, command)
        log = runner.log(command.tool)
        try:
            with (
                open_tracker(config, out) as tracker,
                closing(training.TrainingWatch(config, results, gates, tracker)) as watch,
            ):
                if goes_on:
                    say("  an interrupted training goes on from its newest checkpoint; force=true begins anew")
                    watch.recall(log)
                runner.run(command, on_line=watch.on_line, on_tick=watch.on_tick)
                counts = training.collect(config, out, log, watch)
        except GateError:
            say(f"  what it left is kept in {training.put_aside_refused(results, log)}; the next start begins anew")
            raise
        covered = min(1.0, counts["bases_seen"] / documents.bases)
        return counts | {
            "train_bases": documents.bases,
            "share_of_train_bases_covered": covered,
            "median_sample_length": median_length,
        }

    def score(self, config: Config, model: ModelFiles, sequences: SequenceSet) -> Iterator[SequenceScore]:
        """Run `predict_evo2` on as many windows at a time as the disk holds the logits of."""
        runner = self._runner(config, "predict")
        weights, trained = self._weights(config, model)
        with TemporaryDirectory(dir=self.place.folder.absolute(), prefix=".adapter-") as place:
            adapter = trained and self._with_base(trained, weights, Path(place))

            def predict(fasta: Path, out: Path, longest: int) -> None:
                command = self.tools.predict(
                    config, weights, adapter, fasta.absolute(), out.absolute(), longest=longest
                )
                runner.run(command)

            yield from score_in_parts(
                sequences,
                _unused(self.place.folder / RAW / model.name),
                predict,
                raw_gigabytes=config.backend.raw_gigabytes,
                keep_raw=config.backend.keep_raw,
            )

    def embed(self, config: Config, model: ModelFiles, sequences: SequenceSet) -> Iterator[np.ndarray]:
        """Run `predict_evo2` once for each layer, on as many stretches at a time as the disk holds the states of."""
        runner, plan = self._runner(config, "embed"), plan_embedding(config)
        weights, trained = self._weights(config, model)
        with TemporaryDirectory(dir=self.place.folder.absolute(), prefix=".adapter-") as place:
            adapter = trained and self._with_base(trained, weights, Path(place))

            def predict(layer: int, fasta: Path, out: Path, longest: int) -> None:
                command = self.tools.embed(
                    config, weights, adapter, fasta.absolute(), out.absolute(), layer=layer, longest=longest
                )
                runner.run(command)

            yield from embed_in_parts(
                sequences,
                plan,
                self.place.folder / RAW / model.name,
                predict,
                raw_gigabytes=config.backend.raw_gigabytes,
            )

    def generate(self, config: Config, model: ModelFiles, prompts: Sequence[Prompt]) -> Iterator[Generated]:
        """Run `infer_evo2`; adapters, which it cannot read, are merged into the weights first."""
        runner = self._runner(config, "infer")
        weights, adapter = self._weights(config, model)
        folder = self.place.folder.absolute() / RAW / model.name
        with TemporaryDirectory(dir=self.place.folder.absolute(), prefix=".merged-") as place:
            if adapter is not None:
                weights = converting.merge(self.tools, runner, config, weights, adapter, Path(place))
            yield from generate_all(self.tools, runner, config, weights, prompts, folder)
        if not config.backend.keep_raw:
            shutil.rmtree(folder)

    # ------------------------------------------------------------ parts of it

    def _tools(self, name: str, launcher: LauncherConfig) -> Toolchain:
        in_container = launcher.name == "docker"
        if name == "mbridge":
            return MegatronBridge(self.contract)
        return Nemo2(self.contract, patched=launcher.patched if in_container else is_applied(_LORA_PATCH))

    def _runner(self, config: Config, stage: str) -> ToolRunner:
        """What runs the commands of a stage, once it is known that they can run."""
        if not self.is_there:
            raise InputError(
                f"backend={config.backend.name}: NVIDIA's Evo2 tools are not installed here; run inside their "
                "container (docker/README.md), or give launcher=docker"
            )
        if config.launcher.follows:
            raise InputError(
                f"launcher.node_rank={config.launcher.node_rank}: only the first machine runs the stages; on this one "
                "`python -m workflow.run` with the same settings follows it"
            )
        self.tools.refuse(config, stage)
        for note in self._take_notes(config, stage):
            say(f"  note: {note}")
        return ToolRunner(config, self.contract, self.place)

    def _take_notes(self, config: Config, stage: str) -> list[str]:
        """Note what the tools do otherwise than they are told. Returns what was not noted before."""
        new = [note for note in self.tools.notes(config, stage) if note not in self.place.notes]
        self.place.notes += new
        return new

    def _training(self, config: Config, base: Path, tokens: Path, out: Path) -> Command:
        start = None if config.train.method == "scratch" else (base / converting.CHECKPOINT).absolute()
        return self.tools.train(config, start, (tokens / TRAINING_CONFIG).absolute(), out.absolute() / training.RESULTS)

    def _build_index(self, config: Config, command: Command) -> None:
        """Let one rank build the index of the data, for which the others would wait until NCCL gives up.

        It has a log of its own: the losses in it are of another model.
        """
        say("  the index of the training data is built first, by one rank")
        runner = ToolRunner(config, self.contract, self.place, alone=True)
        with TemporaryDirectory(dir=self.place.folder.absolute(), prefix=training.INDEX) as folder:
            begun = training.index_command(command, config, Path(folder))
            try:
                runner.run(begun, on_line=training.stop_at_first_step, name=training.INDEX_LOG)
            except training.IndexIsBuiltError:
                say("  the index is built")

    def _weights(self, config: Config, model: ModelFiles) -> tuple[Path, Path | None]:
        """All weights of a model, and the adapters on them where it has some."""
        base = converting.loadable((model.base / converting.CHECKPOINT).absolute())
        if model.trained is None:
            return base, None
        trained = training.best_checkpoint(model.trained.absolute())
        return (base, trained) if config.train.method == "lora" else (trained, None)

    def _with_base(self, adapter: Path, base: Path, place: Path) -> Path:
        """Adapters whose weights the tools find, also where the run was moved since it trained them."""
        return converting.with_base(adapter, base, place) if self.contract.toolchain == "mbridge" else adapter

    def _prediction_script(self, config: Config, runner: ToolRunner, run: Path) -> list[str]:
        predict, folder = config.predict, (run / "predict" / RAW).absolute()
        windows = folder / "windows.fa"
        export = ["python", "-m", "workflow.windows.export", str(run), str(windows)]
        export += ["--windows", predict.windows, "--split", predict.split]
        lines = [_make(folder), shlex.join(export)]
        for name, (weights, adapter) in _placeholders(config, run).items():
            command = self.tools.predict(
                config, weights, adapter, windows, folder / name, longest=config.windows.length
            )
            lines += [*_finding_of(name, run), _unquoted(runner.line(command))]
        return lines

    def _task_script(self, config: Config, runner: ToolRunner, run: Path, stage: str) -> list[str]:
        """What is started on sequences that are known when the stage has read its table."""
        folder, longest = (run / stage / RAW).absolute(), work_of(config, stage).length
        lines = ["# sequences are made when this stage runs; it then starts:"]
        for name, (weights, adapter) in _placeholders(config, run).items():
            sequences = folder / name / "part_0001"
            command = self.tools.predict(
                config, weights, adapter, sequences / WINDOWS, sequences / PREDICTIONS, longest=longest
            )
            lines += [_commented(line) for line in [*_finding_of(name, run), _unquoted(runner.line(command))]]
        return lines

    def _embedding_script(self, config: Config, runner: ToolRunner, run: Path) -> list[str]:
        """What is started on stretches that are cut when the stage has read its sequences: once for each layer."""
        plan, models = plan_embedding(config), _placeholders(config, run)
        name = config.embed.model if config.embed.model in models else next(iter(models))
        part, (weights, adapter) = (run / "embed" / RAW / name / "part_0001").absolute(), models[name]
        lines = ["# sequences are cut into stretches when this stage runs; it then starts:"]
        lines += map(_commented, _finding_of(name, run))
        for layer in plan.layers:
            out = part / f"{PREDICTIONS}_{layer}"
            command = self.tools.embed(
                config, weights, adapter, part / WINDOWS, out, layer=layer, longest=plan.reader.chunk
            )
            lines.append(_commented(_unquoted(runner.line(command))))
        return lines

    def _generation_script(self, config: Config, runner: ToolRunner, run: Path) -> list[str]:
        """Of the prompts that the configuration gives; others are known when the genome is divided."""
        prompts = [Prompt(text, config.seed) for text in config.infer.prompts]
        if prompts:
            return self._generation_lines(config, runner, run, prompts)
        lines = self._generation_lines(config, runner, run, [Prompt("ACGT", config.seed)])
        return ["# prompts are cut from the test regions when this stage runs; such as ACGT:", *map(_commented, lines)]

    def _generation_lines(self, config: Config, runner: ToolRunner, run: Path, prompts: Sequence[Prompt]) -> list[str]:
        lines = []
        for name, (weights, adapter) in _placeholders(config, run).items():
            folder = (run / "infer" / RAW / name).absolute()
            lines += [_make(folder), *_finding_of(name, run)]
            if adapter is not None:
                merging, weights = converting.merging_script(self.tools, runner, config, weights, adapter, folder)
                lines += map(_unquoted, merging)
            for start in self.tools.infer(config, weights, None, prompts, folder):
                for path, text in start.files.items():
                    lines.append(f"printf %s {shlex.quote(text)} > {shlex.quote(str(path))}")
                lines.append(_unquoted(runner.line(start.command)))
        return lines


def _unused(folder: Path) -> Path:
    """The folder, or the first numbered one beside it where a stage keeps the raw files of an earlier start."""
    return next(p for n in count(1) if not (p := folder if n == 1 else folder.with_name(f"{folder.name}_{n}")).exists())


def _make(folder: Path) -> str:
    return shlex.join(["mkdir", "-p", str(folder)])


_ADAPTED = "$ADAPTED"


def _placeholders(config: Config, run: Path) -> dict[str, tuple[Path, Path | None]]:
    """Weights and adapters of each model of a run that is yet to be trained."""
    method, base = config.train.method, (run / "convert" / converting.CHECKPOINT).absolute()
    models: dict[str, tuple[Path, Path | None]] = {} if method == "scratch" else {"base": (base, None)}
    if method != "none":
        adapted = Path(_ADAPTED)
        models["adapted"] = (base, adapted) if method == "lora" else (adapted, None)
    return models


def _finding_of(model: str, run: Path) -> list[str]:
    """The line that finds the newest checkpoint of a training; which is the best, its validation tells."""
    if model != "adapted":
        return []
    place = (run / "train" / training.RESULTS / "evo2" / "checkpoints").absolute()
    return [
        "# the newest checkpoint; a run takes the best, which train/checkpoints.json names",
        f"ADAPTED=$(ls -td {shlex.quote(str(place))}/*/ | head -n 1)",
    ]


def _unquoted(line: str) -> str:
    """With the shell variable in double quotes, where single ones would keep it from being read."""
    return line.replace(f"'{_ADAPTED}'", f'"{_ADAPTED}"')


def _commented(lines: str) -> str:
    """A prompt file is several lines."""
    return "\n".join(line if line.startswith("#") else f"# {line}" for line in lines.split("\n"))


def _require_tokenizer(config: Config) -> None:
    """Refuse a tokenizer folder that is none; one inside a container cannot be seen from here."""
    folder = config.backend.tokenizer
    if folder and config.launcher.name != "docker" and not (Path(folder) / "tokenizer.json").is_file():
        raise InputError(
            f"backend.tokenizer={folder} holds no tokenizer.json: give the folder nucleotide_fast_tokenizer_512 of the "
            "recipe evo2_megatron"
        )


def _contract_of_image(config: Config) -> tuple[Contract, list[str]]:
    """What the tools in a container accept: by the version in its tag, where none is asked for."""
    tag = _VERSION_TAG.search(config.launcher.image)
    if tag is None or config.backend.version != "auto":
        return contract_for(config.backend, None)
    try:
        return contract_for(replace(config.backend, version=tag["version"]), None)
    except InputError as error:
        raise InputError(
            f"launcher.image={config.launcher.image}: {error}; or give the image of {config.backend.name}"
        ) from None
