from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.artefacts.sequences import kmer_counts
from evaluation.drawing import style
from evaluation.generation.settings import compare_settings, kmer_variance, settings_table, variance_figure
from workflow.artifacts import InputError, publish, write_json

GALAXY = Path(__file__).parents[2] / "data" / "galaxy.json"
REAL = ["real, as long", "real, twice as long", "real, half as long"]


def test_the_older_tutorials_variance() -> None:
    told = json.loads(GALAXY.read_text())
    assert kmer_variance(kmer_counts(told["kmer_seqs"], 4)) == pytest.approx(told["kmer_variance"])


def test_fragments_of_another_length_differ_and_of_the_same_do_not(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    genome = "".join(generator.choice(list("ACGT"), 20_000, p=[0.3, 0.2, 0.2, 0.3]))
    prepared, run = tmp_path / "prepare", tmp_path / "run"
    prepared.mkdir()
    (prepared / "genome.fa").write_text(f">s\n{genome}\n")
    (prepared / "genome.fa.fai").write_text("s\t20000\t3\t20000\t20001\n")
    split = pd.DataFrame({"seqid": ["s"], "start": [0], "end": [20_000], "split": ["train"]})
    split.to_parquet(prepared / "split.parquet")
    run.mkdir()
    rows = [
        {"kind": "prompt", "model": model, "prompt_id": f"p{at // 2}", "sample": at % 2, "first_logprob": -1.0}
        | {"sequence": genome[500 * at : 500 * at + 200] if model == "base" else "ACGTACGTAC" * 20}
        for at in range(24)
        for model in ("base", "adapted")
    ]
    with pytest.raises(InputError, match="run stage=infer first"):
        compare_settings({"one": run}, prepared, 50, 0.95, 0)
    with publish(run / "infer") as folder:
        pd.DataFrame(rows).to_parquet(folder / "generations.parquet")
        write_json(folder / "manifest.json", {"config": {"infer": {"temperature": 0.7, "top_k": 3}}})
    found = compare_settings({"one": run}, prepared, 50, 0.95, 0)
    assert list(found) == ["base, one", "adapted, one", *REAL]
    real, longer, shorter = (found[name].variance for name in REAL)
    base, same = found["base, one"], found["adapted, one"]
    assert real.low <= base.variance.estimate <= real.high
    assert longer.low > real.high and shorter.high < real.low
    assert same.variance.estimate == 0 and same.distance > 5 * base.distance
    assert found["real, twice as long"].length == 400
    table = settings_table(found)
    assert table.loc["base, one", "temperature"] == 0.7 and table.loc[REAL[0], "top_k"] == "–"
    with style.applied():
        (axes,) = variance_figure(found).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(found)
