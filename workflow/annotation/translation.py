"""Stop codons inside spliced coding sequences, by streaming the genome once."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd
from Bio.Data import CodonTable

from workflow.annotation.models import GeneModels
from workflow.errors import InputError
from workflow.genome.alphabet import BASE_CODE
from workflow.genome.parallel import in_order
from workflow.genome.sequences import CHUNK_BASES, Genome

_LETTERS = "ACGT"  # in the order of BASE_CODE
_UNKNOWN = 255


@dataclass(frozen=True)
class Translation:
    """How the coding sequences of a genome translate.

    Attributes
    ----------
    transcripts : (n,) int64
        Rows of the transcripts that were translated: those with all their CDS on one sequence.
    lengths : (n,) int64
        Bases of each coding sequence, from its first whole codon.
    stops : (n,) int64
        Stop codons of each, but for the last codon.
    """

    transcripts: np.ndarray
    lengths: np.ndarray
    stops: np.ndarray


def translate(models: GeneModels, genome: Genome, shift_start: int = 0, shift_end: int = 0) -> Translation:
    """Count stop codons in each coding sequence, spliced in order of transcription.

    Memory holds the coding sequences of one sequence of the genome at a time.

    Parameters
    ----------
    models : GeneModels
    genome : Genome
    shift_start, shift_end : int
        Added to every start and end of the CDS.

    Raises
    ------
    InputError
        A CDS lies outside of its sequence, or a transl_table is not one of NCBI's.
    """
    cds = models.cds
    parts = pd.DataFrame(
        {
            "transcript": cds["transcript"].to_numpy(),
            "start": cds["start"].to_numpy() + shift_start,
            "end": cds["end"].to_numpy() + shift_end,
            "is_minus": cds["strand"].to_numpy() == "-",
            "phase": cds["phase"].to_numpy(),
            "seqid": cds["seqid"].to_numpy(),
        }
    )
    tables = models.transcripts["transl_table"].to_numpy()
    on_one = parts[(parts.groupby("transcript")["seqid"].transform("nunique") == 1).to_numpy()]
    groups = (group for _, group in on_one.groupby("seqid", sort=False))
    results = list(
        in_order(lambda group: _translate_sequence(genome, str(group["seqid"].iloc[0]), group, tables), groups)
    )
    if not results:
        return Translation(*(np.empty(0, np.int64) for _ in range(3)))
    return Translation(
        *(np.concatenate([getattr(r, key) for r in results]) for key in ("transcripts", "lengths", "stops"))
    )


def _translate_sequence(genome: Genome, seqid: str, parts: pd.DataFrame, tables: np.ndarray) -> Translation:
    """Count the stops of the transcripts on one sequence; `tables` are the genetic codes of all transcripts."""
    transcript, is_minus = parts["transcript"].to_numpy(np.int64), parts["is_minus"].to_numpy()
    start = np.maximum(parts["start"].to_numpy(np.int64), 0)
    end = np.maximum(parts["end"].to_numpy(np.int64), start)
    length = end - start
    offset = np.cumsum(length) - length
    spliced = np.full(int(length.sum()), _UNKNOWN, np.uint8)
    _splice(genome, seqid, spliced, start, end, offset, is_minus)
    borders = np.flatnonzero(np.diff(transcript, prepend=-1))
    firsts = offset[borders] + parts["phase"].to_numpy()[borders]
    lasts = np.append(offset[borders[1:]], len(spliced))
    stops = np.zeros(len(borders), np.int64)
    codes = tables[transcript[borders]]
    for table in np.unique(codes):
        chosen = codes == table
        stops[chosen] = count_stops(spliced, firsts[chosen], lasts[chosen], _stop_codons(int(table)))
    return Translation(transcript[borders], np.maximum(lasts - firsts, 0), stops)


def _splice(
    genome: Genome,
    seqid: str,
    spliced: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    offset: np.ndarray,
    is_minus: np.ndarray,
) -> None:
    """Copy the parts of a sequence to their places; only chunks that hold parts are read."""
    length = genome.lengths[seqid]
    # What lies past the end of a circular sequence is found once more from its beginning.
    for turn in range(int(-(-end.max() // length)) if end.size else 0):
        for chunk_start in range(0, length, CHUNK_BASES):
            chunk_end = min(chunk_start + CHUNK_BASES, length)
            low, high = chunk_start + turn * length, chunk_end + turn * length
            touched = np.flatnonzero((start < high) & (end > low))
            if touched.size:
                first = max(int(start[touched].min()), low) - turn * length
                last = min(int(end[touched].max()), high) - turn * length
                bases = genome.fetch(seqid, first, last)
                copy_parts(bases, BASE_CODE, first + turn * length, spliced, start, end, offset, is_minus, touched)


@numba.njit(nogil=True, cache=True)
def copy_parts(
    bases: np.ndarray,
    code_of: np.ndarray,
    origin: int,
    spliced: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    offset: np.ndarray,
    is_minus: np.ndarray,
    touched: np.ndarray,
) -> None:
    """Copy what a stretch of the genome holds of some parts into the spliced sequences.

    Parameters
    ----------
    bases : (n,) uint8
        ASCII of the stretch.
    code_of : (256,) uint8
        Code of each letter.
    origin : int
        Where it starts.
    spliced : (total,) uint8
        Filled.
    start, end, offset, is_minus : (parts,)
        Where each part is, where it goes, and whether as its reverse complement.
    touched : (k,) int64
        Parts that overlap the stretch.
    """
    stretch_end = origin + len(bases)
    for part in touched:
        for position in range(max(start[part], origin), min(end[part], stretch_end)):
            code = code_of[bases[position - origin]]
            if is_minus[part]:
                spliced[offset[part] + end[part] - 1 - position] = code if code > 3 else 3 - code
            else:
                spliced[offset[part] + position - start[part]] = code


@numba.njit(nogil=True, cache=True)
def count_stops(codes: np.ndarray, first: np.ndarray, last: np.ndarray, is_stop: np.ndarray) -> np.ndarray:
    """Stop codons of each stretch [first, last) read from its start, but for the last whole codon, (n,) int64."""
    stops = np.zeros(len(first), np.int64)
    for row in range(len(first)):
        for at in range(first[row], last[row] - 5, 3):
            a, b, c = codes[at], codes[at + 1], codes[at + 2]
            if a < 4 and b < 4 and c < 4 and is_stop[16 * a + 4 * b + c]:
                stops[row] += 1
    return stops


def _stop_codons(table: int) -> np.ndarray:
    """Which of the 64 codons, in order of A, C, G, T, stop in an NCBI genetic code, (64,) bool."""
    if table not in CodonTable.unambiguous_dna_by_id:
        raise InputError(f"the annotation has transl_table={table}; NCBI has no such genetic code")
    is_stop = np.zeros(64, bool)
    for codon in CodonTable.unambiguous_dna_by_id[table].stop_codons:
        a, b, c = (_LETTERS.index(letter) for letter in codon)
        is_stop[16 * a + 4 * b + c] = True
    return is_stop
