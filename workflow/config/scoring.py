"""Prediction, generation and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workflow.config.backend import PRECISIONS
from workflow.config.checks import require, require_choice, require_positive, require_shard
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
    reverse_complement : bool
        Whether each window is also read as its reverse complement, which doubles time and disk.
    forgetting : str, optional
        FASTA of other organisms' sequences, named `ORGANISM|RECORD`, on which the models are compared as well; null
        for none.
    shards : int
        Parts of about equal numbers of bases that the windows are scored in. What is made of each outlives a killed
        process, and several processes may share the work. The result is the same.
    shard : int, optional
        The only part that this process makes, from 0: for an array job, or another machine. The command without it
        joins the parts.
    """

    windows: str = "tiling"
    split: str = "test"
    batch_tokens: int = 16384
    precision: str = "fp32"
    reverse_complement: bool = False
    forgetting: str | None = "data/forgetting/sequences.fa"
    shards: int = 1
    shard: int | None = None

    def __post_init__(self) -> None:
        require_choice("predict.split", self.split, SPLITS)
        require_choice("predict.precision", self.precision, PRECISIONS)
        require_positive("predict", self, "batch_tokens", "shards")
        require_shard("predict", self.shard, self.shards)


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
    genes : str, optional
        CSV with the columns gene, reference_protein, genomic_sequence, and optionally organism, domain, cds_start:
        genes to complete, beside the other prompts. Without cds_start the whole sequence is the prompt. `length`
        bases follow each prompt.
    gene_prompt_share : float
        Share of a gene, from cds_start on, that is its prompt.
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
    genes: str | None = None
    gene_prompt_share: float = 0.5

    def __post_init__(self) -> None:
        require(0 < self.gene_prompt_share < 1, "infer.gene_prompt_share must lie between 0 and 1")
        require(self.temperature > 0, "infer.temperature must be positive (top_k=1 is greedy)")
        require(self.top_k >= 0 and 0 < self.top_p <= 1, "infer.top_k must be ≥ 0 and infer.top_p in (0, 1]")
        require_positive("infer", self, "samples", "length", "prompt_length", "n_prompts", "batch_size")


@dataclass
class VariantsConfig:
    """Effects of variants: the likelihood of the alternative against the reference.

    Attributes
    ----------
    table : str, optional
        VCF (`.vcf`, `.vcf.gz`), or CSV, TSV, Parquet or XLSX. The stage has nothing to do without one.
    fasta : str, optional
        Reference; by default the run's genome.
    header_row : int
        Row of the table's header, from 1.
    chromosome_column, position_column, ref_column, alt_column : str
        Columns of a table; positions count from 1, as in a VCF.
    first_position : int, optional
        Coordinate of the first base of `fasta`, from 1, where that is a part of a chromosome.
    sequence_name : str, optional
        What the table calls the chromosome of which `fasta` is a part.
    label_column : str, optional
        Column, or INFO key of a VCF, with a label; `positive` and `negative` are the values compared.
    score_column : str, optional
        Column, or INFO key, with a measured value.
    consequence_column : str, optional
        Column, or INFO key, with the class of variant.
    window : int
        Bases of the window around a variant.
    reverse_complement : bool
        Whether both strands are read.
    layer : int or str, optional
        Layer, by number or name as of `embed.layers`, whose embeddings of reference and alternative are compared
        beside their likelihoods; none by default.
    scores : str, optional
        Table of scores made elsewhere, one column a model: then no model runs.
    """

    table: str | None = None
    fasta: str | None = None
    header_row: int = 1
    chromosome_column: str = "chromosome"
    position_column: str = "position"
    ref_column: str = "ref"
    alt_column: str = "alt"
    first_position: int | None = None
    sequence_name: str | None = None
    label_column: str | None = None
    positive: list[str] = field(default_factory=list)
    negative: list[str] = field(default_factory=list)
    score_column: str | None = None
    consequence_column: str | None = None
    window: int = 8192
    reverse_complement: bool = True
    layer: Any = None
    scores: str | None = None

    def __post_init__(self) -> None:
        require_positive("variants", self, "header_row", "window")
        require(
            self.label_column is None or bool(self.positive and self.negative),
            "variants.label_column needs variants.positive=[…] and variants.negative=[…]: the labels to compare",
        )
        require(
            self.scores is None or self.layer is None,
            "variants.layer compares embeddings of a model, variants.scores runs none: give one of them",
        )


@dataclass
class ElementsConfig:
    """Regulatory elements against matched background and shuffled copies.

    Attributes
    ----------
    source : str, optional
        `promoters` (around the transcription starts of the annotation) or a BED file. The stage has nothing to do
        without it.
    upstream, downstream : int
        Bases of a promoter before and after the transcription start.
    split : str
        Elements in regions of this split; `any` for all.
    maximum : int
        Most elements, a seeded sample.
    flank : int
        Bases before an element that are read and not scored.
    shuffles : int
        Dinucleotide-shuffled copies of each element.
    region : str, optional
        `seqid:start-end`, 0-based half-open, of the mutagenesis map and the predictive logo.
    mutate : int
        Bases in the middle of the region that are mutated.
    reverse_complement : bool
        Whether both strands are read.
    """

    source: str | None = None
    upstream: int = 250
    downstream: int = 50
    split: str = "test"
    maximum: int = 2000
    flank: int = 0
    shuffles: int = 1
    region: str | None = None
    mutate: int = 200
    reverse_complement: bool = True

    def __post_init__(self) -> None:
        require_choice("elements.split", self.split, (*SPLITS, "any"))
        require_positive("elements", self, "maximum", "shuffles", "mutate")
        require(
            min(self.upstream, self.downstream, self.flank) >= 0 and self.upstream + self.downstream > 0,
            "elements.upstream, downstream and flank must not be negative, and a promoter needs a base",
        )


@dataclass
class ExperimentConfig:
    """Scores against measured values.

    Attributes
    ----------
    table : str, optional
        CSV, TSV, Parquet or XLSX. The stage has nothing to do without one.
    sequence_column, id_column : str, optional
        Column with the sequence, or with the sequence_id of a window of the run.
    value_column : str
        Column with the measured value.
    group_column : str, optional
        Column with groups that are resampled and divided as wholes, such as gene families.
    reverse_complement : bool
        Whether both strands are read.
    """

    table: str | None = None
    sequence_column: str | None = None
    id_column: str | None = None
    value_column: str = "value"
    group_column: str | None = None
    reverse_complement: bool = True

    def __post_init__(self) -> None:
        require(
            self.table is None or (self.sequence_column is None) != (self.id_column is None),
            "experiment.table needs either experiment.sequence_column or experiment.id_column",
        )


@dataclass
class EvaluationConfig:
    """What the report computes.

    Attributes
    ----------
    bootstrap_samples : int
        Resamplings of the blocks of test windows for each interval.
    confidence : float
        Coverage of the intervals.
    markov_max_order : int
        The order of the Markov baseline is chosen on the val split among 0 … this.
    heatmap_window : str, optional
        sequence_id of the window drawn base by base; by default the one with the largest change.
    heatmap_bases : int
        Bases drawn.
    track_bin : int
        Bases of a bin of the bigWig tracks; 0 writes none.
    forgetting_limit : float
        Most nats per base that the adapted model may explain less than the base model on other organisms.
    """

    bootstrap_samples: int = 10_000
    confidence: float = 0.95
    markov_max_order: int = 12
    heatmap_window: str | None = None
    heatmap_bases: int = 120
    track_bin: int = 10
    forgetting_limit: float = 0.05

    def __post_init__(self) -> None:
        require_positive("evaluation", self, "bootstrap_samples", "heatmap_bases")
        require(self.track_bin >= 0, "evaluation.track_bin must not be negative (0 writes no tracks)")
        require(self.forgetting_limit >= 0, "evaluation.forgetting_limit must not be negative")
        require(0 < self.confidence < 1, "evaluation.confidence must lie between 0 and 1")
        require(0 <= self.markov_max_order <= 12, "evaluation.markov_max_order must lie between 0 and 12")
