from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from evaluation.baselines.markov import MarkovModel
from evaluation.elements.region import RegionMap, read_region
from tests.evaluation.elements.conftest import Publish
from workflow.artifacts import InputError


def whole_likelihood(sequence: str, markov: MarkovModel) -> float:
    """Mean over the strands of the log-likelihood of all of a sequence."""
    return markov.strand_average(sequence) * sum(letter in "ACGT" for letter in sequence)


def test_the_table_becomes_a_map_of_the_mutated_part(publish: Publish, markov: MarkovModel) -> None:
    folder = publish(4, {"base": 0.0, "adapted": 0.0}, region=30) / "region"
    told, mutants = json.loads((folder / "region.json").read_text()), pd.read_parquet(folder / "mutagenesis.parquet")
    region = read_region(folder, markov)
    assert (region.start, region.region, region.sequence) == (5020, (5000, 5070), told["sequence"][20:50])
    assert list(region.deltas) == list(region.logprobs) == ["adapted", "base", "markov"]
    for row in mutants.itertuples():
        assert region.deltas["adapted"][row.position - 5020, "ACGT".index(str(row.alt))] == row.delta_adapted
    own = np.isnan(region.deltas["base"])
    assert own.sum(axis=1).tolist() == [4 if letter == "N" else 1 for letter in region.sequence]
    strands = np.exp(np.load(folder / "logprobs_base.npy").astype(float))[:, 20:50]
    expected = (strands / strands.sum(axis=2, keepdims=True)).mean(axis=0)
    assert np.exp(region.logprobs["base"]) == pytest.approx(expected)


def test_the_markov_models_changes_are_those_of_the_whole_region(publish: Publish, markov: MarkovModel) -> None:
    folder = publish(4, {"base": 0.0}, region=30) / "region"
    sequence = json.loads((folder / "region.json").read_text())["sequence"]
    region = read_region(folder, markov)
    reference = whole_likelihood(sequence, markov)
    for place, column in ((0, 0), (0, 3), (13, 1), (14, 2), (16, 0), (29, 1)):
        if np.isnan(region.deltas["base"][place, column]):
            assert np.isnan(region.deltas["markov"][place, column])
            continue
        mutant = sequence[: 20 + place] + "ACGT"[column] + sequence[21 + place :]
        expected = whole_likelihood(mutant, markov) - reference
        assert region.deltas["markov"][place, column] == pytest.approx(expected, abs=1e-4)


def test_one_strand_is_compared_with_one_strand(publish: Publish, markov: MarkovModel) -> None:
    folder = publish(4, {"base": 0.0}, region=30) / "region"
    told = json.loads((folder / "region.json").read_text())
    (folder / "region.json").write_text(json.dumps(told | {"strands": 1}))
    region = read_region(folder, markov)
    bases = np.frombuffer(told["sequence"].encode(), np.uint8)
    forward = markov.logprobs(bases, np.zeros(1, np.int64))[20:50]
    assert region.logprobs["markov"] == pytest.approx(forward, abs=1e-5)


def test_the_closer_look_is_where_mutants_matter() -> None:
    deltas = np.full((50, 4), -0.1)
    deltas[np.arange(50), 0] = np.nan
    deltas[30:35, 1:] = [-3, -1, 1]
    deltas[12] = np.nan
    region = RegionMap("chr1", 100, "A" * 50, (0, 500), 2, {"base": deltas}, {"base": np.zeros((50, 4))})
    assert region.sensitivity("base")[[0, 12, 30]] == pytest.approx([-0.1, np.nan, -1], nan_ok=True)
    closer = region.strongest("base", 5)
    assert (closer.start, closer.sequence, closer.region) == (130, "AAAAA", (0, 500))
    assert np.array_equal(closer.deltas["base"], deltas[30:35], equal_nan=True)
    assert region.strongest("base", 80).sequence == region.sequence


def test_a_missing_file_is_named(publish: Publish, markov: MarkovModel) -> None:
    folder = publish(4, {"base": 0.0}, region=30) / "region"
    (folder / "mutagenesis.parquet").unlink()
    with pytest.raises(InputError, match=r"mutagenesis\.parquet does not exist"):
        read_region(folder, markov)
