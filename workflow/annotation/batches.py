"""Gene models of a whole annotation file, some sequences at a time, so that memory stays bounded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow.annotation.models import GeneModels, gene_models
from workflow.genome.names import natural_key

#: Rows of the annotation that are worked on at a time, about; each takes some 300 bytes.
_MOST_ROWS = 1 << 20


def read_gene_models(annotation: Path, most_rows: int = _MOST_ROWS) -> GeneModels:
    """The gene models that `gene_models` makes of what `import_annotation` wrote.

    Genes rarely have parts on several sequences. Where one has, all sequences are worked on at once.

    Parameters
    ----------
    annotation : Path
    most_rows : int
        Rows worked on at a time, but never less than those of a sequence.
    """
    batches = _batches(annotation, most_rows)
    if len(batches) < 2:
        return gene_models(annotation)
    models = []
    for seqids in batches:
        models.append(gene_models(pq.read_table(annotation, filters=pc.field("seqid").isin(seqids))))
    joined = _joined(models)
    if joined.genes["gene_id"].is_unique and joined.transcripts["transcript_id"].is_unique:
        return joined
    return gene_models(annotation)


def _batches(annotation: Path, most_rows: int) -> list[list[str]]:
    """Sequences in natural order, as many together as have about so many rows."""
    rows: Counter[str] = Counter()
    for batch in pq.ParquetFile(annotation).iter_batches(columns=["seqid"]):
        rows.update({entry["values"]: entry["counts"] for entry in pc.value_counts(batch["seqid"]).to_pylist()})
    batches: list[list[str]] = []
    room = 0
    for seqid in sorted(rows, key=natural_key):
        if rows[seqid] > room:
            batches.append([])
            room = most_rows
        batches[-1].append(seqid)
        room -= rows[seqid]
    return batches


def _joined(models: list[GeneModels]) -> GeneModels:
    """Gene models of different sequences as one."""
    genes = transcripts = 0
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in ("genes", "transcripts", "exons", "cds")}
    for one in models:
        tables["genes"].append(one.genes)
        tables["transcripts"].append(one.transcripts.assign(gene=one.transcripts["gene"] + genes))
        for name, parts in (("exons", one.exons), ("cds", one.cds)):
            tables[name].append(parts.assign(transcript=parts["transcript"] + transcripts))
        genes, transcripts = genes + len(one.genes), transcripts + len(one.transcripts)
    return GeneModels(**{name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()})
