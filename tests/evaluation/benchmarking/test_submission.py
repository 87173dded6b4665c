from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.benchmarking.folder import Benchmark
from evaluation.benchmarking.submission import read_submission
from workflow.artifacts import InputError


def edit_index(scores: Path, **columns: object) -> None:
    path = scores / "index.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def refused(scores: Path, bench: Benchmark, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_submission(scores, bench, "mine")
    assert "\n" not in str(caught.value)


def test_windows_that_are_missing_or_of_another_benchmark(bench: Benchmark, scores: Path) -> None:
    names = bench.index["sequence_id"].tolist()
    edit_index(scores, sequence_id=["chr9:0-200(+)", *names[1:]])
    refused(scores, bench, r"lacks 1 of 30 windows, such as chr1:20000-20200\(\+\)")
    edit_index(scores, sequence_id=[names[1], *names[1:]])
    refused(scores, bench, "has a window twice")


def test_other_bases(bench: Benchmark, scores: Path) -> None:
    bases = np.load(scores / "bases.npy")
    bases[777] = ord("A") if bases[777] & 0xDF != ord("A") else ord("C")
    np.save(scores / "bases.npy", bases)
    refused(scores, bench, "have different bases in windows of one name")


def test_bases_without_a_prediction(bench: Benchmark, scores: Path) -> None:
    logprobs = np.load(scores / "logprobs.npy")
    logprobs[[400, 401, 402]] = np.nan
    np.save(scores / "logprobs.npy", logprobs)
    # The first base of the third window may lack one, the next two may not.
    refused(scores, bench, r"2 scored bases of window chr1:20400-20600\(\+\) have no prediction")


def test_other_lengths(bench: Benchmark, scores: Path) -> None:
    lengths = np.full(30, 200)
    lengths[[3, 4]] = [199, 201]
    edit_index(scores, length=lengths, offset=np.cumsum(lengths) - lengths)
    refused(scores, bench, r"window chr1:20600-20800\(\+\) has another length than the benchmark's")


def test_shapes_and_columns(bench: Benchmark, scores: Path) -> None:
    np.save(scores / "logprobs.npy", np.zeros((6000, 512), np.float16))
    refused(scores, bench, r"must be \(positions, 4\) in C order")
    np.save(scores / "logprobs.npy", np.asfortranarray(np.full((6000, 4), np.log(0.25), np.float16)))
    refused(scores, bench, r"must be \(positions, 4\) in C order")
    np.save(scores / "logprobs.npy", np.full((6000, 4), np.log(0.25), np.float16))
    table = pd.read_parquet(scores / "index.parquet")
    table.drop(columns="strand").to_parquet(scores / "index.parquet")
    refused(scores, bench, "needs the columns sequence_id, offset, seqid, start, end, strand, length")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 200}, r"n of window chr1:20000-20200\(\+\) is 200, but 199 bases are scored there"),
        ({"nll": -1.0}, r"nll of window chr1:20000-20200\(\+\) is negative: give −Σ ln P"),
        ({"nll": np.nan}, "row 1: no number in nll or n"),
        ({"nll": np.inf}, "row 1: no number in nll or n"),
        ({"sequence_id": "x"}, "has sequence_id x twice"),
    ],
)
def test_faults_of_a_table(bench: Benchmark, tmp_path: Path, change: dict[str, object], message: str) -> None:
    table = pd.DataFrame({"sequence_id": bench.index["sequence_id"], "nll": 100.0, "n": 199}).assign(**change)
    table.to_csv(tmp_path / "sums.csv", index=False)
    refused(tmp_path / "sums.csv", bench, message)


def test_an_incomplete_table_and_no_table(bench: Benchmark, tmp_path: Path) -> None:
    table = pd.DataFrame({"sequence_id": bench.index["sequence_id"], "nll": 100.0, "n": 199})
    table.iloc[:-2].to_csv(tmp_path / "sums.csv", index=False)
    refused(tmp_path / "sums.csv", bench, "lacks 2 of 30 windows")
    refused(tmp_path / "absent.csv", bench, "is no table of scores")
    refused(tmp_path / "scores.txt", bench, "is no table of scores")
