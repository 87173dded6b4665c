"""What `prepare` publishes, made small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from workflow.annotation.table import write_empty_annotation
from workflow.dataset.bases import TokenBases
from workflow.dataset.documents import Documents
from workflow.dataset.megatron import TokenFile, paths_of, write_index
from workflow.genome.alphabet import reverse_complement
from workflow.genome.fasta import import_fasta

REGIONS = [("chr1", 1, 11, "train"), ("2", 0, 4, "val"), ("2", 6, 8, "test"), ("chr10", 0, 30, "train")]
#: seqid, start, end, strand, split, copies
Window = tuple[str, int, int, str, str, int]
WINDOWS: list[Window] = [
    ("chr1", 2, 8, "-", "train", 1),
    ("chr1", 0, 3, "+", "val", 1),
    ("chr10", 0, 10, "+", "train", 3),
    ("chr10", 10, 20, "-", "train", 3),
    ("chr10", 20, 25, "+", "train", 2),
]
SEQUENCES = {"chr1": b"ACGTacgtRYNN", "chr10": b"ACGGTTacnnGATTACAgattacaTTGACC", "2": b"GGGGCCCC"}


def write_token_file(prefix: Path, documents: Sequence[bytes]) -> TokenFile:
    """A token file of documents as they are, the end-of-document token not included."""
    paths_of(prefix)[0].write_bytes(b"".join(document + b"\0" for document in documents))
    write_index(prefix, np.array([len(document) + 1 for document in documents]))
    return TokenFile(prefix)


def documents_at(fasta: Path, bases: np.ndarray) -> Documents:
    """Documents that follow one another in a file without headers."""
    rows = len(bases)
    few = {"seqid": ["chr1"] * rows, "strand": ["+"] * rows, "split": ["train"] * rows, "group": ["g"] * rows}
    numbers = {"start": np.zeros(rows, int), "end": bases, "copies": np.ones(rows, int), "weight": np.ones(rows)}
    table = pa.table({"sequence_id": [f"d{row}" for row in range(rows)], **few, **numbers})
    return Documents(fasta, table, np.cumsum(bases) - bases, bases)


def random_bases(folder: Path, lengths: Sequence[int], seed: int = 0) -> TokenBases:
    rng = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGTacgt", np.uint8)
    documents = [letters[rng.integers(0, 8, length)].tobytes() for length in lengths]
    return TokenBases(write_token_file(folder / f"tokens{seed}", documents))


def write_window_set(prepared: Path, name: str, windows: list[Window], weigh: bool) -> None:
    """A window set as `prepare` publishes it."""
    table = pd.DataFrame(windows, columns=["seqid", "start", "end", "strand", "split", "copies"])
    ids = [f"{w[0]}:{w[1]}-{w[2]}({w[3]})" for w in windows]
    table = table.assign(sequence_id=ids, group="g", gc=0.5, weight=1 / table["copies"] if weigh else 1.0)
    folder = prepared / "windows"
    folder.mkdir(exist_ok=True)
    records = []
    for seqid, start, end, strand, _, _ in windows:
        bases = np.frombuffer(SEQUENCES[seqid][start:end], np.uint8)
        records.append((reverse_complement(bases) if strand == "-" else bases).tobytes().decode())
    source = folder / f"{name}.source"
    source.write_text("".join(f">{i}\n{bases}\n" for i, bases in zip(ids, records, strict=True)))
    import_fasta(source, folder / f"{name}.fa")
    source.unlink()
    table.to_parquet(folder / f"{name}.parquet", index=False)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Three sequences, four regions, and the window set `genic`, whose windows have 1, 2 or 3 copies."""
    folder = tmp_path / "run" / "prepare"
    folder.mkdir(parents=True)
    source = tmp_path / "source.fa"
    source.write_text("".join(f">{name}\n{bases.decode()}\n" for name, bases in SEQUENCES.items()))
    import_fasta(source, folder / "genome.fa")
    regions = pd.DataFrame(REGIONS, columns=["seqid", "start", "end", "split"]).assign(group="g")
    regions.to_parquet(folder / "split.parquet", index=False)
    write_window_set(folder, "genic", WINDOWS, weigh=True)
    write_empty_annotation(folder / "annotation.parquet")
    return folder
