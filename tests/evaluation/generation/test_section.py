from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.baselines.markov import MarkovModel
from evaluation.drawing import style
from evaluation.generation import section
from evaluation.generation.reading import Generation, read
from evaluation.page.layout import Section
from tests.evaluation.generation.conftest import random_dna
from tests.evaluation.generation.test_completion import GENE, PROMPT, gene

LABELS = {
    "genome": "genome, random",
    "truth": "genome, after prompts",
    "markov": "Markov",
    "base": "base",
    "adapted": "adapted",
}
Read = Callable[..., Generation]
MakeTable = Callable[..., pd.DataFrame]


@pytest.fixture
def read_table(tmp_path: Path, prepared: Path, markov: MarkovModel) -> Read:
    def reading(table: pd.DataFrame, genes: pd.DataFrame | None = None) -> Generation:
        table.to_parquet(tmp_path / "generations.parquet")
        if genes is not None:
            genes.to_parquet(tmp_path / "genes.parquet")
        return read(tmp_path, prepared, markov, samples=100, confidence=0.95, seed=1)

    return reading


def shown(generation: Generation) -> tuple[list[Section], list[str]]:
    """The sections, and the names of their pictures, all of which can be drawn."""
    with style.applied():
        parts = section.sections(generation, LABELS)
        pictures = [picture for part in parts for picture in part.pictures]
        for picture in pictures:
            picture.figure.draw_without_rendering()
            assert picture.figure.get_figwidth() <= style.PAGE_WIDTH
    return parts, [picture.name for picture in pictures]


def with_genes(table: pd.DataFrame) -> pd.DataFrame:
    row = {
        "prompt_id": "gene:abc",
        "kind": "gene",
        "prompt": GENE[:PROMPT],
        "truth": GENE[PROMPT:],
        "first_logprob": -1.0,
    }
    rows = [
        row | {"model": model, "sample": s, "sequence": GENE[PROMPT:]} for model in ("base", "adapted") for s in (0, 1)
    ]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


def test_everything_is_shown(make_generations: MakeTable, read_table: Read) -> None:
    table = make_generations(lambda model, prompt, sample: random_dna(330 + 10 * sample, 9 * prompt + sample))
    generation = read_table(with_genes(table), gene())
    parts, pictures = shown(generation)
    assert pictures == [
        "logo", "lengths", "kmers", "kmer_plane", "sequence_properties", "generation_copies", "diversity",
        "gene_completion",
    ]  # fmt: skip
    assert [len(part.tables) for part in parts] == [1, 2, 1, 1, 1]
    for table_ in (table_ for part in parts for table_ in part.tables):
        assert {len(row) for row in table_.rows} == {len(table_.columns)}
    composition = parts[0].tables[0]
    assert [row[0] for row in composition.rows] == list(LABELS.values())
    assert composition.rows[3][1:3] == ["12", "340"]
    assert parts[-1].tables[0].rows[0][:4] == ["abc", "Testudo exempli", "60", "100.0"]
    assert [gate["subject"] for gate in section.checks(generation)] == ["base", "adapted"]


def test_one_sequence_gives_numbers_and_no_empty_pictures(make_generations: MakeTable, read_table: Read) -> None:
    generation = read_table(make_generations(lambda *_: random_dna(300, 5), prompts=1, samples=1))
    parts, pictures = shown(generation)
    assert pictures == ["kmers", "kmer_plane"]
    remarks = " ".join(parts[0].remarks)
    assert "Each model wrote 1 sequence;" in remarks and "is 300 bases long" in remarks
    assert all(cell != "" for part in parts for table in part.tables for row in table.rows for cell in row)
    assert section.checks(generation) == []


def test_genes_alone_and_nothing_at_all(make_generations: MakeTable, read_table: Read) -> None:
    table = make_generations(lambda *_: "ACGT")
    parts, pictures = shown(read_table(with_genes(table.iloc[:0]), gene()))
    assert pictures == ["gene_completion"] and len(parts) == 1
    empty = read_table(table.assign(sequence=""))
    assert (empty.continuations, empty.completion) == (None, None)
    assert section.sections(empty, LABELS) == [] and section.checks(empty) == [] and section.metrics(empty) == {}


def test_odd_sequences_are_drawn(make_generations: MakeTable, read_table: Read) -> None:
    odd = ["N" * 70, "AC", "A" * 300, "NNACGTTGCA" * 9, "G", "TTGCA" * 3]
    generation = read_table(
        make_generations(lambda model, prompt, sample: odd[2 * prompt + sample], prompts=3, samples=2)
    )
    _, pictures = shown(generation)
    assert "lengths" in pictures


def test_sequences_longer_than_every_region_have_no_fragments_beside_them(
    make_generations: MakeTable, read_table: Read
) -> None:
    generation = read_table(make_generations(lambda *_: random_dna(13_000, 5), prompts=1, samples=1))
    parts, pictures = shown(generation)
    assert pictures == []
    assert "No region of the split is as long" in " ".join(parts[0].remarks)
    assert [row[0] for row in parts[0].tables[0].rows] == ["genome, after prompts", "Markov", "base", "adapted"]


def test_long_names_and_dollar_signs_of_genes_are_text(read_table: Read, make_generations: MakeTable) -> None:
    name = "$x_1$ " + "very_long_name_" * 8
    genes = gene().assign(gene=name, organism="$o$")
    table = with_genes(make_generations(lambda *_: "ACGT").iloc[:0]).assign(prompt_id=f"gene:{name}")
    with style.applied():
        [part] = section.sections(read_table(table, genes), LABELS)
    label = part.pictures[0].figure.axes[0].get_yticklabels()[0].get_text()
    assert label.startswith(r"\$x_1\$ very") and label.endswith("…") and len(label) < 40


def test_metrics_are_json_and_files_hold_every_sequence(make_generations: MakeTable, read_table: Read) -> None:
    table = make_generations(lambda model, prompt, sample: random_dna(300, 9 * prompt + sample))
    generation = read_table(with_genes(table), gene())
    metrics = json.loads(json.dumps(section.metrics(generation)))
    assert metrics["groups"]["base"]["sequences"] == 12 and metrics["groups"]["base"]["prompts"] == 4
    assert metrics["completion"]["truth"]["recovery"]["estimate"] == 100
    assert metrics["memorisation"]["train"]["containment"]["estimate"] == 1
    files = section.files(generation)
    assert list(files) == ["generation", "generation_copies", "kmers", "codon_usage", "gene_completion"]
    assert len(files["generation"]) == 12 + 4 + 12 + 12 + 12
    assert files["generation"]["group"].value_counts()["base"] == 12
    assert np.isfinite(files["generation"]["dust"]).all()


def test_the_reading_is_repeated_by_its_seed(make_generations: MakeTable, read_table: Read) -> None:
    table = make_generations(lambda model, prompt, sample: random_dna(200, 9 * prompt + sample), prompts=2, samples=2)
    first, second = (json.dumps(section.metrics(read_table(table))) for _ in range(2))
    assert first == second
