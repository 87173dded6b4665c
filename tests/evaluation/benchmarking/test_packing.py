from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.benchmarking.folder import BASELINES, FASTA, RESULTS, STRATA_RESULTS, Benchmark, open_benchmark
from evaluation.benchmarking.packing import pack
from evaluation.per_base.scores import UNIFORM_NLL
from workflow.artifacts import BASE_CLASSES, InputError, PerBaseScores


def test_packing_twice_gives_the_same_bytes(packed: tuple[Path, Path], tmp_path: Path) -> None:
    run, first = packed
    pack(run, tmp_path)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert {name for name in names if (first / name).read_bytes() != (tmp_path / name).read_bytes()} == set()
    assert set(names) == {
        "README.md", "baselines.parquet", "bases.npy", "benchmark.json", "classes.npy", "results.csv",
        "results_by_class.csv", "split.parquet", "tasks/elements.parquet", "tasks/experiment.parquet",
        "tasks/variants.parquet", "windows.fa.gz",
        "windows.parquet",
    }  # fmt: skip


def test_the_windows_are_those_that_the_run_scored(packed: tuple[Path, Path], bench: Benchmark) -> None:
    store = PerBaseScores(packed[0] / "predict" / "base")
    assert bench.index["sequence_id"].tolist() == store.index["sequence_id"].tolist()
    np.testing.assert_array_equal(bench.bases, store.bases)
    with gzip.open(bench.folder / FASTA, "rt") as file:
        lines = file.read().splitlines()
    assert lines[::2] == [f">{name}" for name in store.index["sequence_id"]]
    assert "".join(lines[1::2]).encode() == store.bases.tobytes()
    # 30 windows of 200 bases, without the first base of each; the last third of each is soft-masked.
    assert bench.scored[:, 0].tolist() == [199] * 30
    assert bench.scored[:, 1].tolist() == [66] * 30
    counts = dict(zip(BASE_CLASSES, bench.scored[0, 2:], strict=False))
    assert {name: number for name, number in counts.items() if number} == {
        "intergenic": 2, "repeat": 66, "intron": 66, "cds_0": 21, "cds_1": 22, "cds_2": 22
    }  # fmt: skip
    assert len(np.unique(bench.index["block"])) == 30


def test_no_score_of_the_runs_models_goes_in(packed: tuple[Path, Path]) -> None:
    folder = packed[1]
    tables = {path.name: pd.read_parquet(path) for path in folder.rglob("*.parquet")}
    names = {str(name) for table in tables.values() for name in table.columns}
    assert not {name for name in names if "adapted" in name or name.endswith("_base") or name.startswith("delta_")}
    assert tables["variants.parquet"]["id"].tolist()[:2] == ["v0", "v1"]
    assert {"kmer:label", "kmer:measured"} <= set(tables["variants.parquet"].columns)


def test_the_manifest_tells_where_all_came_from(packed: tuple[Path, Path]) -> None:
    manifest = json.loads((packed[1] / "benchmark.json").read_text())
    assert (manifest["name"], manifest["version"], manifest["format"]) == ("toy", "1.0", 1)
    assert (manifest["windows"], manifest["bases_scored"]) == (30, 30 * 199)
    assert manifest["split"]["by"] == "block, 3 groups"
    assert set(manifest["tasks"]) == {"variants", "elements", "experiment"}
    assert set(manifest["files"]) == {
        str(path.relative_to(packed[1]))
        for path in packed[1].rglob("*")
        if path.is_file() and path.name not in ("benchmark.json", RESULTS, STRATA_RESULTS)
    }
    readme = (packed[1] / "README.md").read_text()
    assert "30 windows with 5,970 scored bases of toy" in readme
    assert manifest["scoring"] in readme
    assert "`elements` (`tasks/elements.parquet`)" in readme


def test_baselines_are_scored_first(bench: Benchmark) -> None:
    results = pd.read_csv(bench.folder / RESULTS)
    assert results["model"].tolist() == ["markov", "copy", "uniform"]
    assert results["nll_all"].iloc[2] == pytest.approx(UNIFORM_NLL)
    assert results["accuracy"].iloc[2] == pytest.approx(0.25)
    markov = results.iloc[0]
    # The toy genome is a Markov chain of order 1, which its baseline has found.
    assert markov["gain_over_uniform_low"] > 0.05
    assert np.isnan(markov["gain_over_markov"])
    sums = pd.read_parquet(bench.folder / BASELINES)
    assert markov["nll_all"] == pytest.approx(sums["nll_all_markov"].sum() / (30 * 199))
    assert markov["nll_in_repeats"] == pytest.approx(sums["nll_repeat_markov"].sum() / (30 * 66))
    classes = pd.read_csv(bench.folder / STRATA_RESULTS).query("model == 'markov'").set_index("stratum")
    assert classes["bases"].to_dict() == {
        "all bases": 5970, "outside repeats": 3990, "in repeats": 1980, "CDS": 1950, "codon position 1": 630,
        "codon position 2": 660, "codon position 3": 660, "intron, rest": 1980, "intergenic": 2040,
    }  # fmt: skip


def test_a_split_that_training_has_used_is_refused(make_run: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scored the val split, which training has used"):
        pack(make_run(split="val", seqid="chr1", generated=False), tmp_path)


@pytest.mark.parametrize("name", ["bases.npy", "windows.parquet", "tasks/variants.parquet", "README.md"])
def test_a_changed_file_is_named(benchmark_folder: Path, name: str) -> None:
    content = bytearray((benchmark_folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (benchmark_folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} was changed after the benchmark was packed"):
        open_benchmark(benchmark_folder)


def test_a_missing_file_and_another_format_are_refused(benchmark_folder: Path) -> None:
    (benchmark_folder / "classes.npy").unlink()
    with pytest.raises(InputError, match=r"classes\.npy is missing: the benchmark is not complete"):
        open_benchmark(benchmark_folder)
    manifest = benchmark_folder / "benchmark.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(InputError, match="is of another format than 1"):
        open_benchmark(benchmark_folder)


def test_a_file_that_does_not_belong_and_a_manifest_without_hashes_are_refused(benchmark_folder: Path) -> None:
    foreign = benchmark_folder / "tasks" / "mine.parquet"
    foreign.write_bytes(b"")
    with pytest.raises(InputError, match=r"mine\.parquet does not belong to the benchmark: remove it"):
        open_benchmark(benchmark_folder)
    foreign.unlink()
    open_benchmark(benchmark_folder)
    (benchmark_folder / "benchmark.json").write_text('{"format": 1}')
    with pytest.raises(InputError, match=r"benchmark\.json has no files: fetch the benchmark again"):
        open_benchmark(benchmark_folder)
