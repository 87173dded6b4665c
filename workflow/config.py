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

STAGES = ("download", "prepare", "preprocess", "convert", "train", "predict", "infer", "evaluate")
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


def _require_pattern(key: str, pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise InputError(f"{key}={pattern} is not a regular expression: {error}") from None


def _require_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    _require(value in choices, f"{key}={value} is not a choice: use one of {', '.join(choices)}")


@dataclass
class GenomeConfig:
    """The genome to adapt to.

    Attributes
    ----------
    name : str
        Short name, part of the run's name.
    fasta : str
        FASTA, plain or gz; or a GenBank file, which brings its annotation. A path, or an https URL.
    annotation : str, optional
        GFF3 or GTF, plain or gz; a path or an https URL. Without one the table of features is empty.
    fasta_sha256, annotation_sha256 : str, optional
        SHA-256 of the files as they are published. What a URL gives must have it.
    fasta_bytes, annotation_bytes : int, optional
        Their sizes.
    organism, source : str
        Shown in the report; `source` says where the files come from, and is part of the message when one
        is missing.
    lineage : str, optional
        Taxonomy as Evo2's tags have it, `d__Eukaryota;p__Streptophyta;c__…;o__…;f__…;g__…;s__…`.
    lineages : dict
        Taxonomy of single sequences by their exact names, in place of `lineage`.
    sequence_names : str, optional
        Regular expression with the named groups `group` (homolog group; several joined by `_` in a
        recombinant chromosome) and, where there are copies, `haplotype` and `subgenome`. Sequences of one
        group are never split between train and test.
    unplaced_names : str, optional
        Regular expression of unplaced scaffolds: copies of unknown chromosomes.
    sequence_table : str, optional
        CSV, TSV or Parquet with the columns seqid, group, haplotype (and subgenome), in place of both
        expressions. An empty group marks an unplaced scaffold.
    """

    name: str = MISSING
    fasta: str = MISSING
    annotation: str | None = None
    fasta_sha256: str | None = None
    annotation_sha256: str | None = None
    fasta_bytes: int | None = None
    annotation_bytes: int | None = None
    organism: str = ""
    source: str = ""
    lineage: str | None = None
    lineages: dict[str, str] = field(default_factory=dict)
    sequence_names: str | None = None
    unplaced_names: str | None = None
    sequence_table: str | None = None

    def __post_init__(self) -> None:
        if self.name != MISSING:
            _require_name("genome.name", self.name)
        for key in ("sequence_names", "unplaced_names"):
            _require_pattern(f"genome.{key}", getattr(self, key))
        _require(
            self.sequence_names is None or "(?P<group>" in self.sequence_names,
            "genome.sequence_names has no named group (?P<group>…)",
        )


@dataclass
class SplitConfig:
    """How the genome is divided into train, val and test.

    Attributes
    ----------
    method : str
        `sequence`: whole sequences, those of a homolog group together. `block`: contiguous blocks with a
        purge gap; refused where names tell homologs. `auto`: sequence where every split gets half to twice
        its share, else block. `table`: as `split.table` says.
    fractions : dict
        Share of the bases that each split should get.
    train, val, test : list of str
        Homolog groups, or names of single sequences, that are to be in this split (method sequence).
    table : str, optional
        CSV, TSV or Parquet with the columns seqid, split and, where parts of sequences are meant, start and
        end (0-based half-open). Sequences that it does not name are left out.
    unplaced : str
        `exclude` unplaced scaffolds, or `join` those that are copies of one homolog group to it.
    audit : bool
        Compare sequences and windows by their k-mers. Without, names are trusted, nothing is known of
        leakage, and the gate `train_test_similarity` says so; blocks cannot be made.
    max_containment : float
        A val or test window of which a larger part of the k-mers lies in one stretch of train is left out;
        1 leaves none out.
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
    train: list[str] = field(default_factory=list)
    val: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    table: str | None = None
    unplaced: str = "exclude"
    audit: bool = True
    max_containment: float = 0.5

    def __post_init__(self) -> None:
        _require_choice("split.method", self.method, ("auto", "sequence", "block", "table"))
        _require_choice("split.unplaced", self.unplaced, ("exclude", "join"))
        _require_share("split", self, "max_shared", "max_containment")
        _require((self.method == "table") == (self.table is not None), "split.method=table and split.table go together")
        forced = [name for split in SPLITS for name in getattr(self, split)]
        twice = sorted({name for name in forced if forced.count(name) > 1})
        _require(not twice, f"split: {', '.join(twice)} is forced into more than one split")
        _require(
            set(self.fractions) == set(SPLITS) and all(share > 0 for share in self.fractions.values()),
            f"split.fractions={self.fractions}: give a positive share to each of {', '.join(SPLITS)}",
        )
        _require(abs(sum(self.fractions.values()) - 1) < 1e-6, f"split.fractions={self.fractions} do not add up to 1")
        _require(self.block_length is None or self.block_length > 0, "split.block_length must be positive")
        _require(self.purge >= 0, f"split.purge={self.purge} must not be negative")


WINDOW_KINDS = ("tiling", "genic", "transcript", "cds", "promoter", "background")


@dataclass
class WindowSetConfig:
    """One named set of windows.

    Attributes
    ----------
    kind : str
        `tiling`: consecutive windows. `genic`: genes with flanks, neighbours merged. `transcript`: spliced
        exons, with a promoter before and intron flanks stitched in. `cds`: coding sequences in frame.
        `promoter`: around transcription starts. `background`: outside of genes.
    length, stride : int, optional
        Bases of tiling and background windows, and between their starts; by default `windows.length`, and
        the length.
    upstream, downstream : int
        Bases added before and after, by strand: of genes and of transcription starts.
    max_length : int
        Longest genic window; a gene that is longer with its flanks goes without them, and is cut there.
    merge_distance : int
        Genic windows nearer than this are one while that is not longer than `max_length`.
    intron_flank : int
        Bases of each intron kept at either side of an exon (transcript).
    compatible : bool
        Genic extents as the earlier sugarcane workflow had them: always the plus strand, long genes uncut,
        merged from genes of either strand, named after the first three genes.
    splits : list of str
        Which splits are written.
    """

    kind: str = MISSING
    length: int | None = None
    stride: int | None = None
    upstream: int = 2000
    downstream: int = 1000
    max_length: int = 20_000
    merge_distance: int = 5000
    intron_flank: int = 0
    compatible: bool = False
    splits: list[str] = field(default_factory=lambda: list(SPLITS))

    def __post_init__(self) -> None:
        if self.kind != MISSING:
            _require_choice("windows.sets.*.kind", self.kind, WINDOW_KINDS)
        _require_positive("windows.sets.*", self, "max_length")
        for key in ("length", "stride"):
            value = getattr(self, key)
            _require(value is None or value > 0, f"windows.sets.*.{key}={value} must be positive")
        for key in ("upstream", "downstream", "merge_distance", "intron_flank"):
            _require(getattr(self, key) >= 0, f"windows.sets.*.{key}={getattr(self, key)} must not be negative")
        for name in self.splits:
            _require_choice("windows.sets.*.splits", name, SPLITS)


#: Bases of a k-mer: what is shorter cannot be compared with train.
_SHORTEST_WINDOW = 31


@dataclass
class WindowsConfig:
    """Named sets of windows: what is scored, and what a training mixture may hold.

    Attributes
    ----------
    length : int
        Bases of tiling windows.
    min_length : int
        Shorter stretches between N runs, and shorter remainders at their ends, are left out and counted.
        Never more than `length`.
    copies : str
        Near-identical windows of homologous sequences of one split: `weight` gives each 1/copies, `remove`
        keeps the first, `keep` gives all the weight 1.
    copy_containment : float
        Windows are near-identical when so large a part of the k-mers of one lies in the other's sequence.
    sets : dict
        Sets by name.
    """

    length: int = 1024
    min_length: int = 128
    copies: str = "weight"
    copy_containment: float = 0.5
    sets: dict[str, WindowSetConfig] = field(default_factory=lambda: {"tiling": WindowSetConfig("tiling")})

    def __post_init__(self) -> None:
        _require(
            self.length >= _SHORTEST_WINDOW,
            f"windows.length={self.length} must be at least {_SHORTEST_WINDOW}: shorter windows cannot be audited",
        )
        _require(self.min_length > 0, f"windows.min_length={self.min_length} must be positive")
        _require_choice("windows.copies", self.copies, ("weight", "remove", "keep"))
        _require_share("windows", self, "copy_containment")
        for name in self.sets:
            _require_name("windows.sets", name)
            _require(name != "regions", "windows.sets.regions: this name means the whole regions of a split")
        self.min_length = min(self.min_length, self.length)


@dataclass
class MixtureConfig:
    """What the model is trained on, as weights that Megatron's blending reads.

    Attributes
    ----------
    weights : dict
        Share of the training bases by name of a window set, or of `regions`: the whole regions of the train
        split. Shares are relative; one of 0 is left out.
    lineage_spacing : int
        Where `genome.lineage` is given, a tag begins every stretch of so many tokens of a document, itself
        included.
    lineage_dropout : float
        Share of the ranks of a tag that are replaced by None, drawn for each document.
    """

    weights: dict[str, float] = field(default_factory=lambda: {"regions": 1.0})
    lineage_spacing: int = 131_072
    lineage_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            _require(0 <= weight < 1e6, f"mixture.weights.{name}={weight} must lie between 0 and 1,000,000")
        _require(bool(self.shares), "mixture.weights is empty: there is nothing to train on")
        _require_positive("mixture", self, "lineage_spacing")
        _require_share("mixture", self, "lineage_dropout")

    @property
    def shares(self) -> dict[str, float]:
        """The weights of what is in the mixture."""
        return {name: weight for name, weight in self.weights.items() if weight > 0}


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
    windows : str
        Which set of windows is scored.
    split : str
        Those of which split.
    batch_tokens : int
        Most bases of one forward pass; a window longer than this is a batch of its own.
    precision : str
        `fp32` or `bf16`.
    """

    windows: str = "tiling"
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
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
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
        sets = ", ".join(self.windows.sets)
        _require(
            self.predict.windows in self.windows.sets,
            f"predict.windows={self.predict.windows} is no set of windows; there are {sets}",
        )
        for name in self.mixture.weights:
            _require(
                name == "regions" or name in self.windows.sets,
                f"mixture.weights.{name} is no set of windows; there are regions, {sets}",
            )
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
