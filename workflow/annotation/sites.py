"""Places along the genes at which a model's scores are looked at: starts, stops and splice sites."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.annotation.classes import SHORTEST_INTRON
from workflow.annotation.models import GeneModels
from workflow.genome.layout import Layout, Parts, parts_of
from workflow.genome.names import natural_key

#: In the order in which a gene is read.
SITE_KINDS = ("tss", "start_codon", "donor", "acceptor", "stop_codon")


def gene_sites(models: GeneModels, lengths: dict[str, int]) -> pd.DataFrame:
    """One base for each site of each transcript; transcripts that share a site count once.

    `tss` is the first transcribed base, `start_codon` and `stop_codon` the first base of these codons, `donor` the
    first and `acceptor` the last base of an intron, all in the direction of transcription. A coding transcript
    without a 5′ untranslated part has no `tss`: its annotation begins with the start codon. Coding sequences that
    begin within a codon, or are not whole codons long, have no start or stop codon, and gaps of fewer than
    15 bases are no introns.

    Parameters
    ----------
    models : GeneModels
    lengths : dict
        Bases by seqid.

    Returns
    -------
    DataFrame
        kind, seqid, position (0-based, forward strand), strand; in natural order of seqid, then by position.
    """
    layout = Layout(lengths, sorted(lengths, key=natural_key))
    exons, cds = parts_of(models.exons, layout), parts_of(models.cds, layout)
    phase = models.cds["phase"].to_numpy(np.int64)[cds.row]
    found = [_starts(exons, cds), _start_codons(cds, phase), *_splice_sites(exons), _stop_codons(cds, phase)]
    table = pd.DataFrame(
        {
            "kind": np.repeat(SITE_KINDS, [len(places) for places, _ in found]),
            "place": np.concatenate([places for places, _ in found]),
            "strand": np.where(np.concatenate([reverse for _, reverse in found]), "-", "+"),
        }
    ).drop_duplicates(ignore_index=True)
    sequence, position = layout.local(table["place"].to_numpy(np.int64))
    table = table.assign(seqid=layout.seqids.to_numpy()[sequence].astype(str), position=position)
    return table.sort_values(["place", "kind", "strand"], ignore_index=True)[["kind", "seqid", "position", "strand"]]


_Sites = tuple[np.ndarray, np.ndarray]


def _first_base(parts: Parts, rows: np.ndarray) -> np.ndarray:
    """What is read first of each part."""
    places: np.ndarray = np.where(parts.reverse[rows], parts.end[rows] - 1, parts.start[rows])
    return places


def _starts(exons: Parts, cds: Parts) -> _Sites:
    rows, coding = exons.first_rows(), cds.first_rows()
    first = _first_base(exons, rows)
    start_of = dict(zip(cds.transcript[coding].tolist(), _first_base(cds, coding).tolist(), strict=True))
    known = np.array(
        [
            start_of.get(key) != place
            for key, place in zip(exons.transcript[rows].tolist(), first.tolist(), strict=True)
        ],
        bool,
    )
    return first[known], exons.reverse[rows][known]


def _start_codons(cds: Parts, phase: np.ndarray) -> _Sites:
    rows = cds.first_rows()
    rows = rows[phase[rows] == 0]
    return _first_base(cds, rows), cds.reverse[rows]


def _stop_codons(cds: Parts, phase: np.ndarray) -> _Sites:
    """Where the last part holds the whole stop codon."""
    first = cds.first_rows()
    if not len(first):
        return np.empty(0, np.int64), np.empty(0, bool)
    last = np.append(first[1:], len(cds.start)) - 1
    read = np.add.reduceat(cds.length, first) - phase[first]
    last = last[(read % 3 == 0) & (cds.length[last] >= 3)]
    return np.where(cds.reverse[last], cds.start[last] + 2, cds.end[last] - 3), cds.reverse[last]


def _splice_sites(exons: Parts) -> list[_Sites]:
    row, start, end = exons.gaps()
    is_intron = end - start >= SHORTEST_INTRON
    reverse, start, end = exons.reverse[row[is_intron]], start[is_intron], end[is_intron]
    return [(np.where(reverse, end - 1, start), reverse), (np.where(reverse, start, end - 1), reverse)]
