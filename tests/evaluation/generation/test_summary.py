from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from evaluation.generation import summary as generation
from evaluation.generation.figures import gc_bars, kmer_spectrum, length_histogram, sequence_logos


def test_groups_lengths_and_distances(improved_run: Path) -> None:
    found = generation.read(improved_run / "infer", improved_run / "prepare" / "genome.fa", seed=1)
    assert found is not None
    assert list(found.groups) == ["genome", "truth", "base", "adapted"]
    assert [len(s) for s in found.groups["genome"]] == [len(s) for s in found.groups["base"]]
    assert len(found.groups["truth"]) == 3
    summary = found.summary.set_index("group")
    assert summary.loc["base", "gc_mean"] == pytest.approx(0.5, abs=0.05)
    # Random letters are no genome, fragments of the genome are.
    assert summary.loc["genome", "kmer_distance"] < 0.1 < summary.loc["base", "kmer_distance"]
    assert found.spectra.drop(columns="kmer").sum().tolist() == pytest.approx([1] * 4)


def test_empty_generations_give_nothing_and_absent_truth_is_left_out(improved_run: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(improved_run / "infer" / "generations.parquet")
    genome = improved_run / "prepare" / "genome.fa"
    table.assign(sequence="").to_parquet(tmp_path / "generations.parquet")
    assert generation.read(tmp_path, genome, seed=1) is None
    table.assign(truth=None).query("model == 'base'").to_parquet(tmp_path / "generations.parquet")
    found = generation.read(tmp_path, genome, seed=1)
    assert found is not None
    assert list(found.groups) == ["genome", "base"]
    for draw in (sequence_logos, gc_bars, length_histogram, kmer_spectrum):
        assert draw(found).axes


def test_figures_show_the_data(improved_run: Path) -> None:
    found = generation.read(improved_run / "infer", improved_run / "prepare" / "genome.fa", seed=1)
    assert found is not None
    bars = [patch.get_height() for patch in gc_bars(found).axes[0].patches]
    assert bars == pytest.approx(found.summary["gc_mean"].tolist())
    assert sum(patch.get_height() for patch in length_histogram(found).axes[0].patches) == 24
    heights = [patch.get_height() for patch in kmer_spectrum(found).axes[0].patches]
    assert heights == sorted(found.spectra["genome"], reverse=True)
    assert len(sequence_logos(found).axes) == 3
