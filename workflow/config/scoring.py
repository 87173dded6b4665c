"""Prediction, generation and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

from workflow.config.backend import PRECISIONS
from workflow.config.checks import require, require_choice, require_positive
from workflow.config.genome import SPLITS


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
        `fp32`, `bf16` or `fp8`.
    """

    windows: str = "tiling"
    split: str = "test"
    batch_tokens: int = 16384
    precision: str = "fp32"

    def __post_init__(self) -> None:
        require_choice("predict.split", self.split, SPLITS)
        require_choice("predict.precision", self.precision, PRECISIONS)
        require_positive("predict", self, "batch_tokens")


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
        require(self.temperature > 0, "infer.temperature must be positive (top_k=1 is greedy)")
        require(self.top_k >= 0 and 0 < self.top_p <= 1, "infer.top_k must be ≥ 0 and infer.top_p in (0, 1]")
        require_positive("infer", self, "samples", "length", "prompt_length", "n_prompts", "batch_size")


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
        require_positive("evaluation", self, "bootstrap_samples", "heatmap_bases")
        require(0 < self.confidence < 1, "evaluation.confidence must lie between 0 and 1")
        require(0 <= self.markov_max_order <= 12, "evaluation.markov_max_order must lie between 0 and 12")
