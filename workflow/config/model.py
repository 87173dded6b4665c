"""The base model, and how it is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from omegaconf import MISSING

from workflow.config.backend import PRECISIONS
from workflow.config.checks import require, require_choice, require_positive, require_share
from workflow.config.steps import StepPlan

#: NCBI's numbers of the genetic codes (https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi).
GENETIC_CODES = (*range(1, 7), *range(9, 17), *range(21, 34))


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
        File or folder in any format that `python -m workflow.checkpoint inspect` knows; or, for NVIDIA's
        tools, `hf://ORGANISATION/NAME` (savanna files on Hugging Face) or `ngc://NAME:VERSION`. Not read by
        `train=scratch`.
    checkpoints : dict
        The published checkpoint for each backend: what `checkpoint` is unless it is set.
    context_length : int
        Longest context that the model was trained on, in bases.
    source : str
        Where the checkpoint comes from; shown when it is missing.
    batch_size : int
        What `train.batch_size` is unless it is set: samples of one forward pass on one GPU.
    activation_checkpointing : bool
        What `train.activation_checkpointing` is unless it is set.
    needs_fp8 : bool
        Whether the weights give near-random scores unless their projections are computed in FP8.
    tool_sizes : dict
        What NVIDIA's tools call this architecture (`--model-size`), by backend; one that is not named there
        cannot run it.
    """

    name: str = MISSING
    architecture: str = MISSING
    checkpoint: str | None = None
    checkpoints: dict[str, str] = field(default_factory=dict)
    context_length: int = MISSING
    source: str = ""
    batch_size: int = 8
    activation_checkpointing: bool = False
    needs_fp8: bool = False
    tool_sizes: dict[str, str] = field(default_factory=dict)


@dataclass
class LoraConfig:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685): W + alpha/rank · B·A on the named linear layers."""

    rank: int = 32
    alpha: int = 32
    dropout: float = 0.05
    targets: list[str] = field(
        default_factory=lambda: ["projections", "out_filter_dense", "Wqkv", "out_proj", "l1", "l2", "l3"]
    )

    def __post_init__(self) -> None:
        require_positive("train.lora", self, "rank", "alpha")
        require_share("train.lora", self, "dropout")
        require(bool(self.targets), "train.lora.targets is empty: no layer would be adapted")


@dataclass
class CodonConfig:
    """Settings of the objectives that know of codons (`workflow.striped_hyena.codons`).

    Attributes
    ----------
    alpha : float
        `codon_hxe`: how much less a deeper level of the hierarchy counts, e^(−alpha·depth); 0 for the plain NLL.
    beta : float
        `codon_soft`: how sharp the soft labels are, exp(−beta·d / d_max).
    hierarchy : str
        `standard`: by the genetic code. `random`: a control with the same tree and its codons shuffled by `train.seed`.
    head : str
        `codon_hxe`: `box` reads the codons from the predictions of bases (exact but for Leu, Ser, Arg and stop, whose
        codons differ in their first two bases as well); `exact` trains a head of 64 codons beside them, as
        `codon_soft` does always.
    weight : float
        Of the codon head's loss beside the NLL of bases.
    genetic_code : int
        NCBI's number, for sequences of which the annotation gives no `transl_table`. It is about the data, and may be
        given with the plain NLL too.
    """

    alpha: float = 0.2
    beta: float = 15.0
    hierarchy: str = "standard"
    head: str = "box"
    weight: float = 1.0
    genetic_code: int = 1

    def __post_init__(self) -> None:
        require(0 <= self.alpha < math.inf, f"train.codon.alpha={self.alpha} must not be negative")
        require_positive("train.codon", self, "beta", "weight")
        require_choice("train.codon.hierarchy", self.hierarchy, ("standard", "random"))
        require_choice("train.codon.head", self.head, ("box", "exact"))
        numbers = ", ".join(map(str, GENETIC_CODES))
        require(
            self.genetic_code in GENETIC_CODES,
            f"train.codon.genetic_code={self.genetic_code} is none of NCBI's: use one of {numbers}",
        )

    def refuse_unread(self, objective: str) -> None:
        """Refuse what an objective does not read: two runs would look different and be the same."""
        read = {
            "nll": set[str](),
            "codon_soft": {"beta", "hierarchy", "weight"},
            "codon_hxe": {"alpha", "hierarchy", "head"} | ({"weight"} if self.head == "exact" else set[str]()),
        }[objective]
        with_box = " and train.codon.head=box" if objective == "codon_hxe" else ""
        for setting in fields(self):
            value = getattr(self, setting.name)
            require(
                setting.name in read | {"genetic_code"} or value == setting.default,
                f"train.codon.{setting.name}={value} is not read with train.objective={objective}{with_box}: leave it "
                "out, or choose an objective that reads it",
            )


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
        Optimizer steps; samples of one forward pass of one process; forward passes of a step.
    tokens : int, optional
        Budget in bases, in place of `steps`: as many steps as it pays for, every sample counted in full.
    batch_ramp : float
        Share of the steps over which a step grows to its full size (`StepPlan`); 0 for none.
    batch_ramp_start : int, optional
        Samples of the first step, and by how many it grows; by default those of one forward pass of all processes.
    seed : int
        Of what is random in training: `seed`, unless it is set. With another one, a run has the same data and base
        weights.
    learning_rate, min_learning_rate_share, warmup_steps : float, float, int
        Linear warm-up, then a cosine down to `min_learning_rate_share · learning_rate`.
    weight_decay, clip : float
        AdamW's decay (not on filters, norms and biases) and the largest gradient norm.
    precision : str
        `fp32`, `bf16` or `fp8`.
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
    objective : str
        What is minimised: `nll` of bases; or beside it, where a sample is of a coding sequence in frame, `codon_hxe`
        (hierarchical cross-entropy) or `codon_soft` (soft labels).
    codon : CodonConfig
        Settings that the objective does not read are refused.
    """

    method: str = MISSING
    context_length: int = MISSING
    steps: int = MISSING
    tokens: int | None = None
    batch_size: int = 8
    accumulate: int = 1
    batch_ramp: float = 0.0
    batch_ramp_start: int | None = None
    seed: int = 42
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
    objective: str = "nll"
    codon: CodonConfig = field(default_factory=CodonConfig)

    def __post_init__(self) -> None:
        require_choice("train.method", self.method, ("lora", "full", "scratch", "none"))
        require_choice("train.objective", self.objective, ("nll", "codon_hxe", "codon_soft"))
        require_choice("train.precision", self.precision, PRECISIONS)
        counts = ("context_length", "steps", "batch_size", "accumulate", "validate_every", "validation_samples")
        require_positive("train", self, *counts, "clip")
        shares = ("reverse_complement", "repeat_weight", "min_learning_rate_share", "batch_ramp")
        require_share("train", self, *shares)
        require(self.warmup_steps >= 0, f"train.warmup_steps={self.warmup_steps} must not be negative")
        require(self.learning_rate >= 0, f"train.learning_rate={self.learning_rate} must not be negative")
        given = [key for key in ("tokens", "batch_ramp_start", "early_stopping") if getattr(self, key) is not None]
        require_positive("train", self, *given)
        self.codon.refuse_unread(self.objective)
        if self.reads_codons:
            asked = f"train.objective={self.objective}"
            require(self.method != "none", f"{asked} trains, train.method=none does not: use train=lora or train=full")
            require(self.context_length >= 3, f"{asked} needs samples of 3 bases: train.context_length is smaller")
            require(
                self.reverse_complement < 1,
                f"{asked}: with train.reverse_complement=1 every sample is read from the other strand, and no codon is "
                "in frame; use a smaller one",
            )

    @property
    def reads_codons(self) -> bool:
        """Whether the objective knows of codons."""
        return self.objective != "nll"

    def coding_sets(self, backend: str, kinds: Mapping[str, str]) -> list[str]:
        """The sets of coding sequences that a codon objective reads; none with the plain NLL.

        Parameters
        ----------
        backend : str
        kinds : mapping
            Kind of each window set of the mixture.

        Raises
        ------
        InputError
            The backend has no such objective, or the mixture no coding sequences.
        """
        if not self.reads_codons:
            return []
        asked = f"train.objective={self.objective}"
        require(
            backend == "local", f"{asked} is of backend=local: NVIDIA's tools minimise the NLL; use train.objective=nll"
        )
        coding = [name for name, kind in kinds.items() if kind == "cds"]
        require(
            bool(coding),
            f"{asked} needs coding sequences in the mixture: use windows=genes mixture=codons, or give a window set of "
            "kind cds a weight in mixture.weights",
        )
        return coding

    def plan(self, copies: int) -> StepPlan:
        """The samples of every step, with `copies` processes that each train on samples of their own.

        Raises
        ------
        InputError
            `tokens` does not pay for one step, or `batch_ramp_start` is no number of whole forward passes.
        """
        together = self.batch_size * copies
        samples, first = together * self.accumulate, self.batch_ramp_start or together
        require(
            first % together == 0 and first <= samples,
            f"train.batch_ramp_start={first} must be a multiple of the {together} samples of one forward pass of all "
            f"processes, and no more than the {samples} of a full step",
        )
        if self.tokens is None:
            return StepPlan.of(self.steps, samples, first, self.batch_ramp)
        plan = StepPlan.within(self.tokens // self.context_length, samples, first, self.batch_ramp)
        require(
            plan.steps > 0,
            f"train.tokens={self.tokens} is less than one step of {samples} samples × {self.context_length} bases = "
            f"{samples * self.context_length}: give more, or a smaller train.batch_size or train.accumulate",
        )
        return plan
