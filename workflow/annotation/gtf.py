"""What is particular to GTF: ids in the attributes of every line, genes and transcripts without a line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workflow.annotation.features import Kind, kind_of
from workflow.annotation.table import SCHEMA

GTF_KEYS = ("gene_id", "transcript_id", "gene_name", "gene", "transcript_name", "transl_table", "exception")
#: Added to a transcript's id where that is also its gene's.
_SUFFIX = ".transcript"


def gtf_columns(types: pa.Array, values: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns id, parent, name and exception of GTF lines.

    A gene's id is its gene_id. A transcript's is its transcript_id and its parent the gene; everything else has
    no id and the transcript, or where none is named the gene, as parent.
    """
    kinds = types.dictionary_encode()
    kind = np.array([kind_of(name) for name in kinds.dictionary.to_pylist()], np.int8)[kinds.indices.to_numpy()]
    is_gene, is_transcript = pa.array(kind == Kind.GENE), pa.array(kind == Kind.TRANSCRIPT)
    gene = _or_null(values["gene_id"])
    transcript = _or_null(values["transcript_id"])
    same = pc.fill_null(pc.equal(gene, transcript), False)
    transcript = pc.if_else(same, pc.binary_join_element_wise(transcript, _SUFFIX, ""), transcript)
    nothing = pa.scalar(None, pa.string())
    return {
        "id": pc.if_else(is_gene, gene, pc.if_else(is_transcript, transcript, nothing)),
        "parent": pc.if_else(is_gene, nothing, pc.if_else(is_transcript, gene, pc.coalesce(transcript, gene))),
        "name": pc.if_else(
            is_gene,
            pc.coalesce(values["gene_name"], values["gene"]),
            pc.if_else(is_transcript, values["transcript_name"], nothing),
        ),
        "exception": values["exception"],
    }


def _or_null(strings: pa.Array) -> pa.Array:
    """NCBI writes `transcript_id ""` on genes."""
    return pc.if_else(pc.equal(strings, ""), pa.scalar(None, pa.string()), strings)


class DerivedFeatures:
    """Collects the extents of genes and transcripts, and gives rows to those that have none."""

    def __init__(self) -> None:
        self._extents: list[pd.DataFrame] = []
        self._seen: list[pa.Array] = []

    def note(self, table: pa.Table, gene_ids: pa.Array) -> None:
        """Take in a block of lines; `gene_ids` are their genes."""
        self._seen.append(pc.unique(table["id"]).drop_null())
        frame = table.select(["seqid", "start", "end", "strand", "id", "parent"]).to_pandas()
        frame["gene"] = gene_ids.to_pandas()
        frame = frame[frame["id"].isna() & frame["gene"].notna()]
        self._extents.append(_extents(frame, ["gene", "parent", "seqid"]))

    def table(self) -> pa.Table:
        """Rows of the genes and transcripts that are named but have no line, with the columns of SCHEMA."""
        seen = {name for ids in self._seen for name in ids.to_pylist()}
        extents = _extents(pd.concat(self._extents, ignore_index=True), ["gene", "parent", "seqid"])
        is_transcript = (extents["parent"] != extents["gene"]) & ~extents["parent"].isin(seen)
        transcripts = extents[is_transcript].drop_duplicates("parent")
        transcripts = transcripts.assign(id=transcripts["parent"], parent=transcripts["gene"], type="transcript")
        genes = _extents(extents[~extents["gene"].isin(seen)], ["gene", "seqid"]).drop_duplicates("gene")
        genes = genes.assign(id=genes["gene"], parent=None, type="gene")
        rows = pd.concat([genes, transcripts], ignore_index=True).assign(source="derived")
        rows["attributes"] = _attributes(rows)
        return pa.Table.from_pandas(rows.reindex(columns=SCHEMA.names), SCHEMA, preserve_index=False)


def _extents(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Smallest start and largest end of each group, in the order of first appearance."""
    groups = frame.groupby(by, sort=False)
    return groups.agg({"start": "min", "end": "max", "strand": "first"}).reset_index()


def _attributes(rows: pd.DataFrame) -> list[str]:
    """Column 9 as the file would have it."""
    pairs = zip(rows["type"], rows["gene"], rows["id"], strict=True)
    return [
        f'gene_id "{gene}";' if kind == "gene" else f'gene_id "{gene}"; transcript_id "{own.removesuffix(_SUFFIX)}";'
        for kind, gene, own in pairs
    ]
