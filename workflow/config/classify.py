"""Classification, regression and labels by base: of sequences, by what the model makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from workflow.config.backend import PRECISIONS
from workflow.config.checks import require, require_choice, require_positive, require_share
from workflow.config.model import LoraConfig

#: Trained with the model: heads alone, adapters, all weights, some frozen, and all weights from random ones.
NEURAL = ("head", "lora", "ia3", "full", "frozen", "random")
#: Trained by scikit-learn and hiclass on embeddings.
SHALLOW = ("logistic", "forest", "boosting", "mlp", "hiclass_node", "hiclass_parent", "hiclass_level")
#: Always run beside what is asked for.
BASELINES = ("kmer", "head")
TASKS = ("classification", "regression", "per_base")
SPLIT_METHODS = ("given", "random", "stratified", "group", "similarity")
#: 16,777,216 columns: beyond, tables of k-mers no longer fit into memory.
_LONGEST_KMER = 12


@dataclass
class ClassifyConfig:
    """Classification of sequences, with a hierarchy of labels or one; regression; labels by base.

    Attributes
    ----------
    table : str, optional
        CSV, TSV, Parquet or XLSX with sequences, or ids, and labels. The stage has nothing to do without it or
        `input`.
    validation_table, test_table : str, optional
        The same for validation and test, where each split is a file (`split=given`).
    sequences : str, optional
        FASTA or FASTQ (plain or gzip) whose records `id_column` names, where the table has no sequences.
    sequence_column, id_column : str, optional
        Columns of the table; without ids rows are named by their number.
    labels : list of str
        Columns with labels: the levels of a hierarchy, most general first.
    task : str
        `classification`, `regression` (one or several columns of numbers), or `per_base` (a letter a base, as long
        as the sequence; `.` where it is not known).
    split : str
        `stratified` by the most special label, `random`, `group`, `similarity` (sequences that share k-mers stay
        together), or `given` (`split_column`, or one table a split).
    split_column, group_column : str, optional
        Columns with train, val, test; and with what must not be divided, such as a species or gene family.
    validation_share, test_share : float
        Of the sequences, where they are not given.
    similarity : float
        k-mer containment from which two sequences count as similar.
    duplicates : str
        Sequences that stand in more than one split, also as reverse complements: `report` them, or `remove` them
        from training (and validation).
    unseen : str
        A label of validation or test that training lacks: `ignore` (counted as wrong in the test, left out of the
        loss), or `refuse`.
    methods : list of str
        What is trained and compared: `head`, `lora`, `ia3`, `full`, `frozen`, `random`, `kmer`, `logistic`,
        `forest`, `boosting`, `mlp`, `hiclass_node`, `hiclass_parent`, `hiclass_level`. `kmer` and `head` always run.
    base : str
        `base`, or `adapted`: the model of the run that is built on.
    layer : int, optional
        Layer whose output is pooled, from 0 (negative: from the end); the layers after it are left out. By default the
        last one, after the model's final norm.
    pooling : str
        `mean`, `max`, `first`, `last`, over the bases. Not used per base, where the states at the base of both strands
        are joined: the model reads in one direction.
    frozen_share : float
        Of `frozen`: share of the layers, from the first, that keep their weights. Heads are never frozen.
    level_weights : list of float, optional
        Weight of each level in the loss; 1 each by default.
    class_weights : bool
        Weigh a class in the loss by n / (K · n_k).
    decoding : str
        `path`: the most probable consistent path of labels; `independent`: each level by itself.
    epochs, batch_size, learning_rate, head_learning_rate, weight_decay, warmup_share : int, float
        Of training; heads have their own rate where one is given. `head`, which reads each sequence once, trains ten
        times as many epochs. Rates rise over `warmup_share` of the steps and then fall linearly to 0.
    early_stopping : int, optional
        Stop after this many epochs without a better validation loss.
    precision : str
        `fp32` or `bf16`.
    max_length : int, optional
        Of longer sequences the middle is read, and told (per base they are read in pieces); by default the context
        length of the model.
    lora : LoraConfig
    kmer_lengths : list of int
        Lengths that the k-mer baseline counts.
    model, input : str, optional
        Model folder that a training left, and FASTA or FASTQ (plain or gzip), or a table, that it labels.
    top_k, threshold : int, float
        Labels told of each sequence: the `top_k` most probable, of these those more probable than `threshold`.
    batch_tokens : int
        Most positions of one forward pass without gradients, padding included.
    """

    table: str | None = None
    validation_table: str | None = None
    test_table: str | None = None
    sequences: str | None = None
    sequence_column: str = "sequence"
    id_column: str | None = None
    labels: list[str] = field(default_factory=lambda: ["label"])
    task: str = "classification"
    split: str = "stratified"
    split_column: str | None = None
    group_column: str | None = None
    validation_share: float = 0.1
    test_share: float = 0.1
    similarity: float = 0.5
    duplicates: str = "report"
    unseen: str = "ignore"
    methods: list[str] = field(default_factory=lambda: ["kmer", "head", "lora"])
    base: str = "adapted"
    layer: int | None = None
    pooling: str = "mean"
    frozen_share: float = 0.5
    level_weights: list[float] | None = None
    class_weights: bool = False
    decoding: str = "path"
    epochs: int = 5
    batch_size: int = 16
    learning_rate: float = 1e-4
    head_learning_rate: float | None = 1e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.05
    early_stopping: int | None = 3
    precision: str = "fp32"
    max_length: int | None = None
    lora: LoraConfig = field(default_factory=lambda: LoraConfig(rank=16, alpha=16))
    kmer_lengths: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5, 6])
    model: str | None = None
    input: str | None = None
    top_k: int = 5
    threshold: float = 0.2
    batch_tokens: int = 16384

    def __post_init__(self) -> None:
        require_choice("classify.task", self.task, TASKS)
        require_choice("classify.split", self.split, SPLIT_METHODS)
        require_choice("classify.duplicates", self.duplicates, ("report", "remove"))
        require_choice("classify.unseen", self.unseen, ("ignore", "refuse"))
        require_choice("classify.base", self.base, ("base", "adapted"))
        require_choice("classify.pooling", self.pooling, ("mean", "max", "first", "last"))
        require_choice("classify.decoding", self.decoding, ("path", "independent"))
        require_choice("classify.precision", self.precision, PRECISIONS[:2])
        for method in self.methods:
            require_choice("classify.methods", method, (*BASELINES[:1], *NEURAL, *SHALLOW))
        counts = ("epochs", "batch_size", "top_k", "batch_tokens", "learning_rate")
        require_positive("classify", self, *counts)
        shares = ("validation_share", "test_share", "similarity", "frozen_share", "warmup_share", "threshold")
        require_share("classify", self, *shares)
        require(bool(self.labels), "classify.labels is empty: name the column with the label")
        for taken in ("id", "position"):
            require(
                taken not in self.labels,
                f"classify.labels={taken}: results have a column {taken} of their own; rename that of the table",
            )
        for label in self.labels:
            require(
                re.fullmatch(r"[^/\\\x00-\x1f]{1,100}", label) is not None,
                f"classify.labels={label!r} names files: rename the column, without / and \\, in at most 100 letters",
            )
        given = [
            key for key in ("early_stopping", "max_length", "head_learning_rate") if getattr(self, key) is not None
        ]
        require_positive("classify", self, *given)
        require(
            self.table is None or self.input is None,
            "classify.table trains, classify.input labels: give one of them",
        )
        require(
            (self.input is None) == (self.model is None),
            "classify.input and classify.model belong together: the sequences to label, and the model folder that does",
        )
        require(
            self.level_weights is None or len(self.level_weights) == len(self.labels),
            "classify.level_weights needs one weight for each of classify.labels",
        )
        require(
            all(weight > 0 for weight in self.level_weights or []),
            "classify.level_weights must be positive: a head of weight 0 would not learn; leave its level out",
        )
        require(self.weight_decay >= 0, f"classify.weight_decay={self.weight_decay} must not be negative")
        require(
            bool(self.kmer_lengths) and all(1 <= length <= _LONGEST_KMER for length in self.kmer_lengths),
            f"classify.kmer_lengths={self.kmer_lengths} must be lengths from 1 to {_LONGEST_KMER}",
        )
        require(len(set(self.kmer_lengths)) == len(self.kmer_lengths), "classify.kmer_lengths names a length twice")

    @property
    def labels_reads(self) -> bool:
        """Whether a model that is there labels sequences, in place of a training."""
        return self.input is not None

    @property
    def has_work(self) -> bool:
        """Whether there is something to learn from, or to label."""
        return self.table is not None or self.labels_reads
