"""Regions of the genome as documents: token files and FASTA files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workflow.console import Progress
from workflow.dataset.megatron import TokenWriter
from workflow.errors import InputError
from workflow.genome.regions import total_bases
from workflow.genome.sequences import Genome


def write_documents(genome: Genome, regions: pd.DataFrame, prefix: Path, fasta: Path) -> None:
    """Write each region as one document of a token file and as one record of a FASTA file, case kept.

    Both are written in one pass over the genome, in blocks, so that memory stays bounded.

    Parameters
    ----------
    genome : Genome
    regions : DataFrame
        seqid, start, end of one split.
    prefix : Path
        Of the token file.
    fasta : Path
        Its records are named `seqid:start-end` (0-based half-open), one line each: NVIDIA's reader corrupts
        records with uneven lines.

    Raises
    ------
    InputError
        There are no regions: an empty token file is refused by every reader.
    """
    if regions.empty:
        raise InputError(f"{prefix.name}: no region of the genome is in this split; run stage=prepare again")
    with (
        TokenWriter(prefix) as tokens,
        fasta.open("wb") as records,
        Progress(f"writing {prefix.name}", total_bases(regions), "bases") as progress,
    ):
        for seqid, start, end in regions[["seqid", "start", "end"]].itertuples(index=False):
            records.write(f">{seqid}:{start}-{end}\n".encode("ascii"))
            tokens.add_document(
                piece for _, piece in genome.chunks(seqid, start, end) if records.write(piece.tobytes())
            )
            records.write(b"\n")
            progress.advance(end - start)
