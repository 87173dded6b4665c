"""Commands of the second generation: the recipe evo2_megatron (Megatron Bridge)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from workflow.backends.base import Prompt
from workflow.backends.contracts import Command, Contract, Option
from workflow.backends.nvidia import settings
from workflow.backends.nvidia.settings import Collapse, Generation, Source
from workflow.config import Config
from workflow.errors import InputError

TRAIN, PREDICT, INFER = "train_evo2", "predict_evo2", "infer_evo2"
FROM_SAVANNA, FROM_NEMO2 = "evo2_convert_savanna_to_mbridge", "evo2_convert_nemo2_to_mbridge"
TO_VORTEX = "evo2_export_mbridge_to_vortex"

_TRAINING_RECIPES = {"bf16": "bf16-mixed", "fp8": "bf16-with-fp8-delayed-scaling-mixed"}
_SCORING_RECIPE = "bf16-mixed"
#: Megatron's modules by the names of the linear layers that an adapter sits on. `l1` and `l2` are one module.
_MODULES = {
    "projections": "dense_projection",
    "out_filter_dense": "dense",
    "Wqkv": "linear_qkv",
    "out_proj": "linear_proj",
    "l1": "linear_fc1",
    "l2": "linear_fc1",
    "l3": "linear_fc2",
}
_KEEP_ALL = -1
#: The engine adds a few positions to the prompt and what it generates, and FP8 wants a multiple of 16.
_SPARE_POSITIONS, _MULTIPLE = 8, 16
_ON_PATIENCE = (
    "One rank builds the index of the samples while the others wait. This keeps PyTorch's monitor quiet; the ten "
    "minutes of Megatron Bridge itself have no flag, which is why the index is better built beforehand."
)


@dataclass(frozen=True)
class MegatronBridge:
    """Commands of Megatron Bridge's Evo2 tools. Torchrun starts those that compute with the model.

    Attributes
    ----------
    contract : Contract
        What the tools of the version accept.
    """

    contract: Contract

    def refuse(self, config: Config, stage: str) -> None:
        """Raise InputError for settings of a stage that the tools would drop and that change its result."""
        settings.refuse_extra(config, self.contract)
        if stage == "train":
            settings.refuse_training(config)
            _tokenizer(config)
            if config.train.method == "lora":
                lora_modules(config.train.lora.targets)
        if stage in ("predict", "infer"):
            settings.refuse_scoring(config, stage)
        if stage == "infer":
            settings.sampling(config.infer)

    def notes(self, config: Config, stage: str) -> list[str]:
        """Settings of a stage that the tools follow in another way; a sentence each."""
        if stage == "train":
            return settings.training_notes(config)
        if stage == "infer" and config.infer.samples > 1:
            return [
                "infer_evo2 takes one seed a start: the first samples of all prompts share it, the second the next."
            ]
        return []

    def download(self, name: str) -> Command:
        """Fetch a checkpoint of NGC, such as `evo2/1b-8k-bf16:1.0`; its path is the last line that it prints."""
        return settings.download(name)

    def convert(self, config: Config, source: Source, out: Path) -> list[Command]:
        """Bring a checkpoint into Megatron Bridge's format; no command where it has it already.

        What was written has to be checked: on some local files the tool ends with 0 and leaves an empty folder
        (issue 1579). From NeMo2, `out` must not exist yet.
        """
        if source.kind == "mbridge":
            return []
        tool, origin = (
            (FROM_NEMO2, "--nemo2-ckpt-dir") if source.kind == "nemo2" else (FROM_SAVANNA, "--savanna-ckpt-path")
        )
        place = settings.hub_name(source.place) if source.kind == "hub" else source.place
        options: dict[str, Option] = {
            origin: place,
            "--mbridge-ckpt-dir": out,
            "--model-size": settings.model_size(config, self.contract, tool),
            "--tokenizer-path": _tokenizer(config),
            "--seq-length": config.model.context_length,
        }
        return [self._complete(Command(tool, options), config)]

    def preprocess(self, config: Config, settings_file: Path) -> Command:
        """Make token files as a YAML file says."""
        return self._complete(settings.preprocess(settings_file), config)

    def train(self, config: Config, base: Path | None, dataset: Path, out: Path) -> Command:
        """Train on the token files that a YAML file names, resuming from what `out` holds.

        The decay counts from the first step, warm-up included (Megatron's scheduler), so that `--decay-steps` is
        the number of all steps. `--dataset-dir` is accepted and not read: the prefixes in the file are absolute.
        """
        self.refuse(config, "train")
        environment, why = settings.training_environment(config, _ON_PATIENCE)
        why |= {
            "--decay-steps": "Counted from the first step, warm-up included: the decay ends with the training.",
            "--most-recent-k": "The newest are kept, whatever their loss: all are, so that the best one is among them.",
        }
        options = self._training_options(config, dataset, out) | {"--finetune-ckpt-dir": base}
        if config.train.method == "lora":
            options |= self._lora_options(config)
            why["--disable-tensorboard-logger"] = (
                "With it a LoRA training crashes ('Parameter' object has no attribute 'main_grad'); the losses are "
                "taken from the log."
            )
        if not config.train.activation_checkpointing:
            options["--no-activation-checkpointing"] = True
        command = Command(TRAIN, options, environment, why, processes=config.parallel.devices)
        return self._complete(command, config)

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

        Adapters are given alone: the tool finds the weights that they belong to in their `run_config.yaml`.
        Predictions are written batch by batch: written at the end, all of them are in memory until then.
        """
        options = self._scoring_options(config, adapter or checkpoint, fasta, out, longest) | {
            "--output-log-prob-seqs": collapse is not None,
            "--log-prob-collapse-option": collapse,
        }
        return self._prediction(config, options, adapter)

    def infer(
        self, config: Config, checkpoint: Path, adapter: Path | None, prompts: Sequence[Prompt], out: Path
    ) -> list[Generation]:
        """Continue prompts: one start for the first sample of all prompts, one for the second, and so on.

        A start takes one seed, that of its first prompt. The longest length is given, because the tool guesses it
        from "40b" or "7b" in the checkpoint's path.
        """
        self.refuse(config, "infer")
        return [
            self._generation(config, adapter or checkpoint, [(place, prompts[place]) for place in places], number, out)
            for number, places in enumerate(_without_repeats(prompts))
        ]

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
        """Write what a layer says of each base, behind a begin token; −1 is the last layer."""
        config = replace(config, predict=replace(config.predict, batch_tokens=config.embed.batch_tokens))
        options = self._scoring_options(config, adapter or checkpoint, fasta, out, longest) | {
            "--embedding-layer": layer
        }
        return self._prediction(config, options, adapter)

    def splice(self, config: Config, fasta: Path, gtf: Path, out: Path, *, stitched: bool = False) -> Command:
        """Cut the transcripts of an annotation out of a genome; `stitched` with promoters and pieces of introns."""
        return self._complete(settings.splice(fasta, gtf, out, stitched), config)

    def remove_optimizer(self, config: Config, checkpoint: Path, out: Path) -> Command:
        """Copy a checkpoint without the state of its optimizer."""
        options: dict[str, Option] = {"--src-ckpt-dir": checkpoint, "--dst-ckpt-dir": out}
        return self._complete(Command("evo2_remove_optimizer", options), config)

    def export(self, config: Config, checkpoint: Path, out: Path) -> Command:
        """Write a checkpoint, given as its `iter_NNNNNNN`, as a vortex `.pt`. It cannot be one of adapters.

        The file's configuration says `vocab_size: null`.
        """
        options: dict[str, Option] = {
            "--mbridge-ckpt-dir": checkpoint,
            "--output-path": out,
            "--model-size": settings.model_size(config, self.contract, TO_VORTEX),
        }
        return self._complete(Command(TO_VORTEX, options), config)

    def _complete(self, command: Command, config: Config) -> Command:
        return settings.complete(command, config, self.contract)

    def _training_options(self, config: Config, dataset: Path, out: Path) -> dict[str, Option]:
        """Flags of a training that do not depend on what it begins with."""
        train, parallel = config.train, config.parallel
        highest, lowest = settings.learning_rates(config)
        return {
            "--dataset-config": dataset,
            "--model-size": settings.model_size(config, self.contract, TRAIN),
            "--hf-tokenizer-model-path": _tokenizer(config),
            "--seq-length": train.context_length,
            "--tensor-model-parallel-size": parallel.tensor,
            "--pipeline-model-parallel-size": parallel.pipeline,
            "--context-parallel-size": parallel.context,
            "--micro-batch-size": train.batch_size,
            "--global-batch-size": settings.global_batch(config),
            "--mixed-precision-recipe": _TRAINING_RECIPES[train.precision],
            "--max-steps": train.steps,
            "--warmup-steps": train.warmup_steps,
            "--constant-steps": 0,
            "--decay-steps": train.steps,
            "--lr": highest,
            "--min-lr": lowest,
            "--wd": train.weight_decay,
            "--clip-grad": train.clip,
            "--seed": config.train.seed,
            "--eval-interval": settings.validation_interval(config),
            "--eval-iters": settings.validation_batches(config),
            "--log-interval": 1,
            "--result-dir": out,
            "--experiment-name": settings.EXPERIMENT,
            "--most-recent-k": _KEEP_ALL,
            "--enable-preemption": True,
        }

    def _lora_options(self, config: Config) -> dict[str, Option]:
        lora = config.train.lora
        return {
            "--lora-finetune": True,
            "--lora-dim": lora.rank,
            "--lora-alpha": lora.alpha,
            "--lora-dropout": lora.dropout,
            "--lora-target-modules": lora_modules(lora.targets),
            "--disable-tensorboard-logger": True,
        }

    def _scoring_options(
        self, config: Config, checkpoint: Path, fasta: Path, out: Path, longest: int
    ) -> dict[str, Option]:
        settings.refuse_scoring(config, "predict")
        return {
            "--fasta": fasta,
            "--ckpt-dir": checkpoint,
            "--output-dir": out,
            "--tensor-parallel-size": config.parallel.tensor,
            "--micro-batch-size": settings.micro_batch(config, longest),
            "--prepend-bos": True,
            "--write-interval": "batch",
            **_scoring_precision(config),
        }

    def _prediction(self, config: Config, options: dict[str, Option], adapter: Path | None) -> Command:
        why = {
            "--prepend-bos": "Without a begin token the first base of a sequence is not scored.",
            "--write-interval": "Written at the end, all predictions are kept in memory until then.",
        }
        if adapter:
            why["--ckpt-dir"] = "These are the adapters; the weights that they belong to are named in run_config.yaml."
        command = Command(PREDICT, options, why=why, processes=config.parallel.devices)
        return self._complete(command, config)

    def _generation(
        self, config: Config, checkpoint: Path, prompts: list[tuple[int, Prompt]], number: int, out: Path
    ) -> Generation:
        """The start for some prompts, each with its position among all."""
        output, file = out / f"generations_{number:05d}.jsonl", out / f"prompts_{number:05d}.jsonl"
        longest = max(len(prompt.text) for _, prompt in prompts) + config.infer.length + _SPARE_POSITIONS
        options: dict[str, Option] = {
            "--ckpt-dir": checkpoint,
            "--prompt-file": file,
            "--output-file": output,
            **settings.sampling(config.infer),
            "--seed": prompts[0][1].seed,
            "--return-log-probs": True,
            "--max-seq-length": -(-longest // _MULTIPLE) * _MULTIPLE,
            "--tensor-parallel-size": config.parallel.tensor,
            **_scoring_precision(config),
        }
        why = {"--max-seq-length": 'Left to itself the tool guesses it from "40b" or "7b" in the checkpoint\'s path.'}
        lines = [json.dumps({"id": str(place), "prompt": prompt.text}) for place, prompt in prompts]
        # Further ranks would only generate the same again.
        command = Command(INFER, options, why=why, processes=config.parallel.tensor)
        text = "".join(f"{line}\n" for line in lines)
        return Generation(
            self._complete(command, config), tuple(place for place, _ in prompts), output, files={file: text}
        )


def lora_modules(targets: Sequence[str]) -> tuple[str, ...]:
    """Megatron's modules for the linear layers that adapters are to sit on.

    Raises
    ------
    InputError
        A layer does not exist, or is half of a module.
    """
    if unknown := [target for target in targets if target not in _MODULES]:
        raise InputError(f"train.lora.targets: {', '.join(unknown)} is no layer: use some of {', '.join(_MODULES)}")
    if ("l1" in targets) != ("l2" in targets):
        raise InputError(
            "train.lora.targets: l1 and l2 are one layer in Megatron (linear_fc1): name both of them, or none"
        )
    return tuple(dict.fromkeys(module for layer, module in _MODULES.items() if layer in targets))


def _scoring_precision(config: Config) -> dict[str, Option]:
    """Weights that need FP8 need it in the projections alone."""
    return {
        "--mixed-precision-recipe": _SCORING_RECIPE,
        "--vortex-style-fp8": config.predict.precision == "fp8",
    }


def _tokenizer(config: Config) -> str:
    """The folder of the tokenizer. Its number of tokens is that of the model's vocabulary.

    Another one would leave embeddings of another shape, which the tools pass over when they load a checkpoint.

    Raises
    ------
    InputError
        None is given, or the one for a model that has no checkpoint.
    """
    scratch, given = config.train.method == "scratch", config.backend.tokenizer
    wanted = f"nucleotide_fast_tokenizer_{256 if scratch else 512}"
    if not given:
        raise InputError(
            f"backend.tokenizer is not set: give the folder {wanted} of the recipe evo2_megatron (in its folder "
            "tokenizers), which the tools of mbridge must be told"
        )
    if given.rstrip("/").endswith("_256") and not scratch:
        raise InputError(f"backend.tokenizer={given} has 256 tokens, the published models have 512: give {wanted}")
    return given


def _without_repeats(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Positions of prompts in groups: the first occurrence of every text, then the second ones, and so on."""
    groups: list[list[int]] = []
    seen: Counter[str] = Counter()
    for place, prompt in enumerate(prompts):
        number = seen[prompt.text]
        seen[prompt.text] += 1
        if number == len(groups):
            groups.append([])
        groups[number].append(place)
    return groups
