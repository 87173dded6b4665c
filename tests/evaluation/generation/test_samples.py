from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.baselines.markov import MarkovModel
from evaluation.generation.samples import collect, continue_prompts, read_generations
from tests.evaluation.generation.conftest import random_dna
from workflow.artifacts import InputError


def tables_of(*levels: np.ndarray) -> list[np.ndarray]:
    with np.errstate(divide="ignore"):
        return [np.log(level).astype(np.float32) for level in levels]


def test_a_certain_model_writes_its_cycle_from_the_last_base() -> None:
    # A → C → G → T → A; without a context, T.
    certain = tables_of(np.eye(4)[[3]], np.eye(4)[[1, 2, 3, 0]])
    assert continue_prompts(certain, ["GGA", "c", "", "AN"], [5, 3, 2, 4], seed=1) == ["CGTAC", "GTA", "TA", "TACG"]
    assert continue_prompts(certain[:1], ["A"], [3], seed=1) == ["TTT"]


def test_draws_have_the_probabilities_of_their_contexts() -> None:
    shares = np.array([[0.7, 0.1, 0.1, 0.1], [0.25] * 4, [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0, 0]])
    texts = continue_prompts(tables_of(np.full((1, 4), 0.25), shares), ["A"] * 400, [100] * 400, seed=2)
    codes = np.array([["ACGT".index(letter) for letter in text] for text in texts])
    for base in range(4):
        follows = np.bincount(codes[:, 1:][codes[:, :-1] == base], minlength=4)
        assert follows / follows.sum() == pytest.approx(shares[base], abs=0.015)


def test_an_order_of_two_reads_the_earliest_base_first() -> None:
    level = np.full((16, 4), 0.25)
    level[4 * 0 + 3] = [0, 0, 1, 0]  # after AT comes G
    level[4 * 3 + 2] = [1, 0, 0, 0]  # after TG comes A
    tables = tables_of(np.full((1, 4), 0.25), np.full((4, 4), 0.25), level)
    assert all(text.startswith("GA") for text in continue_prompts(tables, ["CCAT"] * 20, [4] * 20, seed=3))


def test_draws_are_repeated_by_their_seed(markov: MarkovModel) -> None:
    first, second, other = (continue_prompts(markov.tables, ["ACGT"] * 3, [50] * 3, seed) for seed in (1, 1, 2))
    assert first == second != other
    assert len(set(first)) == 3
    assert continue_prompts(markov.tables, [], [], 1) == []


def test_groups_stand_beside_each_other(
    make_generations: Callable[..., pd.DataFrame], prepared: Path, markov: MarkovModel, genome: str
) -> None:
    table = make_generations(lambda model, prompt, sample: random_dna(200 + sample, seed=prompt))
    gene = table.iloc[:1].assign(kind="gene", prompt_id="gene:x")
    samples = collect(pd.concat([table, gene]), prepared, markov, seed=3)
    assert samples is not None
    assert list(samples.groups) == ["genome", "truth", "markov", "base", "adapted"]
    assert samples.models == ("base", "adapted")
    assert {group: len(rows) for group, rows in samples.groups.items()} == {
        "genome": 12, "truth": 4, "markov": 12, "base": 12, "adapted": 12,
    }  # fmt: skip
    lengths = [200, 201, 202] * 4
    assert [len(text) for text in samples.groups["genome"]["sequence"]] == lengths
    assert [len(text) for text in samples.groups["markov"]["sequence"]] == lengths
    assert samples.groups["genome"]["prompt_id"].is_unique
    assert all(text in genome for text in [*samples.groups["genome"]["sequence"], *samples.background])
    assert len(samples.background) == 400
    assert "gene:x" not in set(samples.table["prompt_id"])


def test_without_truth_and_without_sequences(
    make_generations: Callable[..., pd.DataFrame], prepared: Path, markov: MarkovModel
) -> None:
    table = make_generations(lambda *_: "ACGTACGT" * 9, models=("adapted",)).assign(truth=None)
    samples = collect(table, prepared, markov, seed=3)
    assert samples is not None and list(samples.groups) == ["genome", "markov", "adapted"]
    assert collect(table.assign(kind="gene"), prepared, markov, seed=3) is None


def test_generations_are_read_without_what_is_empty(
    make_generations: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    table = make_generations(lambda model, prompt, sample: "ACGT" if sample else "")
    table.to_parquet(tmp_path / "generations.parquet")
    assert len(read_generations(tmp_path)) == 16
    table.drop(columns="kind").to_parquet(tmp_path / "generations.parquet")
    with pytest.raises(InputError, match=r"generations\.parquet was written by another version: .* stage=infer"):
        read_generations(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_generations(tmp_path / "none")
