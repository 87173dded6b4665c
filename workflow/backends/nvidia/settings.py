"""What the commands of both generations of NVIDIA's tools share: batches, environment, refusals, further flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import yaml

from workflow.backends.base import Prompt
from workflow.backends.contracts import Command, Contract, Flag, Option, contract_versions, load_contract
from workflow.config import Config, InferConfig
from workflow.errors import InputError
from workflow.genome.files import PROJECT_ROOT

SourceKind = Literal["hub", "savanna", "nemo2", "mbridge"]
Collapse = Literal["sum", "mean", "per_token"]

EXPERIMENT = "evo2"
HUB = "hf://"
NGC = "ngc://"

#: Weight of lower-case letters in the tools' loss. No flag changes it.
_REPEAT_WEIGHT = 0.1
#: Longer than any index takes to build; the tools give up after ten minutes.
_PATIENCE_SECONDS = 7200
_TRUE, _FALSE = ("true", "1", ""), ("false", "0")


@dataclass(frozen=True)
class Source:
    """A checkpoint to be brought into a toolchain's format.

    Attributes
    ----------
    kind : str
        `hub`: savanna files on Hugging Face; `savanna`: a local `.pt`; `nemo2`, `mbridge`: a folder.
    place : str or Path
        `hf://ORGANISATION/NAME`, or a path.
    """

    kind: SourceKind
    place: str | Path


@dataclass(frozen=True)
class Generation:
    """One start of `infer_evo2`.

    Attributes
    ----------
    command : Command
    prompts : tuple of int
        Positions of the prompts that it continues, in the order in which it writes them.
    output : Path
        What it writes.
    files : mapping
        Text by path of the files that have to be there before it starts.
    """

    command: Command
    prompts: tuple[int, ...]
    output: Path
    files: Mapping[Path, str] = field(default_factory=dict)


class Toolchain(Protocol):
    """Commands of one generation, for one version. Nothing is started, and no file is read or written.

    Every method raises InputError for what this generation cannot do.
    """

    @property
    def contract(self) -> Contract:
        """What the tools of the version accept."""
        ...

    def refuse(self, config: Config, stage: str) -> None:
        """Raise InputError for settings of a stage that the tools would drop and that change its result."""
        ...

    def notes(self, config: Config, stage: str) -> list[str]:
        """Settings of a stage that the tools follow in another way; a sentence each."""
        ...

    def download(self, name: str) -> Command:
        """Fetch a checkpoint of NGC, such as `evo2/1b-8k-bf16:1.0`; its path is the last line that it prints."""
        ...

    def convert(self, config: Config, source: Source, out: Path) -> list[Command]:
        """Bring a checkpoint into this toolchain's format; no command where it has it already."""
        ...

    def preprocess(self, config: Config, settings: Path) -> Command:
        """Make token files as a YAML file says."""
        ...

    def train(self, config: Config, base: Path | None, dataset: Path, out: Path) -> Command:
        """Train on the token files that a YAML file names, resuming from what `out` holds.

        Parameters
        ----------
        base : Path, optional
            Checkpoint to begin with; None for random weights.
        dataset : Path
            `training_data_config.yaml`.
        out : Path
            The results are in its folder `evo2`.
        """
        ...

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

        Parameters
        ----------
        checkpoint : Path
            All weights.
        adapter : Path, optional
            Checkpoint of a LoRA training on them.
        longest : int
            Bases of the longest sequence.
        collapse : str, optional
            Write log-probabilities of the observed bases instead of logits: their `sum`, their `mean`, or
            `per_token`.
        """
        ...

    def infer(
        self, config: Config, checkpoint: Path, adapter: Path | None, prompts: Sequence[Prompt], out: Path
    ) -> list[Generation]:
        """Continue prompts."""
        ...

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
        """Write what a layer says of each base, behind a begin token."""
        ...

    def splice(self, config: Config, fasta: Path, gtf: Path, out: Path, *, stitched: bool = False) -> Command:
        """Cut the transcripts of an annotation out of a genome; `stitched` with promoters and pieces of introns."""
        ...

    def remove_optimizer(self, config: Config, checkpoint: Path, out: Path) -> Command:
        """Copy a checkpoint without the state of its optimizer."""
        ...

    def export(self, config: Config, checkpoint: Path, out: Path) -> Command:
        """Write a checkpoint as a vortex `.pt`."""
        ...


def complete(command: Command, config: Config, contract: Contract) -> Command:
    """A command with the seed of Python's hashes and the user's own flags for its tool.

    The flags of `backend.extra` come last. One that replaces another is told in `why`.
    """
    options, why = dict(command.options), dict(command.why)
    for given, text in config.backend.extra.get(command.tool, {}).items():
        flag = contract.tool(command.tool).by_name.get(given)
        name = flag.name if flag else given
        before = options.pop(name, None)
        options[name] = _value(flag, text)
        if before is not None and before is not False and before != options[name]:
            why[name] = f"backend.extra asks for {text}; without it this would be {_shown(before)}."
    environment = {"PYTHONHASHSEED": str(config.seed), **command.environment}
    why["PYTHONHASHSEED"] = "Python salts its hashes at random unless told: with it every process orders sets alike."
    return replace(command, options=options, environment=environment, why=why)


def _value(flag: Flag | None, text: str) -> Option:
    """What a flag is given for the text in `backend.extra`; what does not fit is left to the contract to refuse."""
    if flag is None:
        return text
    if flag.is_switch and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    return text.split() if flag.nargs == "+" else text


def _shown(value: Option) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def refuse_extra(config: Config, contract: Contract) -> None:
    """Refuse flags for tools that this version does not have."""
    for tool in config.backend.extra:
        try:
            contract.tool(tool)
        except InputError as error:
            raise InputError(f"backend.extra: {error}") from None


def model_size(config: Config, contract: Contract, tool: str = "train_evo2") -> str:
    """The value of `--model-size`. Always to be given: the tools' defaults are another model.

    Raises
    ------
    InputError
        The toolchain does not have the model; the message says which it has.
    """
    size = config.model.tool_sizes.get(contract.toolchain)
    if size is None:
        choices = ", ".join(map(str, contract.tool(tool).by_name["--model-size"].choices))
        raise InputError(
            f"model={config.model.name}: backend={contract.toolchain} cannot run it (model.tool_sizes names no size); "
            f"use model={' or '.join(_models_of(contract.toolchain))} (--model-size of {contract}: {choices})"
        )
    return size


def _models_of(toolchain: str) -> list[str]:
    """The choices of `model=` that a toolchain has."""
    files = sorted((PROJECT_ROOT / "configs" / "model").glob("*.yaml"))
    settings = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}
    return [name for name, model in settings.items() if toolchain in model.get("tool_sizes", {})]


def versions_with(contract: Contract, tool: str, flag: str) -> str:
    """The versions of a toolchain whose tool has a flag, for messages."""
    versions = contract_versions(contract.toolchain)
    return ", ".join(name for name in versions if load_contract(contract.toolchain, name).has_flag(tool, flag))


def ranks(config: Config) -> int:
    """Processes that train together."""
    return config.parallel.nodes * config.parallel.devices


def global_batch(config: Config) -> int:
    """Samples of one optimizer step, over all GPUs."""
    return config.train.batch_size * config.train.accumulate * config.parallel.data_parallel


def validation_interval(config: Config) -> int:
    """Steps between validations. Above the number of steps the tools would never validate."""
    return min(config.train.validate_every, config.train.steps)


def validation_batches(config: Config) -> int:
    """Global batches of one validation, as the tools score whole ones."""
    return max(1, config.train.validation_samples // global_batch(config))


def micro_batch(config: Config, longest: int) -> int:
    """Sequences of one forward pass in prediction."""
    return max(1, config.predict.batch_tokens // longest)


def learning_rates(config: Config) -> tuple[float, float]:
    """The highest and the lowest learning rate of the schedule."""
    highest = config.train.learning_rate
    # Rounded, as it is read by people.
    return highest, float(f"{highest * config.train.min_learning_rate_share:.12g}")


def training_environment(config: Config, note_on_patience: str) -> tuple[dict[str, str], dict[str, str]]:
    """Environment variables of a training, and why each is set.

    One rank builds the index of the samples while the others wait at a barrier, and PyTorch ends a rank that
    has waited for ten minutes.

    Parameters
    ----------
    note_on_patience : str
        What the time-out does in this toolchain.
    """
    environment, why = {}, {}
    if ranks(config) > 1:
        environment["TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC"] = str(_PATIENCE_SECONDS)
        why["TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC"] = note_on_patience
        environment["TORCH_NCCL_ASYNC_ERROR_HANDLING"] = "1"
        why["TORCH_NCCL_ASYNC_ERROR_HANDLING"] = "When one rank fails the others end, where they would wait for ever."
    if config.parallel.tensor > 1:
        environment["CUDA_DEVICE_MAX_CONNECTIONS"] = "1"
        why["CUDA_DEVICE_MAX_CONNECTIONS"] = (
            "Megatron relies on the order of kernels to overlap tensor-parallel communication with computing."
        )
    return environment, why


def refuse_training(config: Config) -> None:
    """Refuse settings of training that neither generation can follow."""
    train = config.train
    _refuse_float32("train.precision", train.precision)
    if train.early_stopping is not None:
        raise InputError(
            f"train.early_stopping={train.early_stopping}: NVIDIA's tools train to the last step; leave it out "
            "(train.early_stopping=null): the best checkpoint is kept all the same"
        )
    if train.batch_ramp:
        raise InputError(
            f"train.batch_ramp={train.batch_ramp}: NVIDIA's tools take one global batch for all steps and have no flag "
            "for a ramp: use train.batch_ramp=0, or backend=local"
        )
    if train.repeat_weight != _REPEAT_WEIGHT:
        raise InputError(
            f"train.repeat_weight={train.repeat_weight}: NVIDIA's tools weigh lower-case bases with {_REPEAT_WEIGHT} "
            f"and have no flag for it: use train.repeat_weight={_REPEAT_WEIGHT}, or backend=local"
        )
    if train.warmup_steps >= train.steps:
        raise InputError(
            f"train.warmup_steps={train.warmup_steps} must be smaller than train.steps={train.steps}: "
            "the tools' schedule would never leave the warm-up"
        )


def refuse_scoring(config: Config, stage: str) -> None:
    """Refuse settings of prediction and generation that neither generation can follow.

    Results come shuffled from context parallelism (issue 1268), and not at all from pipelines (issue 815).
    """
    _refuse_float32("predict.precision", config.predict.precision)
    for axis in ("context", "pipeline"):
        size = getattr(config.parallel, axis)
        if size > 1:
            what = "returns its results out of order" if axis == "context" else "fails"
            raise InputError(
                f"parallel.{axis}={size}: {stage} by NVIDIA's tools {what} with {axis} parallelism; run "
                f"stage={stage} with parallel.{axis}=1, and parallel.tensor for a model that one GPU cannot hold"
            )


def _refuse_float32(key: str, precision: str) -> None:
    if precision == "fp32":
        raise InputError(f"{key}=fp32: NVIDIA's tools compute in bfloat16: use {key}=bf16, fp8, or backend=local")


def sampling(infer: InferConfig) -> dict[str, Option]:
    """Flags of the draws. In the tools 0 switches top-p off, which is 1 here.

    Raises
    ------
    InputError
        Both cuts are asked for, which Megatron refuses.
    """
    if infer.top_k > 0 and infer.top_p < 1:
        raise InputError(
            f"infer.top_k={infer.top_k} and infer.top_p={infer.top_p}: NVIDIA's tools take one of them; "
            "set infer.top_k=0 or infer.top_p=1"
        )
    return {
        "--max-new-tokens": infer.length,
        "--temperature": infer.temperature,
        "--top-k": infer.top_k,
        "--top-p": infer.top_p if infer.top_p < 1 else 0.0,
    }


def training_notes(config: Config) -> list[str]:
    """What both generations do in another way than the settings of training say."""
    train, notes = config.train, []
    if train.reverse_complement:
        notes.append(
            f"train.reverse_complement={train.reverse_complement} is not followed: NVIDIA's tools read the token "
            "files on the strand on which they are written."
        )
    scored = validation_batches(config) * global_batch(config)
    if scored != train.validation_samples:
        notes.append(
            f"A validation scores {scored} samples, not train.validation_samples={train.validation_samples}: NVIDIA's "
            f"tools score whole batches of {global_batch(config)}."
        )
    if late := train.steps % validation_interval(config):
        notes.append(
            f"The last {late} steps end without a checkpoint that was validated during training: "
            f"train.steps={train.steps} is no multiple of train.validate_every={train.validate_every}."
        )
    return notes


def download(name: str) -> Command:
    """`download_bionemo_data` for a checkpoint of NGC."""
    return Command("download_bionemo_data", {"artifact_name": name.removeprefix(NGC), "--source": "ngc"})


def preprocess(settings: Path) -> Command:
    """`preprocess_evo2` for a YAML file."""
    return Command("preprocess_evo2", {"--config": settings})


def splice(fasta: Path, gtf: Path, out: Path, stitched: bool) -> Command:
    """`splice_evo2`."""
    kind = "stitched" if stitched else "default"
    options: dict[str, Option] = {
        "--fasta-path": fasta,
        "--gtf-path": gtf,
        "--output-path": out,
        "--transcript-type": kind,
    }
    return Command("splice_evo2", options)


def hub_name(place: str | Path) -> str:
    """ORGANISATION/NAME of a place on Hugging Face.

    Raises
    ------
    InputError
        It is no such place.
    """
    name = str(place).removeprefix(HUB)
    if not str(place).startswith(HUB) or name.count("/") != 1 or not all(name.split("/")):
        raise InputError(f"model.checkpoint={place} is not a place on Hugging Face: write {HUB}ORGANISATION/NAME")
    return name
