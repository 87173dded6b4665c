from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evaluation.runs.reading import read_runs
from workflow.artifacts import InputError, PerBaseScores

Make = Callable[..., Path]


def test_the_same_checkpoint_is_one_entry(named_run: Make, predictors: dict[str, object]) -> None:
    adapted = {"adapted": predictors["noisy"]}
    found = read_runs([named_run("r8", **adapted), named_run("r16", **adapted)])
    assert [entry.label for entry in found.entries] == ["tiny, as published", "r8", "r16"]
    assert [entry.start for entry in found.entries] == [None, "tiny, as published", "tiny, as published"]
    assert len(found.windows) == 30
    assert found.warnings == []
    assert found.entries[1].method == "LoRA, rank 32"
    assert found.entries[0].method == "as published"


def test_what_makes_a_base_model_differ(named_run: Make) -> None:
    runs = [
        named_run("a", trained=False),
        named_run("b", {"convert": {"fingerprint": "another checkpoint"}}, trained=False),
        named_run("c", {"predict": {"config__predict__precision": "bf16"}}, trained=False),
    ]
    changed = runs[1] / "predict" / "manifest.json"
    changed.write_text(changed.read_text().replace("fingerprint of convert", "another checkpoint"))
    labels = [entry.label for entry in read_runs(runs).entries]
    assert labels == ["tiny, as published", "tiny, as published (b)", "tiny, as published (c)"]


def test_runs_of_one_name_are_told_apart(named_run: Make, predictors: dict[str, object]) -> None:
    runs = [named_run("same", adapted=predictors["noisy"]) for _ in range(2)]
    labels = [entry.label for entry in read_runs(runs).entries if entry.model == "adapted"]
    assert labels == [run.name for run in runs]


def test_only_shared_windows_are_compared_and_the_reader_is_told(named_run: Make) -> None:
    runs = [named_run("a", trained=False), named_run("b", {"convert": {"fingerprint": "other"}}, trained=False)]
    manifest = runs[1] / "predict" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("fingerprint of convert", "other"))
    store = PerBaseScores(runs[1] / "predict" / "base")
    names = store.index["sequence_id"].astype(object)
    names[:10] = [f"elsewhere {row}" for row in range(10)]
    store.index.assign(sequence_id=names).to_parquet(store.folder / "index.parquet")
    found = read_runs(runs)
    assert len(found.windows) == 20
    assert found.warnings == ["20 windows were scored by every model, of up to 30: only these are compared."]


def test_other_preparations_and_splits_are_warned_of(named_run: Make, predictors: dict[str, object]) -> None:
    adapted = {"adapted": predictors["noisy"], "split": "val"}
    runs = [named_run("a", **adapted), named_run("b", **adapted)]
    for stage in ("prepare", "preprocess", "predict"):
        manifest = runs[1] / stage / "manifest.json"
        manifest.write_text(manifest.read_text().replace("fingerprint of prepare", "another preparation"))
    warnings = read_runs(runs).warnings
    assert any("prepared with different settings" in warning for warning in warnings)
    assert any("Windows of the val split are compared" in warning for warning in warnings)


def test_trainings_are_described(named_run: Make, predictors: dict[str, object]) -> None:
    changes = {"train": {"counts__bases_seen": 5_000, "counts__trainable_parameters": 77, "timings__seconds": 60.0}}
    adapted = {"adapted": predictors["noisy"]}
    found = read_runs([named_run("a", changes, **adapted), named_run("b", **adapted, method="full")])
    assert found.entries[1].trained == {"bases_seen": 5_000, "trainable_parameters": 77, "seconds": 60.0}
    # Where the manifest says nothing, the log does.
    assert found.entries[2].trained == {"bases_seen": 819_200, "trainable_parameters": None, "seconds": 75.0}
    assert found.entries[2].method == "all weights"
    assert set(found.entries[0].trained.values()) == {None}


def test_one_run_twice_is_no_comparison(named_run: Make) -> None:
    run = named_run("a", trained=False)
    with pytest.raises(InputError, match="alone is no comparison: give two or more different runs"):
        read_runs([run, run])


def test_runs_with_the_same_model_only_are_no_comparison(named_run: Make) -> None:
    with pytest.raises(InputError, match="hold one model only"):
        read_runs([named_run("a", trained=False), named_run("b", trained=False)])


def test_other_genomes_are_refused(named_run: Make) -> None:
    runs = [named_run("a"), named_run("b")]
    path = runs[1] / "prepare" / "sequences.parquet"
    table = pd.read_parquet(path)
    table.assign(length=table["length"] + 1).to_parquet(path)
    with pytest.raises(InputError, match="are of different genomes: their sequences differ"):
        read_runs(runs)


def test_runs_without_a_shared_window_are_refused(named_run: Make, predictors: dict[str, object]) -> None:
    runs = [named_run(name, adapted=predictors["noisy"]) for name in "ab"]
    index = runs[1] / "predict" / "adapted" / "index.parquet"
    table = pd.read_parquet(index)
    table.assign(sequence_id=[f"other {row}" for row in range(len(table))]).to_parquet(index)
    with pytest.raises(InputError, match="have no window in common"):
        read_runs(runs)
