"""Gene models: genes, transcripts, exons and coding sequences, with what a file leaves out derived."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow.annotation.features import Features, Kind, read_features
from workflow.annotation.parts import (
    are_trans_spliced,
    exons_of,
    extents,
    in_order,
    join_stops,
    locate_parts,
    phases_of,
)
from workflow.annotation.transcripts import assign_parts, climb_to_genes, kind_of_key, own_keys, row_of
from workflow.genome.names import natural_key


@dataclass(frozen=True)
class GeneModels:
    """Gene models of a genome. Coordinates are 0-based half-open, on the forward strand.

    On a circular sequence an end may lie past the sequence's length: of a part where the file has it so, of a
    gene or transcript always when its parts lie on both sides of the origin.

    Attributes
    ----------
    genes : DataFrame
        gene_id, seqid, start, end, strand, type, name (or null). In natural order of seqid, then by start.
        A gene in several pieces spans those on the sequence of its first piece.
    transcripts : DataFrame
        transcript_id, gene (row of `genes`), seqid, start, end, strand, type, coding (bool), transl_table
        (NCBI's number of the genetic code; 1 unless given), exception (what the file says of the
        translation, or null). In the order of genes, then of the file.
    exons : DataFrame
        transcript (row of `transcripts`), seqid, start, end, strand; per transcript in order of transcription.
    cds : DataFrame
        transcript, seqid, start, end, strand, phase (int8, 0 to 2: bases before the first whole codon); per
        transcript in order of transcription. Of coding transcripts only: not of pseudogenes.
    """

    genes: pd.DataFrame
    transcripts: pd.DataFrame
    exons: pd.DataFrame
    cds: pd.DataFrame


def gene_models(annotation: pd.DataFrame | pa.Table | Path) -> GeneModels:
    """Gene models of an annotation table.

    Rows with one ID are one feature; a part with several parents counts for each. Derived are exons, from CDS
    and UTRs or from the transcript itself; a transcript of a gene that holds CDS or exons directly (its id is
    that of the CDS, else of the gene), unless an mRNA of the gene covers them; transcript and gene of a CDS
    without parent; the gene of a transcript without; phases. A stop codon outside of the CDS, as GTF has it, is
    added to it. An exon without a parent belongs to nothing and is passed over.

    Parts are ordered by position and strand, but for trans-spliced transcripts, which keep the order of the
    file, or of `part=`: those with parts on both strands, on several sequences or numbered, or whose exception
    says so. On a circular sequence, parts on both sides of the origin follow each other across it.

    Parameters
    ----------
    annotation : DataFrame, Table or Path
        What `import_annotation` wrote.

    Raises
    ------
    InputError
        A feature is its own ancestor.
    """
    features = read_features(annotation)
    parts = assign_parts(features)
    keys, transcript = np.unique(parts.pop("key").to_numpy(), return_inverse=True)
    parts = locate_parts(features, parts.assign(transcript=transcript.astype(np.int32)))
    spans = extents(parts, len(keys)).assign(key=keys, gene_key=climb_to_genes(features, keys))
    genes = _genes(features, spans)
    spans["gene"] = pd.Index(genes["key"]).get_indexer(pd.Index(spans["gene_key"]))
    place = np.empty(len(spans), np.int32)
    order = np.lexsort((spans["row"].to_numpy(), spans["gene"].to_numpy()))
    place[order] = np.arange(len(order))
    spans, parts = spans.iloc[order].reset_index(drop=True), parts.assign(transcript=place[parts["transcript"]])

    gene_rows = row_of(features, genes["key"].to_numpy())[spans["gene"].to_numpy()]
    trans_spliced = are_trans_spliced(features, parts, gene_rows)
    parts = in_order(features, join_stops(parts), trans_spliced)
    exons = exons_of(features, parts, trans_spliced)
    transcripts = _transcripts(features, spans, parts, genes)
    is_cds = (parts["kind"].to_numpy() == Kind.CDS) & transcripts["coding"].to_numpy()[parts["transcript"].to_numpy()]
    cds = parts[is_cds]
    return GeneModels(
        genes=_gene_table(features, genes),
        transcripts=transcripts,
        exons=_part_table(features, exons),
        cds=_part_table(features, cds).assign(phase=phases_of(cds)),
    )


def _genes(features: Features, spans: pd.DataFrame) -> pd.DataFrame:
    """Genes in their final order: key, seqid, start, end, strand, type; seqid and strand as codes."""
    rows = np.flatnonzero(features.kind == Kind.GENE)
    own = own_keys(features, rows)
    keys = np.unique(np.concatenate([own, spans["gene_key"].to_numpy()]))
    pieces = pd.DataFrame({"transcript": np.searchsorted(keys, own), "row": rows, "kind": Kind.GENE})
    genes = extents(locate_parts(features, pieces), len(keys))
    of_transcripts = spans.assign(transcript=np.searchsorted(keys, spans["gene_key"]), position=spans["start"])
    derived = extents(of_transcripts.sort_values("row", kind="stable"), len(keys))
    genes = genes.where(genes["row"] >= 0, derived).assign(key=keys)
    types = np.array(features.types, object)[features.type[genes["row"].to_numpy()]]
    is_derived = kind_of_key(features, keys) != Kind.GENE
    types[is_derived] = ["pseudogene" if "pseudo" in name else "gene" for name in types[is_derived]]
    rank = np.empty(len(features.seqids), np.int64)
    rank[sorted(range(len(rank)), key=lambda code: natural_key(features.seqids[code]))] = np.arange(len(rank))
    order = np.lexsort((genes["row"].to_numpy(), genes["start"].to_numpy(), rank[genes["seqid"].to_numpy()]))
    return genes.assign(type=types).iloc[order].reset_index(drop=True)


def _transcripts(features: Features, spans: pd.DataFrame, parts: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """The table of transcripts; `spans` is in its order."""
    transcript, kind, rows = (parts[name].to_numpy() for name in ("transcript", "kind", "row"))
    has_cds = np.zeros(len(spans), bool)
    has_cds[transcript[kind == Kind.CDS]] = True
    keys = spans["key"].to_numpy()
    is_derived = ~np.isin(kind_of_key(features, keys), (Kind.TRANSCRIPT, Kind.OTHER))
    types = np.array(features.types, object)[features.type[spans["row"].to_numpy()]]
    types[is_derived] = np.where(has_cds, "mRNA", "transcript")[is_derived]
    gene_types = genes["type"].to_numpy()[spans["gene"].to_numpy()]
    is_pseudo = _contains(types, "pseudo") | _contains(gene_types, "pseudo")
    table = np.full(len(spans), 1, np.int16)
    exception = np.full(len(spans), None, object)
    with_table = features.transl_table[rows] > 0
    table[transcript[with_table]] = features.transl_table[rows[with_table]]
    with_exception = features.exception[rows] >= 0
    exception[transcript[with_exception]] = np.array(features.exceptions, object)[
        features.exception[rows[with_exception]]
    ]
    return pd.DataFrame(
        {
            "transcript_id": _key_names(features, keys),
            "gene": spans["gene"].to_numpy(),
            **_where(features, spans),
            "type": types,
            "coding": has_cds & ~is_pseudo,
            "transl_table": table,
            "exception": exception,
        }
    )


def _contains(types: np.ndarray, word: str) -> np.ndarray:
    """Where a type contains a word; there are few types and many rows."""
    hits = [name for name in set(types.tolist()) if word in name]
    return np.isin(types, hits) if hits else np.zeros(len(types), bool)


def _gene_table(features: Features, genes: pd.DataFrame) -> pd.DataFrame:
    row = row_of(features, genes["key"].to_numpy())
    return pd.DataFrame(
        {
            "gene_id": _key_names(features, genes["key"].to_numpy()),
            **_where(features, genes),
            "type": genes["type"].to_numpy(),
            "name": features.name.take(pa.array(row, mask=row < 0)).to_pandas().astype(object),
        }
    )


def _part_table(features: Features, parts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"transcript": parts["transcript"].to_numpy(), **_where(features, parts)})


def _where(features: Features, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns seqid, start, end, strand with names in place of codes."""
    return {
        "seqid": np.array(features.seqids, object)[table["seqid"].to_numpy()],
        "start": table["start"].to_numpy(),
        "end": table["end"].to_numpy(),
        "strand": np.array(features.strands, object)[table["strand"].to_numpy()],
    }


def _key_names(features: Features, keys: np.ndarray) -> np.ndarray:
    """Names of keys; a feature without an ID is called by its type and place (from 1, as in GFF3)."""
    named = len(features.names)
    names = np.empty(len(keys), object)
    names[keys < named] = features.names.take(pa.array(keys[keys < named])).to_numpy(zero_copy_only=False)
    names[keys >= named] = [
        f"{features.types[features.type[row]]}:{features.seqids[features.seqid[row]]}"
        f":{features.start[row] + 1}-{features.end[row]}"
        for row in (keys[keys >= named] - named).tolist()
    ]
    return names
