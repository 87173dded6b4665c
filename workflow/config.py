"""The schema of a run: one dataclass a section, checked when the configuration is read.

Each section has a group of YAML files in `configs/` or stands on its defaults here. An unknown key or a
wrong type is refused by Hydra; what only shows in the combination of values is checked in `__post_init__`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from workflow.errors import InputError

STAGES = ("prepare", "preprocess", "convert", "train", "predict", "infer", "evaluate")
SPLITS = ("train", "val", "test")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _require_positive(section: str, settings: object, *keys: str) -> None:
    for key in keys:
        value = getattr(settings, key)
        _require(value > 0, f"{section}.{key}={value} must be positive")


def _require_share(section: str, settings: object, *keys: str) -> None:
    for key in keys:
        value = getattr(settings, key)
        _require(0 <= value <= 1, f"{section}.{key}={value} must lie between 0 and 1")


def _require_name(key: str, name: str) -> None:
    _require(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None,
        f"{key}={name} names files: use letters, digits, '.', '_' and '-' only",
    )


def _require_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    _require(value in choices, f"{key}={value} is not a choice: use one of {', '.join(choices)}")


@dataclass
class GenomeConfig:
    """The genome to adapt to.

    Attributes
    ----------
    name : str
        Short name, part of the run's name.
    fasta, annotation : str
        FASTA and GFF3, plain or gz. Without an annotation the table of features is empty.
    organism, source : str
        Shown in the report; `source` says where the files come from, and is part of the message when one
        is missing.
    sequence_names : str, optional
        Regular expression with the named groups `group` (homolog group; several joined by `_` in a
        recombinant chromosome) and, where there are copies, `haplotype` and `subgenome`. Sequences of one
        group are never split between train and test.
    unplaced_names : str, optional
        Regular expression of unplaced scaffolds. They are left out: they are copies of unknown chromosomes.
    """

    name: str = MISSING
    fasta: str = MISSING
    annotation: str | None = None
    organism: str = ""
    source: str = ""
    sequence_names: str | None = None
    unplaced_names: str | None = None

    def __post_init__(self) -> None:
        if self.name != MISSING:
            _require_name("genome.name", self.name)


@dataclass
class SplitConfig:
    """How the genome is divided into train, val and test.

    Attributes
    ----------
    method : str
        `sequence`: whole sequences, those of a homolog group together. `block`: contiguous blocks with a
        purge gap; refused where names tell homologs. `auto`: sequence where every split gets half to twice
        its share, else block.
    fractions : dict
        Share of the bases that each split should get.
    block_length : int, optional
        Bases; by default 1/20 of the genome, at least 2 · `windows.min_length` and at most 100 kb.
    purge : int
        Bases left out at each border between blocks of different splits, but at most a quarter of a block.
    max_shared : float
        Blocks that share a larger part of their k-mers than this, or of 100 kb, on either strand, go to one
        split.
    """

    method: str = "auto"
    fractions: dict[str, float] = field(default_factory=lambda: {"train": 0.8, "val": 0.1, "test": 0.1})
    block_length: int | None = None
    purge: int = 1000
    max_shared: float = 0.02

    def __post_init__(self) -> None:
        _require_choice("split.method", self.method, ("auto", "sequence", "block"))
        _require(
            set(self.fractions) == set(SPLITS) and all(share > 0 for share in self.fractions.values()),
            f"split.fractions={self.fractions}: give a positive share to each of {', '.join(SPLITS)}",
        )
        _require(abs(sum(self.fractions.values()) - 1) < 1e-6, f"split.fractions={self.fractions} do not add up to 1")
        _require(self.block_length is None or self.block_length > 0, "split.block_length must be positive")
        _require(self.purge >= 0, f"split.purge={self.purge} must not be negative")


@dataclass
class WindowsConfig:
    """Windows that are scored.

    Attributes
    ----------
    length : int
        Bases; consecutive windows do not overlap.
    min_length : int
        Shorter stretches between N runs, and shorter remainders at their ends, are left out and counted.
        Never more than `length`.
    """

    length: int = 1024
    min_length: int = 128

    def __post_init__(self) -> None:
        _require(self.length > 0, f"windows.length={self.length} must be positive")
        _require(self.min_length > 0, f"windows.min_length={self.min_length} must be positive")
        self.min_length = min(self.min_length, self.length)


@dataclass
class ModelConfig:
    """The base model.

    Attributes
    ----------
    name : str
        Short name, part of the run's name.
    architecture : str
        A preset of `workflow.striped_hyena.PRESETS`.
    checkpoint : str, optional
        Published vortex-format `.pt` or our `.safetensors`. Not read by `train=scratch`.
    context_length : int
        Longest context that the model was trained on, in bases.
    source : str
        Where the checkpoint comes from; shown when it is missing.
    needs_fp8 : bool
        Whether the weights give near-random scores unless their projections are computed in FP8.
    """

    name: str = MISSING
    architecture: str = MISSING
    checkpoint: str | None = None
    context_length: int = MISSING
    source: str = ""
    needs_fp8: bool = False


@dataclass
class BackendConfig:
    """What runs the model.

    Attributes
    ----------
    name : str
        `local`: the embedded engine.
    device : str
        `auto` (a GPU where there is one), `cpu` or `cuda`.
    """

    name: str = MISSING
    device: str = "auto"

    def __post_init__(self) -> None:
        _require_choice("backend.device", self.device, ("auto", "cpu", "cuda"))


@dataclass
class LoraConfig:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685): W + alpha/rank · B·A on the named linear layers."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: list[str] = field(
        default_factory=lambda: ["projections", "out_filter_dense", "Wqkv", "out_proj", "l1", "l2", "l3"]
    )

    def __post_init__(self) -> None:
        _require_positive("train.lora", self, "rank", "alpha")
        _require_share("train.lora", self, "dropout")
        _require(bool(self.targets), "train.lora.targets is empty: no layer would be adapted")


@dataclass
class TrainConfig:
    """How the model is trained.

    Attributes
    ----------
    method : str
        `lora`, `full` (all weights, from the checkpoint), `scratch` (all weights, from random ones) or `none`
        (the base model is scored as it is).
    context_length : int
        Bases of a training sample.
    steps, batch_size, accumulate : int
        Optimizer steps; samples of one forward pass; forward passes of a step.
    learning_rate, min_learning_rate_share, warmup_steps : float, float, int
        Linear warm-up, then a cosine down to `min_learning_rate_share · learning_rate`.
    weight_decay, clip : float
        AdamW's decay (not on filters, norms and biases) and the largest gradient norm.
    precision : str
        `fp32` or `bf16`.
    validate_every : int
        Steps between validations; the state is saved with each.
    validation_samples : int
        Validation samples scored each time; all when there are fewer.
    early_stopping : int, optional
        Stop after this many validations without a new best.
    reverse_complement : float
        Probability that a sample is read from the other strand.
    repeat_weight : float
        Weight in the loss of soft-masked (lower-case) bases; Evo2 was trained with 0.1.
    activation_checkpointing : bool
        Recompute each block in the backward pass: half the memory for a third more time.
    """

    method: str = MISSING
    context_length: int = MISSING
    steps: int = MISSING
    batch_size: int = 8
    accumulate: int = 1
    learning_rate: float = MISSING
    min_learning_rate_share: float = 0.1
    warmup_steps: int = 20
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: str = "fp32"
    validate_every: int = 50
    validation_samples: int = 64
    early_stopping: int | None = None
    reverse_complement: float = 0.5
    repeat_weight: float = 0.1
    activation_checkpointing: bool = False
    lora: LoraConfig = field(default_factory=LoraConfig)

    def __post_init__(self) -> None:
        _require_choice("train.method", self.method, ("lora", "full", "scratch", "none"))
        _require_choice("train.precision", self.precision, ("fp32", "bf16"))
        counts = ("context_length", "steps", "batch_size", "accumulate", "validate_every", "validation_samples")
        _require_positive("train", self, *counts, "clip")
        _require_share("train", self, "reverse_complement", "repeat_weight", "min_learning_rate_share")
        _require(self.warmup_steps >= 0, f"train.warmup_steps={self.warmup_steps} must not be negative")
        _require(self.learning_rate >= 0, f"train.learning_rate={self.learning_rate} must not be negative")
        if self.early_stopping is not None:
            _require_positive("train", self, "early_stopping")


@dataclass
class PredictConfig:
    """Scoring of the test windows.

    Attributes
    ----------
    split : str
        Windows of which split are scored.
    batch_tokens : int
        Most bases of one forward pass; a window longer than this is a batch of its own.
    precision : str
        `fp32` or `bf16`.
    """

    split: str = "test"
    batch_tokens: int = 16384
    precision: str = "fp32"

    def __post_init__(self) -> None:
        _require_choice("predict.split", self.split, SPLITS)
        _require_choice("predict.precision", self.precision, ("fp32", "bf16"))
        _require_positive("predict", self, "batch_tokens")


@dataclass
class InferConfig:
    """Generation.

    Attributes
    ----------
    prompt_file : str, optional
        FASTA with one prompt a record.
    prompts : list of str
        Prompts as they are, used beside those of the file. When neither is given, the first
        `prompt_length` bases at `n_prompts` evenly spaced places of the test regions are used, and what
        follows in the genome is kept as the truth.
    samples : int
        Sequences generated for each prompt by each model.
    length : int
        Bases generated.
    temperature, top_k, top_p : float, int, float
        Sampling; `top_k=1` is greedy, `top_k=0` and `top_p=1` cut nothing.
    batch_size : int
        Sequences generated at a time.
    """

    prompt_file: str | None = None
    prompts: list[str] = field(default_factory=list)
    n_prompts: int = 6
    prompt_length: int = 256
    samples: int = 3
    length: int = 400
    temperature: float = 1.0
    top_k: int = 4
    top_p: float = 1.0
    batch_size: int = 32

    def __post_init__(self) -> None:
        _require(self.temperature > 0, "infer.temperature must be positive (top_k=1 is greedy)")
        _require(self.top_k >= 0 and 0 < self.top_p <= 1, "infer.top_k must be ≥ 0 and infer.top_p in (0, 1]")
        _require_positive("infer", self, "samples", "length", "prompt_length", "n_prompts", "batch_size")


@dataclass
class EvaluationConfig:
    """What the report computes.

    Attributes
    ----------
    bootstrap_samples : int
        Resamplings of the test windows for each interval.
    confidence : float
        Coverage of the intervals.
    markov_max_order : int
        The order of the Markov baseline is chosen on the val split among 0 … this.
    experiment : str, optional
        CSV, TSV or Parquet table of measured values.
    experiment_id, experiment_value : str
        Its columns: the sequence_id of a test window, and the measured value.
    heatmap_window : str, optional
        sequence_id of the window drawn base by base; by default the one with the largest change.
    heatmap_bases : int
        Bases drawn.
    """

    bootstrap_samples: int = 10_000
    confidence: float = 0.95
    markov_max_order: int = 10
    experiment: str | None = None
    experiment_id: str = "sequence_id"
    experiment_value: str = "value"
    heatmap_window: str | None = None
    heatmap_bases: int = 120

    def __post_init__(self) -> None:
        _require_positive("evaluation", self, "bootstrap_samples", "heatmap_bases")
        _require(0 < self.confidence < 1, "evaluation.confidence must lie between 0 and 1")
        _require(0 <= self.markov_max_order <= 12, "evaluation.markov_max_order must lie between 0 and 12")


@dataclass
class GatesConfig:
    """What happens when a gate sees a meaningless number coming: `stop` or `warn`."""

    checkpoint_precision: str = "stop"
    context_length: str = "stop"
    first_validation_loss: str = "stop"
    adapters_move: str = "stop"
    mass_outside_acgt: str = "stop"
    train_test_similarity: str = "stop"
    split_fractions: str = "warn"

    def __post_init__(self) -> None:
        for key, action in vars(self).items():
            _require_choice(f"gates.{key}", action, ("stop", "warn"))


@dataclass
class Config:
    """A whole run.

    Attributes
    ----------
    stage : str or list of str
        Stage names, or `all`.
    runs_folder, run_name : str
        The run lives in `runs_folder/run_name`.
    seed : int
        Of everything random.
    dry_run, force, debug : bool
        Show what would run; redo what is already there; show tracebacks.
    """

    genome: GenomeConfig = MISSING
    split: SplitConfig = field(default_factory=SplitConfig)
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    model: ModelConfig = MISSING
    backend: BackendConfig = MISSING
    train: TrainConfig = MISSING
    predict: PredictConfig = field(default_factory=PredictConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    gates: GatesConfig = field(default_factory=GatesConfig)
    stage: Any = "all"
    runs_folder: str = "runs"
    run_name: str = MISSING
    seed: int = 42
    dry_run: bool = False
    force: bool = False
    debug: bool = False

    def __post_init__(self) -> None:
        if self.run_name != MISSING:
            _require_name("run_name", self.run_name)
        _require(0 <= self.seed < 2**32, f"seed={self.seed} must lie between 0 and 2**32 − 1")
        asked = self.stage if isinstance(self.stage, list) else [self.stage]
        _require(bool(asked), f"stage=[] is empty: use one of {', '.join(STAGES)}, or all")
        for stage in asked:
            _require_choice("stage", stage, (*STAGES, "all"))

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages asked for, in the order in which they run."""
        asked = self.stage if isinstance(self.stage, list) else [self.stage]
        return STAGES if "all" in asked else tuple(stage for stage in STAGES if stage in asked)


def register_schema() -> None:
    """Make the schema known to Hydra under the name that `configs/config.yaml` starts from, and `${min:a,b}`."""
    OmegaConf.register_new_resolver("min", min, replace=True)
    ConfigStore.instance().store(name="schema", node=Config)
