"""From published files to sections of the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.features import Features, FeatureTallies
from evaluation.per_base.scores import WindowScores
from evaluation.per_base.section_features import sections
from evaluation.per_base.stream import stream
from workflow.artifacts import InputError, PerBaseScores, PerBaseWriter

LABELS = {"uniform": "uniform guess", "base": "base", "adapted": "adapted", "markov": "Markov order 3"}
LENGTH, WINDOWS, GENE = 1200, 6, 900
FORWARD, BACKWARD = np.array([9, 10, 11], np.uint8), np.array([11, 10, 9], np.uint8)


class Flat:
    """A baseline that knows nothing."""

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def write_run(folder: Path, genes: bool = True, audit: bool = True) -> None:
    """Six windows with a gene each, every other one on the reverse strand; the adapted model knows third positions."""
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, LENGTH * WINDOWS)
    classes = np.zeros(LENGTH * WINDOWS, np.uint8)
    sites = []
    for row in range(WINDOWS):
        first = row * LENGTH + 150
        strand = "+-"[row % 2]
        classes[first : first + GENE] = np.resize(FORWARD if strand == "+" else BACKWARD, GENE)
        start, stop = (first, first + GENE - 3) if strand == "+" else (first + GENE - 1, first + 2)
        sites += [("start_codon", "chr", start, strand), ("stop_codon", "chr", stop, strand)]
    prepared = folder / "prepare"
    prepared.mkdir(parents=True)
    if not genes:
        classes[:], sites = 0, []
    np.save(prepared / "classes.npy", classes)
    pd.DataFrame({"seqid": ["chr"], "length": [len(codes)]}).to_parquet(prepared / "sequences.parquet")
    (prepared / "genome.fa.fai").write_text(f"chr\t{len(codes)}\t5\t{len(codes)}\t{len(codes) + 1}\n")
    columns = ["kind", "seqid", "position", "strand"]
    pd.DataFrame(sites, columns=columns).to_parquet(prepared / "sites.parquet", index=False)
    annotation = pd.DataFrame({"type": ["gene", "CDS"], "transl_table": pd.array([None, 11], "Int8")})
    annotation.to_parquet(prepared / "annotation.parquet", index=False)
    index = pd.DataFrame({"seqid": "chr", "start": LENGTH * np.arange(WINDOWS), "strand": "+", "length": LENGTH})
    index["end"] = index["start"] + LENGTH
    index["sequence_id"] = [f"chr:{start}-{start + LENGTH}(+)" for start in index["start"]]
    if audit:
        leakage = index[["sequence_id"]].assign(split="test", excluded=False)
        leakage["containment"] = leakage["in_train"] = np.linspace(0, 0.4, WINDOWS)
        leakage.to_parquet(prepared / "leakage.parquet", index=False)
    for model, third in (("base", 0.0), ("adapted", 0.5)):
        target = folder / "predict" / model
        target.mkdir(parents=True)
        probability = np.exp(-np.clip(1.2 + generator.normal(0, 0.1, len(codes)) - third * (classes == 11), 0.1, 3))
        logprobs = np.repeat(np.log((1 - probability) / 3)[:, None], 4, axis=1)
        logprobs[np.arange(len(codes)), codes] = np.log(probability)
        writer = PerBaseWriter(target, index)
        for row in range(WINDOWS):
            rows = slice(row * LENGTH, (row + 1) * LENGTH)
            writer.write(row, logprobs[rows], np.frombuffer(b"ACGT", np.uint8)[codes[rows]])
        writer.close()


def analysed(folder: Path) -> Features:
    predictions = {model: PerBaseScores(folder / "predict" / model) for model in ("base", "adapted")}
    index = predictions["base"].index
    tallies = FeatureTallies(folder / "prepare", index, ("base", "adapted", "markov"))
    table = index[["sequence_id"]].assign(block=np.arange(WINDOWS), bases=LENGTH)
    for piece in stream(predictions, {"markov": Flat()}, ClassTrack(folder / "prepare")):
        tallies.add(piece, np.arange(piece.rows.start, piece.rows.stop))
        for model, values in piece.models.items():
            table[f"nll_{model}"] = np.add.reduceat(values.nll, piece.starts[:-1])
    return tallies.result(WindowScores(table, ("base", "adapted", "markov"), 0, 0, 0), 100, 0.95, 0)


def test_from_files_to_sections(tmp_path: Path) -> None:
    write_run(tmp_path)
    results = analysed(tmp_path)
    peaks = results.periodicity.peaks.set_index(["reading", "model"])
    for reading in ("along", "against"):
        assert peaks["segments"][reading, "adapted"] == 6
        assert peaks["power_low"][reading, "adapted"] > 10 > peaks["power_high"][reading, "base"]
        positions = results.periodicity.positions
        of_adapted = positions[(positions["reading"] == reading) & (positions["model"] == "adapted")]
        assert of_adapted["nll"].to_numpy() == pytest.approx([1.2, 1.2, 0.7], abs=0.02)
        profile = results.around.profile("start_codon", reading, "adapted").set_index("offset")["nll"]
        assert profile[[-1, 0, 1]].to_numpy() == pytest.approx([1.2] * 3, abs=0.15)
        assert profile[[2, 5, 98]].to_numpy() == pytest.approx([0.7] * 3, abs=0.15)
    assert results.codons.genetic_code == 11
    parts = sections(results, LABELS)
    assert [part.title for part in parts] == [
        "Around features",
        "Codon periodicity",
        "Errors within codons",
        "Against similarity to train",
    ]
    assert [picture.name for part in parts for picture in part.pictures] == [
        "around_nll",
        "around_entropy",
        "codon_periodicity",
        "codon_errors",
        "similarity",
    ]
    for part in parts:
        for table in part.tables:
            assert all(len(row) == len(table.columns) for row in table.rows)
    markov = next(row for row in parts[1].tables[0].rows if row[:2] == ["Markov order 3", "along the gene"])
    assert markov[2:5] == ["0", "– [no interval]", "1.386 [1.386, 1.386]"]
    errors = parts[2].tables[0].rows
    assert [row[0] for row in errors[:4]] == ["uniform guess", "base", "adapted", "Markov order 3"]
    assert errors[0][3] == "2.250 [2.250, 2.250]"
    assert parts[2].remarks == ["Codons are read by NCBI's translation table 11."]
    assert set(results.tables()) >= {"around_features", "codon_errors", "similarity_to_train"}


def test_without_genes_and_audit(tmp_path: Path) -> None:
    write_run(tmp_path, genes=False, audit=False)
    results = analysed(tmp_path)
    parts = sections(results, LABELS)
    assert [part.remarks for part in parts] == [
        ["No start, stop or splice site of a gene lies in a scored window."],
        ["No stretch of 351 coding bases in frame was scored."],
        ["No complete codon was scored."],
        ["The preparation has made no leakage audit."],
    ]
    assert not any(part.pictures or part.tables for part in parts)
    assert "similarity_to_train" not in results.tables()


def test_a_preparation_without_sites_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "prepare" / "sites.parquet").unlink()
    index = PerBaseScores(tmp_path / "predict" / "base").index
    with pytest.raises(InputError, match=r"sites.parquet does not exist: run stage=prepare again with force=true"):
        FeatureTallies(tmp_path / "prepare", index, ("base",))
