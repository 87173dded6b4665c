"""Embeddings of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workflow.config.checks import require, require_choice, require_positive, require_shard

POOLINGS = ("mean", "max", "first", "last", "both_strands", "all", "codon")

#: What one reads at a time where nothing else is asked for, of models that take more.
_USUAL_CHUNK = 8192


@dataclass
class EmbedConfig:
    """Embeddings of sequences: hidden states of the model, pooled.

    Attributes
    ----------
    input : str, optional
        FASTA, FASTQ or GenBank (plain or gzip), or a table (CSV, TSV, Parquet, XLSX). The stage has nothing to do
        without it or `windows`.
    windows : str, optional
        Instead, a set of windows of the run.
    split : str, optional
        Those windows of this split alone.
    sequence_column, id_column : str, optional
        Columns of a table; without ids rows are named by their number.
    model : str
        `adapted`, or `base`. Without a training, both are the base model.
    layers : int, str or list of these, optional
        Numbers of layers from 0 (negative ones count from the end), names (`blocks.3`), or `all`. By default the one
        in the middle.
    pooling : str
        `mean`, `max`, `first`, `last`, `all` (every position), or `both_strands`: the last token of the sequence up
        to `position`, joined with the last token of the reverse complement of what follows it. A causal model sees
        at a token only what stands before it, so that this is what it knows of a place from both sides. `codon`: of
        each of the 64 codons the mean at its third base, over windows of coding sequences (`windows=cds`).
    position : int, optional
        Of `both_strands`: bases before the place; half of each sequence by default. The base after the place belongs
        to the reading of the reverse complement.
    chunk, overlap : int, optional
        Most bases read together; by default the context length of the model, at most 8,192. Longer sequences are read
        in stretches whose first `overlap` bases are context alone; by default a quarter of `chunk`.
    batch_tokens : int
        Most positions of one forward pass, padding included.
    dtype : str
        `float32`, or `float16` for half the disk.
    probe : str, optional
        Column of the table with a label or a number that a linear probe learns from each layer: it says which layer
        to use.
    shards : int
        As `predict.shards`; with 1 the work is still done in parts, so that an interrupted run goes on.
    shard : int, optional
        As `predict.shard`.
    """

    input: str | None = None
    windows: str | None = None
    split: str | None = None
    sequence_column: str = "sequence"
    id_column: str | None = None
    model: str = "adapted"
    layers: Any = None
    pooling: str = "both_strands"
    position: int | None = None
    chunk: int | None = None
    overlap: int | None = None
    batch_tokens: int = 16384
    dtype: str = "float32"
    probe: str | None = None
    shards: int = 1
    shard: int | None = None

    def __post_init__(self) -> None:
        require_choice("embed.pooling", self.pooling, POOLINGS)
        require_choice("embed.model", self.model, ("base", "adapted"))
        require_choice("embed.dtype", self.dtype, ("float32", "float16"))
        require_positive("embed", self, "batch_tokens", "shards")
        require(
            self.input is None or self.windows is None,
            "embed.input and embed.windows are both given: sequences come from one of them",
        )
        require(self.split is None or self.windows is not None, f"embed.split={self.split} is of embed.windows=SET")
        require(self.chunk is None or self.chunk > 0, f"embed.chunk={self.chunk} must be positive")
        for key in ("overlap", "position"):
            value = getattr(self, key)
            require(value is None or value >= 0, f"embed.{key}={value} must not be negative")
        require(
            self.position is None or self.pooling == "both_strands",
            f"embed.position={self.position} is of embed.pooling=both_strands",
        )
        if self.probe is not None:
            require(self.input is not None, f"embed.probe={self.probe} is a column of a table: give it as embed.input")
            require(self.pooling != "all", "embed.probe needs one vector a sequence: choose another embed.pooling")
        if self.pooling == "codon":
            require(self.windows is not None, "embed.pooling=codon is of coding sequences: give embed.windows=cds")
            require(self.shards == 1, "embed.pooling=codon adds up over all sequences: leave embed.shards out")
        require_shard("embed", self.shard, self.shards)

    def chunk_of(self, context_length: int) -> int:
        """Most bases that a model of this context length reads together."""
        return self.chunk or min(context_length, _USUAL_CHUNK)

    @property
    def has_work(self) -> bool:
        """Whether there is something to embed."""
        return self.input is not None or self.windows is not None
