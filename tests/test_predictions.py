"""Predictions made by hand, in every mode that both generations of tools really wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.artifacts import PerBaseScores
from workflow.predictions import main

REAL = Path(__file__).parent / "data" / "nvidia"
FASTA = REAL / "input.fasta"
LENGTHS = {"zeta": 10, "alpha": 21, "mid": 5}


@pytest.mark.parametrize("generation", ["nemo2-2.7.1", "mbridge-2026.05"])
@pytest.mark.parametrize("mode", ["predict_epoch_logits", "predict_batch_logits", "predict_batch_subdir"])
def test_logits(generation: str, mode: str, tmp_path: Path) -> None:
    bos = mode == "predict_epoch_logits"
    words = [str(REAL / generation / mode), str(FASTA), str(tmp_path / "out"), *([] if bos else ["--no-bos"])]
    assert main(words) == 0
    stored = PerBaseScores(tmp_path / "out")
    assert dict(zip(stored.index["sequence_id"], stored.index["length"], strict=True)) == LENGTHS
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet").set_index("sequence_id")
    assert scores.index.tolist() == list(LENGTHS)
    # Two of alpha's letters are N.
    assert scores["n"].tolist() == [10, 19, 5] if bos else [9, 18, 4]
    first = np.isnan(stored.logprobs[stored.index["offset"]].astype(float)).all(axis=1)
    assert first.tolist() == [not bos] * 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bases.npy",
        "index.parquet",
        "logprobs.npy",
        "scores.parquet",
    ]


@pytest.mark.parametrize("generation", ["nemo2-2.7.1", "mbridge-2026.05"])
def test_log_probabilities_agree_with_the_logits(generation: str, tmp_path: Path) -> None:
    for mode in ("predict_lp_mean", "predict_lp_per_token", "predict_batch_logits"):
        assert main([str(REAL / generation / mode), str(FASTA), str(tmp_path / mode), "--no-bos"]) == 0
    tables = [
        pd.read_parquet(tmp_path / mode / "scores.parquet").set_index("sequence_id")
        for mode in ("predict_lp_mean", "predict_lp_per_token", "predict_batch_logits")
    ]
    # A mean over all letters is that over bases where all letters are bases.
    for name in ("zeta", "mid"):
        means = [float(table["mean"][name]) for table in tables]
        assert np.ptp(means) < 0.02, name


def test_embeddings(tmp_path: Path) -> None:
    raw = next((REAL / "mbridge-2026.05").glob("predict_emb*"))
    assert main([str(raw), str(FASTA), str(tmp_path / "out"), "--no-bos"]) == 0
    states = np.load(tmp_path / "out" / "embeddings.npy")
    index = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert states.shape == (sum(LENGTHS.values()), 64) and np.isfinite(states).all()
    assert index["offset"].tolist() == [0, 10, 31]


def test_coordinates_of_windows(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "sequence_id": ["alpha", "mid", "zeta"],
            "seqid": "chr1",
            "start": [5, 50, 90],
            "end": [26, 55, 100],
            "strand": "-",
        }
    )
    table.to_parquet(tmp_path / "windows.parquet")
    raw = REAL / "nemo2-2.7.1" / "predict_epoch_logits"
    assert main([str(raw), str(FASTA), str(tmp_path / "out"), "--windows", str(tmp_path / "windows.parquet")]) == 0
    index = PerBaseScores(tmp_path / "out").index
    assert index[["sequence_id", "start", "strand"]].values.tolist() == [
        ["zeta", 90, "-"],
        ["alpha", 5, "-"],
        ["mid", 50, "-"],
    ]


@pytest.mark.parametrize("wrong", ["other fasta", "no bos", "exists", "no table row"])
def test_refused_in_one_line(wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(REAL / "nemo2-2.7.1" / "predict_epoch_logits"), str(FASTA), str(tmp_path / "out")]
    if wrong == "other fasta":
        (tmp_path / "other.fa").write_text(">zeta\nACGTACGTAA\n>alpha\nACG\n")
        words[1] = str(tmp_path / "other.fa")
    if wrong == "no bos":
        words.append("--no-bos")
    if wrong == "exists":
        (tmp_path / "out").mkdir()
    if wrong == "no table row":
        pd.DataFrame({"sequence_id": ["x"], "seqid": "c", "start": 0, "end": 1, "strand": "+"}).to_parquet(
            tmp_path / "t"
        )
        words += ["--windows", str(tmp_path / "t")]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1
    assert wrong == "exists" or not (tmp_path / "out").exists()


def test_sums(tmp_path: Path) -> None:
    raw = REAL / "nemo2-2.7.1" / "predict_lp_sum_bos"
    assert main([str(raw), str(FASTA), str(tmp_path / "out"), "--collapse", "sum"]) == 0
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert scores["n"].tolist() == list(LENGTHS.values())
    assert np.allclose(scores["mean"] * scores["n"], scores["sum"]) and (scores["mean"] > -8).all()
