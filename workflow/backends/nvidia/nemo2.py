"""Commands of the first generation: the NGC containers bionemo-framework up to 2.7.1 (NeMo 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow.backends.base import Prompt
from workflow.backends.contracts import Command, Contract, Option
from workflow.backends.nvidia import settings
from workflow.backends.nvidia.settings import Collapse, Generation, Source
from workflow.config import Config
from workflow.errors import InputError

TRAIN, PREDICT, INFER, CONVERT = "train_evo2", "predict_evo2", "infer_evo2", "evo2_convert_to_nemo2"

#: The adapters that `predict_evo2` builds, whatever the checkpoint holds: no version of it has flags for them.
_LORA_SIZE = 32
_LORA_LAYERS = "linear_qkv, linear_proj, linear_fc1, linear_fc2"
#: Linux takes no longer single argument (MAX_ARG_STRLEN).
_LONGEST_ARGUMENT = 131_071
#: Kept besides the last one. The ranking lags by one validation, so that the best one is among them.
_CHECKPOINTS_KEPT = 5
_MERGE = "merge them with python -m workflow.checkpoint merge, and convert the result"
_SELECTIVE = "--selective-activation-checkpointing"
_ON_SELECTIVE = (
    "With everything recomputed the adapters get no gradient (issue 1136); python -m workflow.patches apply mends it, "
    "and then more memory is saved."
)
_ON_PATIENCE = (
    "One rank builds the index of the samples while the others wait: NeMo takes this as the time-out of its process "
    "group, which else is ten minutes."
)


@dataclass(frozen=True)
class Nemo2:
    """Commands of NeMo 2's Evo2 tools.

    Attributes
    ----------
    contract : Contract
        What the tools of the version accept.
    patched : bool
        Whether the installed NeMo trains adapters under full activation checkpointing, which it does not as it
        comes (issue 1136).
    """

    contract: Contract
    patched: bool = False

    def refuse(self, config: Config, stage: str) -> None:
        """Raise InputError for settings of a stage that the tools would drop and that change its result."""
        settings.refuse_extra(config, self.contract)
        if stage == "train":
            settings.refuse_training(config)
            if config.train.method == "lora":
                self._refuse_lora(config)
        if stage in ("predict", "infer"):
            settings.refuse_scoring(config, stage)
        if stage == "predict" and config.train.method == "lora":
            self._refuse_adapters_in_prediction()
        if stage == "infer":
            settings.sampling(config.infer)

    def notes(self, config: Config, stage: str) -> list[str]:
        """Settings of a stage that the tools follow in another way; a sentence each."""
        lora = config.train.method == "lora"
        if stage == "train":
            return settings.training_notes(config) + (self._lora_notes(config) if lora else [])
        if stage == "infer" and lora:
            return [f"infer_evo2 of {self.contract} reads no adapters: to generate, they are merged into the weights."]
        return self._prediction_notes(config) if stage == "predict" else []

    def download(self, name: str) -> Command:
        """Fetch a checkpoint of NGC, such as `evo2/1b-8k-bf16:1.0`; its path is the last line that it prints."""
        return settings.download(name)

    def convert(self, config: Config, source: Source, out: Path) -> list[Command]:
        """Bring a checkpoint into NeMo's format; no command where it has it already.

        A local savanna file is given as `hf://./FILE`, from its own folder: given as a path it goes to another
        reader, which fails with "Weights only load failed" from PyTorch 2.6 on (issues 940 and 1148).
        """
        if source.kind == "nemo2":
            return []
        if source.kind == "mbridge":
            raise InputError(
                f"model.checkpoint={source.place} is an MBridge checkpoint, which backend=nemo2 cannot read: "
                "use backend=mbridge, or the savanna or NeMo2 checkpoint that it was made from"
            )
        size = settings.model_size(config, self.contract, CONVERT)
        options: dict[str, Option] = {"--model-size": size, "--output-dir": out.absolute()}
        if source.kind == "hub":
            command = Command(CONVERT, {"--model-path": _checked_hub(source.place), **options})
        else:
            path = Path(source.place).absolute()
            why = {
                "--model-path": "A plain path would be read with weights_only, which fails on such a file (issue 940)."
            }
            command = Command(
                CONVERT, {"--model-path": f"{settings.HUB}./{path.name}", **options}, why=why, folder=path.parent
            )
        return [self._complete(command, config)]

    def preprocess(self, config: Config, settings_file: Path) -> Command:
        """Make token files as a YAML file says."""
        return self._complete(settings.preprocess(settings_file), config)

    def train(self, config: Config, base: Path | None, dataset: Path, out: Path) -> Command:
        """Train on the token files that a YAML file names, resuming from what `out` holds.

        `--model-size` is always given, as the default is a 7b. The whole schedule is warm-up and cosine: the
        default of 80,000 constant steps would make it end before it begins.
        """
        self.refuse(config, "train")
        lora = config.train.method == "lora"
        environment, why = settings.training_environment(config, _ON_PATIENCE)
        why["--save-top-k"] = (
            "A checkpoint is ranked by the validation before its own: enough are kept for the best to be there."
        )
        options = self._training_options(config, dataset, out) | {
            "--save-top-k": _CHECKPOINTS_KEPT,
            "--ckpt-dir": base,
        }
        if lora:
            options |= self._lora_options(config)
        options |= dict.fromkeys(self._activation_checkpointing(config), True)
        if _SELECTIVE in options:
            why[_SELECTIVE] = _ON_SELECTIVE
        return self._complete(Command(TRAIN, options, environment, why), config)

    def predict(
        self,
        config: Config,
        checkpoint: Path,
        adapter: Path | None,
        fasta: Path,
        out: Path,
        *,
        longest: int,
        collapse: Collapse | None = None,
    ) -> Command:
        """Score sequences, each behind a begin token.

        Predictions are written batch by batch: written at the end, all of them are in memory until then.
        """
        settings.refuse_scoring(config, "predict")
        if adapter:
            self._refuse_adapters_in_prediction()
        parallel, fp8 = config.parallel, config.predict.precision == "fp8"
        newer = self.contract.has_flag(PREDICT, "--micro-batch-size")
        options: dict[str, Option] = {
            "--fasta": fasta,
            "--ckpt-dir": checkpoint,
            "--lora-checkpoint-path": adapter,
            "--output-dir": out,
            "--model-size": settings.model_size(config, self.contract, PREDICT),
            "--num-nodes": parallel.nodes if newer else None,
            "--devices": parallel.devices if newer else None,
            "--tensor-parallel-size": parallel.tensor,
            "--micro-batch-size" if newer else "--batch-size": settings.micro_batch(config, longest),
            "--prepend-bos": True,
            "--write-interval": "batch" if self._writes_batches else None,
            "--fp8": fp8,
            "--output-log-prob-seqs": collapse is not None,
            "--log-prob-collapse-option": collapse,
        }
        why = {"--prepend-bos": "Without a begin token the first base of a sequence is not scored."}
        if self._writes_batches:
            why["--write-interval"] = "Written at the end, all predictions are kept in memory until then."
        if fp8:
            why["--fp8"] = "Alone, without --full-fp8, it computes the projections in FP8, as the FP8 models want it."
        return self._complete(Command(PREDICT, _given(options), why=why), config)

    def infer(
        self, config: Config, checkpoint: Path, adapter: Path | None, prompts: Sequence[Prompt], out: Path
    ) -> list[Generation]:
        """Continue prompts: one start each, as `infer_evo2` takes one prompt.

        FP8 is left out where it is not asked for: `--vortex-style-fp8` of 2.6.3 takes every text for true.
        """
        self.refuse(config, "infer")
        if adapter:
            raise InputError(f"{adapter} holds adapters, which infer_evo2 of {self.contract} cannot read: {_MERGE}")
        fp8 = "--fp8" if self.contract.has_flag(INFER, "--fp8") else "--vortex-style-fp8"
        generations = []
        for number, prompt in enumerate(prompts):
            if len(prompt.text) > _LONGEST_ARGUMENT:
                raise InputError(
                    f"prompt {number + 1} has {len(prompt.text)} letters: infer_evo2 of {self.contract} is given it on "
                    f"the command line, which takes {_LONGEST_ARGUMENT}; use backend=mbridge or a shorter prompt"
                )
            output = out / f"generation_{number:05d}.txt"
            options: dict[str, Option] = {
                "--prompt": prompt.text,
                "--ckpt-dir": checkpoint,
                "--output-file": output,
                **settings.sampling(config.infer),
                "--seed": prompt.seed,
                "--tensor-parallel-size": config.parallel.tensor,
                fp8: config.predict.precision == "fp8",
            }
            command = self._complete(Command(INFER, _given(options)), config)
            generations.append(Generation(command, (number,), output))
        return generations

    def embed(
        self,
        config: Config,
        checkpoint: Path,
        adapter: Path | None,
        fasta: Path,
        out: Path,
        *,
        layer: int,
        longest: int,
    ) -> Command:
        """Raise InputError: no version writes embeddings."""
        raise InputError(f"predict_evo2 of {self.contract} writes no embeddings: use backend=mbridge")

    def splice(self, config: Config, fasta: Path, gtf: Path, out: Path, *, stitched: bool = False) -> Command:
        """Cut the transcripts of an annotation out of a genome; `stitched` with promoters and pieces of introns."""
        return self._complete(settings.splice(fasta, gtf, out, stitched), config)

    def remove_optimizer(self, config: Config, checkpoint: Path, out: Path) -> Command:
        """Copy a checkpoint without the state of its optimizer.

        The program of this name up to 2.7.1 is for Mamba models alone; there the converter does it for Evo2.
        """
        options: dict[str, Option] = {"--model-path": checkpoint, "--output-dir": out}
        tool = "evo2_remove_optimizer"
        if tool in self.contract.tools:
            options["--model-type"] = "hyena"
        else:
            tool = CONVERT
            options |= {"--model-size": settings.model_size(config, self.contract, tool), "--strip-optimizer": True}
        return self._complete(Command(tool, options), config)

    def export(self, config: Config, checkpoint: Path, out: Path) -> Command:
        """Raise InputError: no version writes vortex files."""
        raise InputError(
            f"{self.contract} has no tool that writes vortex files: use python -m workflow.checkpoint convert "
            f"{checkpoint}"
        )

    @property
    def _writes_batches(self) -> bool:
        return self.contract.has_flag(PREDICT, "--write-interval")

    def _complete(self, command: Command, config: Config) -> Command:
        return settings.complete(command, config, self.contract)

    def _training_options(self, config: Config, dataset: Path, out: Path) -> dict[str, Option]:
        """Flags of a training that do not depend on what it begins with."""
        train, parallel = config.train, config.parallel
        highest, lowest = settings.learning_rates(config)
        return {
            "--dataset-config": dataset,
            "--dataset-dir": dataset.parent,
            "--model-size": settings.model_size(config, self.contract, TRAIN),
            "--seq-length": train.context_length,
            "--num-nodes": parallel.nodes,
            "--devices": parallel.devices,
            "--tensor-parallel-size": parallel.tensor,
            "--pipeline-model-parallel-size": parallel.pipeline,
            "--context-parallel-size": parallel.context,
            "--sequence-parallel": parallel.tensor > 1,
            "--micro-batch-size": train.batch_size,
            "--global-batch-size": settings.global_batch(config),
            "--fp8": train.precision == "fp8",
            "--max-steps": train.steps,
            "--warmup-steps": train.warmup_steps,
            "--constant-steps": 0,
            "--lr": highest,
            "--min-lr": lowest,
            "--wd": train.weight_decay,
            "--clip-grad": train.clip,
            "--seed": config.train.seed,
            "--val-check-interval": settings.validation_interval(config),
            "--limit-val-batches": settings.validation_batches(config),
            "--log-every-n-steps": 1,
            "--create-tensorboard-logger": True,
            "--result-dir": out,
            "--experiment-name": settings.EXPERIMENT,
            "--enable-preemption": True,
        }

    def _activation_checkpointing(self, config: Config) -> tuple[str, ...]:
        """The flag for it; none for the tools' default, which recomputes everything."""
        if not config.train.activation_checkpointing:
            return ("--no-activation-checkpointing",)
        return (_SELECTIVE,) if config.train.method == "lora" and not self.patched else ()

    def _lora_options(self, config: Config) -> dict[str, Option]:
        options: dict[str, Option] = {"--lora-finetune": True}
        if self.contract.has_flag(TRAIN, "--lora-dim"):
            options |= {"--lora-dim": config.train.lora.rank, "--lora-alpha": config.train.lora.alpha}
        return options

    def _refuse_lora(self, config: Config) -> None:
        if not self.contract.has_flag(TRAIN, "--lora-finetune"):
            have_it = settings.versions_with(self.contract, TRAIN, "--lora-finetune")
            raise InputError(
                f"train=lora: train_evo2 of {self.contract} has no adapters ({have_it} have them): "
                "use a newer container, or train=full"
            )
        lora = config.train.lora
        if (lora.rank, lora.alpha) != (_LORA_SIZE, _LORA_SIZE):
            raise InputError(
                f"train.lora.rank={lora.rank} and train.lora.alpha={lora.alpha}: predict_evo2 of nemo2 reads every "
                f"adapter as one of {_LORA_SIZE} and {_LORA_SIZE}; set both to {_LORA_SIZE}, or use backend=mbridge"
            )

    def _refuse_adapters_in_prediction(self) -> None:
        if not self.contract.has_flag(PREDICT, "--lora-checkpoint-path"):
            have_it = settings.versions_with(self.contract, PREDICT, "--lora-checkpoint-path")
            raise InputError(
                f"train=lora: predict_evo2 of {self.contract} cannot read adapters ({have_it} can): "
                f"use a newer container, or {_MERGE}"
            )

    def _lora_notes(self, config: Config) -> list[str]:
        asked = ",".join(config.train.lora.targets)
        return [
            f"train.lora.targets={asked} is not followed: nemo2 always adapts {_LORA_LAYERS}, and nothing in the "
            "mixers of hyena layers.",
            f"train.lora.dropout={config.train.lora.dropout} is not followed: nemo2 has its own and no flag for it.",
        ]

    def _prediction_notes(self, config: Config) -> list[str]:
        notes = []
        if not self._writes_batches:
            notes.append(
                f"predict_evo2 of {self.contract} keeps its predictions in memory, 2 kB a base, until it ends: "
                f"backend.raw_gigabytes={config.backend.raw_gigabytes:g} must fit there."
            )
        if not self.contract.has_flag(PREDICT, "--devices") and settings.ranks(config) > config.parallel.tensor:
            notes.append(
                f"predict_evo2 of {self.contract} uses {config.parallel.tensor} of {settings.ranks(config)} GPUs: it "
                "takes as many as parallel.tensor."
            )
        return notes


def _given(options: dict[str, Option]) -> dict[str, Option]:
    """Without the options that this version or this call does not have."""
    return {name: value for name, value in options.items() if value is not None and value is not False}


def _checked_hub(place: str | Path) -> str:
    """A place on Hugging Face that the converter does not mangle: it strips letters where it means a prefix."""
    name = settings.hub_name(place)
    if name.startswith(("h", "f")):
        raise InputError(
            f"model.checkpoint={place}: the converter of nemo2 cuts leading letters h and f off an organisation's "
            "name; download the file and give its path, or use backend=mbridge"
        )
    return str(place)
