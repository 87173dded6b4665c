"""Gene models written out by hand, and window sets made of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workflow.annotation.classes import ClassTrack, write_classes
from workflow.annotation.models import GeneModels
from workflow.config import WindowSetConfig
from workflow.genome.sequences import Genome
from workflow.windows.sets import write_window_set

Span = tuple[int, int]


@dataclass
class Gene:
    """A gene with one transcript `t_<id>`; exons and coding parts in the order of transcription."""

    gene_id: str
    seqid: str
    strand: str
    exons: list[Span]
    cds: list[Span] = field(default_factory=list)
    phase: int = 0
    strands: list[str] | None = None
    extent: Span | None = None


def gene_models(*genes: Gene) -> GeneModels:
    """The tables of some genes."""
    rows: dict[str, list[dict[str, Any]]] = {"genes": [], "transcripts": [], "exons": [], "cds": []}
    for number, gene in enumerate(genes):
        start, end = gene.extent or (min(s for s, _ in gene.exons), max(e for _, e in gene.exons))
        place = {"seqid": gene.seqid, "start": start, "end": end, "strand": gene.strand}
        rows["genes"].append({"gene_id": gene.gene_id, **place, "type": "gene", "name": None})
        rows["transcripts"].append(
            {"transcript_id": f"t_{gene.gene_id}", "gene": number, **place, "type": "mRNA", "coding": bool(gene.cds)}
        )
        strands = gene.strands or [gene.strand] * len(gene.exons)
        for kind, spans in (("exons", gene.exons), ("cds", gene.cds)):
            phase = gene.phase
            for (one, other), strand in zip(spans, strands, strict=False):
                part = {"transcript": number, "seqid": gene.seqid, "start": one, "end": other, "strand": strand}
                rows[kind].append(part | ({"phase": phase} if kind == "cds" else {}))
                phase = (phase - (other - one)) % 3
    columns = {
        "genes": ["gene_id", "seqid", "start", "end", "strand", "type", "name"],
        "transcripts": ["transcript_id", "gene", "seqid", "start", "end", "strand", "type", "coding"],
        "exons": ["transcript", "seqid", "start", "end", "strand"],
        "cds": ["transcript", "seqid", "start", "end", "strand", "phase"],
    }
    numbers = ("gene", "start", "end", "transcript", "phase")
    tables = {}
    for name, of_table in columns.items():
        table = pd.DataFrame(rows[name], columns=of_table)
        tables[name] = table.astype({column: np.int64 for column in of_table if column in numbers})
    return GeneModels(**tables)


@dataclass
class Written:
    """What was written, read back."""

    table: pd.DataFrame
    records: dict[str, str]
    summary: dict[str, Any]


class Maker:
    """Makes window sets of one genome."""

    def __init__(self, folder: Path, genome_of: Callable[[dict[str, str]], Genome]) -> None:
        self.folder, self.genome_of = folder, genome_of

    def __call__(
        self,
        sequences: dict[str, str],
        regions: list[tuple[str, int, int, str]],
        genes: list[Gene],
        settings: WindowSetConfig,
        **options: Any,
    ) -> Written:
        genome, models = self.genome_of(sequences), gene_models(*genes)
        write_classes(genome, models, self.folder / "classes.npy")
        table = pd.DataFrame(
            {
                "seqid": list(sequences),
                "group": [f"group of {seqid}" for seqid in sequences],
                "haplotype": [None if number else "A" for number, _ in enumerate(sequences)],
            }
        )
        arguments = {"length": 10, "min_length": 1, "copies": single_copies, "treatment": "weight"} | options
        with ClassTrack(self.folder / "classes.npy", genome.lengths) as classes:
            summary = write_window_set(
                "some",
                settings,
                genome=genome,
                regions=pd.DataFrame(regions, columns=["seqid", "start", "end", "split"]),
                sequences=table,
                models=models,
                classes=classes,
                folder=self.folder,
                **arguments,
            )
        windows = pd.read_parquet(self.folder / "some.parquet")
        with Genome(self.folder / "some.fa") as made:
            records = {seqid: made.fetch(seqid, 0, length).tobytes().decode() for seqid, length in made.lengths.items()}
        return Written(windows, records, summary)


def single_copies(windows: pd.DataFrame) -> pd.DataFrame:
    """Every window is the only one of its kind."""
    return pd.DataFrame({"copies": np.ones(len(windows), np.int64), "is_first": np.ones(len(windows), bool)})


@pytest.fixture
def window_set(tmp_path: Path, genome_of: Callable[[dict[str, str]], Genome]) -> Maker:
    """Makes a set: sequences, regions (seqid, start, end, split), genes, settings, options of `write_window_set`."""
    return Maker(tmp_path, genome_of)


@pytest.fixture
def gene() -> type[Gene]:
    """The maker of genes."""
    return Gene


@pytest.fixture
def models_of() -> Callable[..., GeneModels]:
    """The maker of gene models."""
    return gene_models
