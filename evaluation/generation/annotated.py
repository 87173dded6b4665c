"""Codons of the annotated coding sequences of the train split."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from Bio.Data import CodonTable

from evaluation.artefacts.sequences import encode, open_fasta, reverse_complement
from evaluation.generation.frames import codon_counts
from workflow.artifacts import InputError, read_table

_COLUMNS = ["seqid", "type", "start", "end", "strand", "phase", "id", "parent", "exception", "transl_table"]
#: A sample is enough for 64 frequencies, and memory stays small with any annotation.
_MOST_PARTS = 20_000


@dataclass(frozen=True)
class CodingSequences:
    """Codon counts of annotated coding sequences.

    Attributes
    ----------
    counts : ndarray, (64,) float64
        In the order of A, C, G, T.
    transcripts : int
    transl_table : int
        NCBI's number of the genetic code that most of them have; 1 where the annotation does not say.
    """

    counts: np.ndarray
    transcripts: int
    transl_table: int


def read_coding_sequences(prepared: Path) -> CodingSequences:
    """Count codons of a sample of the coding sequences that lie in the train split with all their parts.

    Transcripts are chosen by a hash of their names, about 20,000 parts of them; trans-spliced ones are left out.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.

    Raises
    ------
    InputError
        A file is missing.
    """
    parts = _sampled_parts(prepared / "annotation.parquet")
    regions = read_table(prepared / "split.parquet", ["seqid", "start", "end", "split"])
    train = dict(list(regions[regions["split"] == "train"].groupby("seqid")))
    counts, transcripts, codes = np.zeros(64), 0, Counter[int]()
    with open_fasta(prepared / "genome.fa") as genome:
        for _, rows in parts.groupby("transcript", sort=False):
            seqid = str(rows["seqid"].iloc[0])
            if not _is_plain(rows) or seqid not in train or not _lies_within(rows, train[seqid]):
                continue
            ordered = rows.sort_values("start")
            pieces = [
                str(genome[seqid][start:end]) for start, end in zip(ordered["start"], ordered["end"], strict=True)
            ]
            bases = encode("".join(pieces))
            is_minus = rows["strand"].iloc[0] == "-"
            first = ordered.iloc[-1 if is_minus else 0]
            coding = reverse_complement(bases) if is_minus else bases
            counts += codon_counts(coding[0 if pd.isna(first["phase"]) else int(first["phase"]) :])
            transcripts += 1
            if pd.notna(first["transl_table"]):
                codes[int(first["transl_table"])] += 1
    table = codes.most_common(1)[0][0] if codes else 1
    if table not in CodonTable.unambiguous_dna_by_id:
        raise InputError(f"the annotation has transl_table={table}; NCBI has no such genetic code")
    return CodingSequences(counts, transcripts, table)


def _sampled_parts(path: Path) -> pd.DataFrame:
    """CDS rows of about `_MOST_PARTS` parts, with the column transcript."""
    if not path.exists():
        return pd.DataFrame(columns=[*_COLUMNS, "transcript"])
    file = pq.ParquetFile(path)
    number = sum(batch.column(0).to_pandas().eq("CDS").sum() for batch in file.iter_batches(columns=["type"]))
    step = -(-int(number) // _MOST_PARTS)
    kept = []
    for batch in file.iter_batches(columns=_COLUMNS):
        rows = batch.to_pandas()
        rows = rows[rows["type"] == "CDS"]
        names = rows["parent"].fillna(rows["id"]).fillna("").astype(str).str.split(",").str[0]
        chosen = np.array([zlib.crc32(name.encode()) % max(step, 1) == 0 for name in names], bool)
        kept.append(rows[chosen].assign(transcript=names[chosen]))
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=[*_COLUMNS, "transcript"])


def _is_plain(rows: pd.DataFrame) -> bool:
    """Whether all parts are on one strand of one sequence and follow one another."""
    is_on_one = (rows[["seqid", "strand"]] == rows[["seqid", "strand"]].iloc[0]).to_numpy().all()
    return bool(is_on_one and not rows["exception"].eq("trans-splicing").any())


def _lies_within(rows: pd.DataFrame, regions: pd.DataFrame) -> bool:
    """Whether each part lies in one of the regions."""
    starts, ends = (rows[name].to_numpy(np.int64)[:, None] for name in ("start", "end"))
    inside = (starts >= regions["start"].to_numpy(np.int64)) & (ends <= regions["end"].to_numpy(np.int64))
    return bool(inside.any(axis=1).all())
