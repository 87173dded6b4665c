"""Whether an annotation fits its genome: reading frames, stop codons inside, lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow.annotation.features import Kind, kind_of
from workflow.annotation.models import GeneModels
from workflow.annotation.translation import Translation, translate
from workflow.errors import InputError
from workflow.genome.sequences import Genome

#: A share of CDS with stop codons inside that no true annotation reaches: of 64 random codons 3 stop.
_SUSPICIOUS = 0.5
#: A share of CDS that is taken as proof that a shift is right.
_CONVINCING = 0.9
_PARTS = (Kind.EXON, Kind.UTR)
#: Fewer CDS prove nothing.
_FEWEST = 5


def diagnose(models: GeneModels, genome: Genome) -> dict[str, Any]:
    """Check the coding sequences of an annotation against the genome.

    Parameters
    ----------
    models : GeneModels
    genome : Genome

    Returns
    -------
    dict
        genes, transcripts, coding_transcripts; cds (transcripts translated), cds_without_internal_stop,
        cds_with_internal_stop, of which cds_with_stop_and_exception carry an exception in the file (selenocysteine,
        slippage, RNA editing); share_with_internal_stop; cds_not_in_codons (length no multiple of three),
        cds_on_several_sequences (not translated), phases_that_disagree (CDS parts whose phase is not what the
        parts before leave over); warnings (list of one-line messages).

    Raises
    ------
    InputError
        Most CDS translate only when the coordinates are shifted by one: the file counts from 0.
    """
    found = translate(models, genome)
    has_stop = found.stops > 0
    if len(has_stop) >= _FEWEST and has_stop.mean() > _SUSPICIOUS:
        _refuse_shifted(models, genome, found)
    excused = models.transcripts["exception"].notna().to_numpy()[found.transcripts] & has_stop
    coding = int(models.transcripts["coding"].sum())
    counts: dict[str, Any] = {
        "genes": len(models.genes),
        "transcripts": len(models.transcripts),
        "coding_transcripts": coding,
        "cds": len(has_stop),
        "cds_without_internal_stop": int(np.count_nonzero(~has_stop)),
        "cds_with_internal_stop": int(np.count_nonzero(has_stop)),
        "cds_with_stop_and_exception": int(np.count_nonzero(excused)),
        "share_with_internal_stop": float(has_stop.mean()) if has_stop.size else 0.0,
        "cds_not_in_codons": int(np.count_nonzero(found.lengths % 3)),
        "cds_on_several_sequences": coding - len(has_stop),
        "phases_that_disagree": _disagreeing_phases(models),
        "cds_with_overlapping_parts": _overlapping(models),
    }
    return {**counts, "warnings": list(_warnings(counts))}


def count_orphans(annotation: Path) -> tuple[int, int]:
    """Exons and UTRs of an annotation table without a parent, which are of no gene model; and lines of genes.

    A CDS without a parent makes a gene of its own and is not among the first.
    """
    orphans = genes = 0
    for batch in pq.ParquetFile(annotation).iter_batches(columns=["type", "parent"]):
        for rows, kinds in ((batch.filter(pc.is_null(batch["parent"])), _PARTS), (batch, (Kind.GENE,))):
            counted = pc.value_counts(rows["type"]).to_pylist()
            found = sum(row["counts"] for row in counted if kind_of(row["values"]) in kinds)
            orphans, genes = (orphans + found, genes) if kinds is _PARTS else (orphans, genes + found)
    return orphans, genes


def _refuse_shifted(models: GeneModels, genome: Genome, found: Translation) -> None:
    """Raise InputError where a file that counts from 0 would explain the stop codons."""
    shifts = {(1, 0): "starts", (1, 1): "starts and ends"}
    for (shift_start, shift_end), columns in shifts.items():
        shifted = translate(models, genome, shift_start, shift_end)
        if np.mean((shifted.stops == 0) & (shifted.lengths % 3 == 0)) >= _CONVINCING:
            raise InputError(
                f"the annotation's {columns} count from 0: {np.count_nonzero(found.stops):,} of {len(found.stops):,} "
                f"CDS have stop codons inside, {np.count_nonzero(shifted.stops):,} when 1 is added; "
                f"add 1 to all {columns}"
            )


def _overlapping(models: GeneModels) -> int:
    """CDS of which two parts have bases in common: lines given twice, or a frameshift that is read back."""
    cds = models.cds
    transcript, start, end = (cds[name].to_numpy() for name in ("transcript", "start", "end"))
    seqid = pd.factorize(cds["seqid"])[0]
    order = np.lexsort((start, seqid, transcript))
    transcript, start, end, seqid = transcript[order], start[order], end[order], seqid[order]
    same = (transcript[1:] == transcript[:-1]) & (seqid[1:] == seqid[:-1])
    return len(np.unique(transcript[1:][same & (start[1:] < end[:-1])]))


def _disagreeing_phases(models: GeneModels) -> int:
    """Parts after the first of a CDS whose phase is not what the parts before leave over."""
    cds = models.cds
    length = (cds["end"] - cds["start"]).to_numpy()
    phase, transcript = cds["phase"].to_numpy().astype(np.int64), cds["transcript"].to_numpy()
    expected = (phase[:-1] - length[:-1]) % 3
    return int(np.count_nonzero((transcript[1:] == transcript[:-1]) & (phase[1:] != expected)))


def _warnings(counts: dict[str, Any]) -> list[str]:
    cds = max(counts["cds"], 1)
    told = {
        "cds_with_internal_stop": "have stop codons inside; another assembly's annotation, or pseudogenes?",
        "cds_not_in_codons": "have a length that is no multiple of three; cut gene models?",
    }
    warnings = [
        f"{counts[key]:,} of {cds:,} CDS ({counts[key] / cds:.1%}) {what}"
        for key, what in told.items()
        if counts[key] > 0
    ]
    if counts["cds_on_several_sequences"]:
        warnings.append(f"{counts['cds_on_several_sequences']:,} CDS lie on several sequences and were not translated")
    if counts["cds_with_overlapping_parts"]:
        warnings.append(f"{counts['cds_with_overlapping_parts']:,} CDS have parts that overlap; are lines there twice?")
    if counts["phases_that_disagree"]:
        warnings.append(
            f"{counts['phases_that_disagree']:,} CDS parts have a phase that the parts before do not leave over"
        )
    return warnings
