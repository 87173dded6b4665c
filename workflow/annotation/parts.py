"""The parts of transcripts: their order of transcription, stop codons, derived exons and phases."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.annotation.features import Features, Kind


def locate_parts(features: Features, parts: pd.DataFrame) -> pd.DataFrame:
    """Add seqid, start, end, strand, phase and position to parts (transcript, row, kind).

    The position is the start, plus the sequence's length for what follows the origin of a circular sequence:
    rows that start in its first half, of a transcript with rows on both sides of the origin.
    """
    rows = parts["row"].to_numpy()
    parts = parts.assign(
        seqid=features.seqid[rows],
        start=features.start[rows],
        end=features.end[rows],
        strand=features.strand[rows],
        phase=features.phase[rows],
    )
    parts["position"] = parts["start"]
    for seqid, length in features.circular.items():
        on_circle = parts[parts["seqid"] == seqid]
        before = on_circle.loc[on_circle["end"] == length, "transcript"]
        after = on_circle.loc[on_circle["start"] == 0, "transcript"]
        crosses = on_circle["transcript"].isin(set(before) & set(after)) & (on_circle["start"] < length / 2)
        parts.loc[on_circle.index[crosses], "position"] += length
    return parts


def extents(parts: pd.DataFrame, count: int) -> pd.DataFrame:
    """Smallest stretch that holds all parts of each transcript that are on the sequence of its first part.

    Parameters
    ----------
    parts : DataFrame
        transcript, seqid, start, end, position, strand and row, sorted by row.
    count : int
        Number of transcripts.

    Returns
    -------
    DataFrame
        One row a transcript: seqid and strand (codes of the first part; -1 where there are no parts), start, end, row.
    """
    order = np.argsort(parts["transcript"].to_numpy(), kind="stable")
    transcript = parts["transcript"].to_numpy()[order]
    borders = np.flatnonzero(np.diff(transcript, prepend=-1))
    first = order[borders]
    position = parts["position"].to_numpy()
    end = position + (parts["end"] - parts["start"]).to_numpy()
    seqid = parts["seqid"].to_numpy()
    same = seqid[order] == np.repeat(seqid[first], np.diff(np.append(borders, len(order))))
    table = {name: np.full(count, -1, np.int64) for name in ("seqid", "strand", "row", "start", "end")}
    if first.size:
        at = transcript[borders]
        for name in ("seqid", "strand", "row"):
            table[name][at] = parts[name].to_numpy()[first]
        far = np.iinfo(np.int64).max
        table["start"][at] = np.minimum.reduceat(np.where(same, position[order], far), borders)
        table["end"][at] = np.maximum.reduceat(np.where(same, end[order], -1), borders)
    return pd.DataFrame(table)


def in_order(features: Features, parts: pd.DataFrame, trans_spliced: np.ndarray) -> pd.DataFrame:
    """Sort parts by transcript and, within it, in order of transcription.

    Parameters
    ----------
    features : Features
    parts : DataFrame
        From `locate_parts`.
    trans_spliced : (transcripts,) bool
        Transcripts whose parts stay in the order of the file, or of their `part=` numbers.
    """
    position, length = parts["position"].to_numpy(), (parts["end"] - parts["start"]).to_numpy()
    is_minus = parts["strand"].to_numpy() == _code(features.strands, "-")
    order = np.where(is_minus, -(position + length), position)
    keeps = trans_spliced[parts["transcript"].to_numpy()]
    if keeps.any():
        rows = parts["row"].to_numpy()[keeps]
        order[keeps] = np.maximum(features.part[rows], 0).astype(np.int64) * len(features) + rows
    return parts.iloc[np.lexsort((order, parts["transcript"].to_numpy()))].reset_index(drop=True)


def are_trans_spliced(features: Features, parts: pd.DataFrame, gene_rows: np.ndarray) -> np.ndarray:
    """Which transcripts have parts on both strands, on several sequences or numbered, or an exception that says so.

    Parameters
    ----------
    features : Features
    parts : DataFrame
        From `locate_parts`.
    gene_rows : (transcripts,) int64
        First row of each transcript's gene, -1 where it is derived.
    """
    says_so = np.array(["trans" in name and "splic" in name for name in features.exceptions] + [False])
    trans_spliced = says_so[np.where(gene_rows >= 0, features.exception[gene_rows], -1)]
    transcript, rows = parts["transcript"].to_numpy(), parts["row"].to_numpy()
    marked = says_so[features.exception[rows]] | (features.part[rows] >= 0)
    trans_spliced[transcript[marked]] = True
    order = np.argsort(transcript, kind="stable")
    same = np.diff(transcript[order]) == 0
    for name in ("strand", "seqid"):
        differs = same & (np.diff(parts[name].to_numpy()[order]) != 0)
        trans_spliced[transcript[order][1:][differs]] = True
    return trans_spliced


def join_stops(parts: pd.DataFrame) -> pd.DataFrame:
    """Make stop codons part of the CDS: within one they vanish, beside one they lengthen it, else they are a part.

    GTF leaves the stop codon out of the CDS, GFF3 does not.
    """
    is_stop = parts["kind"] == Kind.STOP
    if not is_stop.any():
        return parts
    parts = parts.reset_index(drop=True)
    is_stop = parts["kind"] == Kind.STOP
    columns = ["transcript", "start", "end"]
    stops = parts.loc[is_stop, columns].reset_index(names="stop")
    cds = parts.loc[parts["kind"] == Kind.CDS, columns].reset_index(names="cds")
    pairs = stops.merge(cds, on="transcript", suffixes=("", "_cds"))
    inside = pairs[(pairs["start_cds"] <= pairs["start"]) & (pairs["end"] <= pairs["end_cds"])]
    after = pairs[pairs["end_cds"] == pairs["start"]]
    before = pairs[pairs["start_cds"] == pairs["end"]]
    parts.loc[after["cds"].to_numpy(), "end"] = after["end"].to_numpy()
    parts.loc[before["cds"].to_numpy(), "start"] -= (before["end"] - before["start"]).to_numpy()
    parts.loc[before["cds"].to_numpy(), "position"] -= (before["end"] - before["start"]).to_numpy()
    parts.loc[is_stop, "kind"] = Kind.CDS
    used = pd.concat([inside["stop"], after["stop"], before["stop"]])
    return parts[~parts.index.isin(used)]


def exons_of(features: Features, parts: pd.DataFrame, trans_spliced: np.ndarray) -> pd.DataFrame:
    """Exons of each transcript: those given, else its CDS and UTRs joined, else the transcript's own rows.

    Parameters
    ----------
    features : Features
    parts : DataFrame
        All parts, in order of transcription.
    trans_spliced : (transcripts,) bool
        Transcripts whose CDS are their exons as they are.
    """
    has = {kind: np.zeros(len(trans_spliced), bool) for kind in (Kind.EXON, Kind.CDS, Kind.UTR)}
    transcript, kind = parts["transcript"].to_numpy(), parts["kind"].to_numpy()
    for name, mask in has.items():
        mask[transcript[kind == name]] = True
    given = has[Kind.EXON][transcript]
    coded = (has[Kind.CDS] | has[Kind.UTR])[transcript] & ~given
    is_cds_or_utr = (kind == Kind.CDS) | (kind == Kind.UTR)
    joined = _joined(parts[coded & is_cds_or_utr & ~trans_spliced[transcript]])
    spliced = coded & trans_spliced[transcript] & (kind == Kind.CDS)
    bare = ~given & ~coded & (kind == Kind.TRANSCRIPT)
    exons = parts[(given & (kind == Kind.EXON)) | spliced | bare]
    return exons if joined.empty else in_order(features, pd.concat([exons, joined]), trans_spliced)


def _joined(parts: pd.DataFrame) -> pd.DataFrame:
    """Parts that touch or overlap within a transcript made one."""
    parts = parts.iloc[np.lexsort((parts["position"].to_numpy(), parts["transcript"].to_numpy()))]
    length = (parts["end"] - parts["start"]).to_numpy()
    start = parts["position"].to_numpy()
    if not length.size:
        return parts
    apart = np.int64((start + length).max() + 1) * parts["transcript"].to_numpy().astype(np.int64)
    reached = np.maximum.accumulate(start + length + apart)
    borders = np.flatnonzero(np.append(True, (start + apart)[1:] > reached[:-1]))
    last = np.append(borders[1:], len(parts)) - 1
    joined = parts.iloc[borders].copy()
    joined["end"] = joined["start"] + (reached[last] - (start + apart)[borders])
    return joined


def phases_of(parts: pd.DataFrame) -> np.ndarray:
    """Phase of each CDS part: as given, else what the parts before leave over, (parts,) int8.

    Parameters
    ----------
    parts : DataFrame
        transcript, start, end and phase (-1 where not given), in order of transcription.
    """
    phase = parts["phase"].to_numpy().astype(np.int64)
    if not phase.size:
        return phase.astype(np.int8)
    length = (parts["end"] - parts["start"]).to_numpy()
    before = np.cumsum(length) - length
    is_first = np.diff(parts["transcript"].to_numpy(), prepend=-1) != 0
    first = np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    derived = (np.maximum(phase[first], 0) - (before - before[first])) % 3
    return np.where(phase >= 0, phase, derived).astype(np.int8)


def _code(values: list[str], value: str) -> int:
    return values.index(value) if value in values else -2
