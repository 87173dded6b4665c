from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.benchmarking.folder import RESULTS, STRATA_RESULTS, TASK_RESULTS, Benchmark
from evaluation.benchmarking.results import standings
from evaluation.benchmarking.scoring import score_task, score_windows
from workflow.artifacts import InputError

DATE = "2030-01-02"


def row(bench: Benchmark, model: str) -> pd.Series:
    results = pd.read_csv(bench.folder / RESULTS).set_index("model")
    return results.loc[model]  # type: ignore[no-any-return]


def change(scores: Path, probability: float) -> None:
    """Give every observed base this probability."""
    bases = np.load(scores / "bases.npy") & 0xDF
    logprobs = np.full((len(bases), 4), np.log((1 - probability) / 3), np.float32)
    logprobs[np.arange(len(bases)), np.searchsorted(np.frombuffer(b"ACGT", np.uint8), bases)] = np.log(probability)
    np.save(scores / "logprobs.npy", logprobs)


def test_a_model_is_scored_in_every_stratum(bench: Benchmark, scores: Path) -> None:
    change(scores, 0.5)
    score_windows(bench, scores, "mine", DATE)
    found = row(bench, "mine")
    for part in ("all", "outside_repeats", "in_repeats"):
        assert found[f"nll_{part}"] == pytest.approx(np.log(2), rel=1e-6)
    assert found["accuracy"] == 1
    assert found["gain_over_uniform"] == pytest.approx(np.log(2), rel=1e-6)
    markov = row(bench, "markov")
    assert found["gain_over_markov"] == pytest.approx(markov["nll_all"] - np.log(2), rel=1e-6)
    assert found["gain_over_markov_low"] < found["gain_over_markov"] < found["gain_over_markov_high"]
    assert (found["date"], found["benchmark_sha256"]) == (DATE, bench.fingerprint)
    classes = pd.read_csv(bench.folder / STRATA_RESULTS).query("model == 'mine'")
    np.testing.assert_allclose(classes["nll"], np.log(2), rtol=1e-6)
    assert "codon position 1" in set(classes["stratum"])


def test_windows_may_come_in_another_order(bench: Benchmark, scores: Path) -> None:
    change(scores, 0.4)
    logprobs, bases = (np.load(scores / name) for name in ("logprobs.npy", "bases.npy"))
    index = pd.read_parquet(scores / "index.parquet")
    order = np.random.default_rng(0).permutation(len(index))
    rows = np.concatenate([np.arange(offset, offset + 200) for offset in index["offset"].to_numpy()[order]])
    np.save(scores / "logprobs.npy", logprobs[rows])
    np.save(scores / "bases.npy", bases[rows])
    index.iloc[order].assign(offset=200 * np.arange(len(index))).to_parquet(scores / "index.parquet")
    score_windows(bench, scores, "mine", DATE)
    assert row(bench, "mine")["nll_all"] == pytest.approx(-np.log(0.4), rel=1e-6)


def test_a_table_gives_the_overall_score_only(bench: Benchmark, tmp_path: Path) -> None:
    table = pd.DataFrame({"sequence_id": bench.index["sequence_id"], "nll": 199.0, "n": 199}).iloc[::-1]
    for suffix in ("csv", "tsv", "parquet"):
        path = tmp_path / f"sums.{suffix}"
        if suffix == "parquet":
            table.to_parquet(path)
        else:
            table.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
        score_windows(bench, path, suffix, DATE)
        found = row(bench, suffix)
        assert found["nll_all"] == pytest.approx(1)
        assert found["nll_in_repeats"] != found["nll_in_repeats"]
        assert found["accuracy"] != found["accuracy"]
        assert np.isfinite(found["gain_over_markov_low"])
    assert "–" in standings(bench.folder)


def test_scoring_again_replaces_and_other_scores_need_another_name(bench: Benchmark, scores: Path) -> None:
    score_windows(bench, scores, "mine", DATE)
    before = pd.read_csv(bench.folder / RESULTS)
    score_windows(bench, scores, "mine", DATE)
    pd.testing.assert_frame_equal(pd.read_csv(bench.folder / RESULTS), before)
    change(scores, 0.4)
    with pytest.raises(
        InputError, match=r"results\.csv has other scores of mine: give these another name with --model"
    ):
        score_windows(bench, scores, "mine", DATE)
    with pytest.raises(InputError, match="has other scores of markov"):
        score_windows(bench, scores, "markov", DATE)
    score_windows(bench, scores, "theirs", DATE)
    assert pd.read_csv(bench.folder / RESULTS)["model"].tolist() == ["markov", "copy", "uniform", "mine", "theirs"]


def test_equal_scores_have_one_hash_wherever_they_lie(bench: Benchmark, scores: Path, tmp_path: Path) -> None:
    score_windows(bench, scores, "a", DATE)
    score_windows(bench, Path(shutil.copytree(scores, tmp_path / "elsewhere")), "b", DATE)
    assert row(bench, "a")["scores_sha256"] == row(bench, "b")["scores_sha256"]


def test_standings_put_the_best_first_beside_the_baselines(bench: Benchmark, scores: Path) -> None:
    change(scores, 0.9)
    score_windows(bench, scores, "mine", DATE)
    lines = standings(bench.folder).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["mine", "(markov)", "(copy)", "(uniform)"] or [
        line.split()[0] for line in lines[1:]
    ] == ["mine", "(copy)", "(markov)", "(uniform)"]
    assert "0.105 [0.105, 0.105]" in lines[1]
    assert "100.0 %" in lines[1]


def test_a_model_may_be_called_na(bench: Benchmark, scores: Path) -> None:
    score_windows(bench, scores, "NA", DATE)
    assert "NA" in [line.split()[0] for line in standings(bench.folder).splitlines()]


def test_constants_have_no_digits_of_rounding(bench: Benchmark) -> None:
    assert "1.386 [1.386, 1.386]" in standings(bench.folder)


def test_lost_results_are_told(bench: Benchmark) -> None:
    (bench.folder / RESULTS).unlink()
    with pytest.raises(InputError, match=r"results\.csv is missing"):
        standings(bench.folder)


def test_tasks_are_scored_beside_their_baseline(bench: Benchmark, tmp_path: Path) -> None:
    variants = pd.read_parquet(bench.folder / "tasks" / "variants.parquet")
    # Damaging variants have the lowest scores, and lower measured values have lower scores.
    score = np.where(variants["positive"].fillna(False).astype(bool), -5.0, 0.0) + np.arange(60) / 100
    pd.DataFrame({"id": variants["id"], "score": score}).sample(frac=1, random_state=0).to_csv(
        tmp_path / "v.csv", index=False
    )
    score_task(bench, tmp_path / "v.csv", "mine", DATE, "variants")
    elements = pd.read_parquet(bench.folder / "tasks" / "elements.parquet")
    better = (elements["set"] == "element").astype(float)
    pd.DataFrame({"id": elements["id"], "score": better}).to_csv(tmp_path / "e.csv", index=False)
    score_task(bench, tmp_path / "e.csv", "mine", DATE, "elements")
    found = pd.read_csv(bench.folder / TASK_RESULTS).set_index(["task", "question"])
    assert found["measure"].tolist() == ["AUROC", "Spearman", "AUROC", "AUROC"]
    assert found.loc[("variants", "label"), "value"] == 1
    assert found.loc[("variants", "label"), "rows"] == 50
    assert found.loc[("elements", "element against shuffled"), "value"] == 1
    assert found.loc[("elements", "element against background"), "rows"] == 40
    baseline = found["baseline"].drop(("variants", "measured"))
    # Random sequences teach nothing.
    assert (baseline - 0.5).abs().max() < 0.35
    assert "elements, element against background" in standings(bench.folder)


def test_measured_values_correlate_in_the_sense_of_damage(bench: Benchmark, tmp_path: Path) -> None:
    variants = pd.read_parquet(bench.folder / "tasks" / "variants.parquet")
    pd.DataFrame({"id": variants["id"], "score": np.arange(60)}).to_csv(tmp_path / "v.csv", index=False)
    score_task(bench, tmp_path / "v.csv", "mine", DATE, "variants")
    found = pd.read_csv(bench.folder / TASK_RESULTS).set_index("question")
    assert found.loc["measured", "value"] == pytest.approx(1)
    assert found.loc["measured", "rows"] == 30


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,score\nv0,1\n", r"59 of 60 rows of the task variants have no score, such as v1"),
        ("id\nv0\n", r"has no column score; it has: id"),
        ("id,score\nv0,high\n", r"row 1: no number in score"),
        ("id,score\nv0,1\nv0,2\n", r"has id v0 twice"),
    ],
)
def test_faults_of_a_task_table(bench: Benchmark, tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "v.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        score_task(bench, tmp_path / "v.csv", "mine", DATE, "variants")


def test_unknown_tasks_and_rows(bench: Benchmark, tmp_path: Path) -> None:
    rows = "".join(f"v{row},{row}\n" for row in range(61))
    (tmp_path / "v.csv").write_text(f"id,score\n{rows}")
    with pytest.raises(InputError, match="1 scores are of no row of the task variants, such as v60"):
        score_task(bench, tmp_path / "v.csv", "mine", DATE, "variants")
    with pytest.raises(InputError, match="has no task folding; it has: elements, experiment, variants"):
        score_task(bench, tmp_path / "v.csv", "mine", DATE, "folding")
