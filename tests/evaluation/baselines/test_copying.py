from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.baselines import copying, markov
from evaluation.baselines.copying import CopyModel
from evaluation.per_base.scores import BASE_COLUMN
from tests.evaluation.baselines.conftest import Prepared, mutated, random_dna
from workflow.artifacts import InputError

COMPLEMENT = str.maketrans("ACGT", "TGCA")
WINDOW = 1000


def reverse_complement(text: str) -> str:
    return text.translate(COMPLEMENT)[::-1]


@pytest.fixture
def genome() -> str:
    """Train; a val of which half are copies of train that differ in 5 % of their bases."""
    train = random_dna(60_000, 1)
    return train + mutated(train[10_000:20_000], 0.05, seed=2) + random_dna(10_000, 3)


@pytest.fixture
def folder(prepared: Prepared, genome: str) -> Path:
    return prepared({"c": genome}, [("c", 0, 60_000, "train"), ("c", 60_000, 80_000, "val")])


@pytest.fixture
def model(folder: Path) -> CopyModel:
    return copying.fit(folder, markov.fit_prepared(folder, 4), WINDOW, seed=0)


def per_base(model: CopyModel | markov.MarkovModel, *windows: str) -> np.ndarray:
    """NLL of each base."""
    bases = np.frombuffer("".join(windows).encode(), np.uint8)
    starts = np.cumsum([0, *(len(window) for window in windows[:-1])])
    logprobs = model.logprobs(bases, starts, slice(0, len(windows)))
    assert logprobs.dtype == np.float32
    np.testing.assert_allclose(np.exp(logprobs).sum(axis=1), 1, rtol=1e-4)
    return -logprobs[np.arange(len(bases)), np.minimum(BASE_COLUMN[bases], 3)]


@pytest.mark.parametrize("turn", [str, reverse_complement, str.lower])
@pytest.mark.parametrize("start", [0, 30_123, 59_000])
def test_an_exact_copy_of_train_costs_next_to_nothing(
    model: CopyModel, genome: str, start: int, turn: type[str]
) -> None:
    nll = per_base(model, turn(genome[start : start + WINDOW]))
    assert nll[copying.ANCHOR + 4 :].mean() < 0.02
    assert nll.mean() < 0.05


def test_copying_begins_after_an_anchor_and_never_sooner(model: CopyModel, genome: str) -> None:
    nll = per_base(model, genome[5_000:6_000])
    np.testing.assert_array_equal(nll[: copying.ANCHOR], per_base(model.markov, genome[5_000:6_000])[: copying.ANCHOR])
    assert (nll[copying.ANCHOR : 100] < 0.7).all()


def test_a_window_unlike_train_costs_what_the_markov_model_costs(model: CopyModel) -> None:
    unlike = [random_dna(WINDOW, seed) for seed in range(100, 130)]
    assert per_base(model, *unlike).mean() == pytest.approx(per_base(model.markov, *unlike).mean(), abs=2e-3)


def test_copies_that_differ_cost_about_their_entropy(model: CopyModel, genome: str) -> None:
    windows = [mutated(genome[start : start + WINDOW], 0.05, seed=start) for start in range(20_000, 50_000, WINDOW)]
    entropy = -0.95 * np.log(0.95) - 0.05 * np.log(0.05 / 3)
    assert entropy < per_base(model, *windows).mean() < 1.3 * entropy


def test_copying_goes_on_after_an_insertion_and_a_deletion(model: CopyModel, genome: str) -> None:
    copied = genome[40_000:40_300] + "ACGTAGG" + genome[40_300:40_600] + genome[40_620:41_000]
    assert per_base(model, copied).mean() < 0.2


def test_the_strand_may_change_within_a_window(model: CopyModel, genome: str) -> None:
    copied = genome[30_000:30_500] + reverse_complement(genome[30_500:31_000])
    assert per_base(model, copied).mean() < 0.1


def test_no_prediction_knows_a_base_to_come(model: CopyModel, genome: str) -> None:
    """But for the choice of the stretch, which a single base does not change."""
    text = genome[30_000 : 30_000 + WINDOW]
    bases = np.frombuffer(text.encode(), np.uint8)
    expected = model.logprobs(bases, np.array([0]))
    for place in (15, 500, 998):
        other = bases.copy()
        other[place] = ord("A") if text[place] != "A" else ord("C")
        changed = model.logprobs(other, np.array([0]))
        np.testing.assert_array_equal(changed[: place + 1], expected[: place + 1])
        assert not np.array_equal(changed[place + 1 :], expected[place + 1 :])


def test_windows_are_predicted_apart_and_gaps_end_a_copy(model: CopyModel, genome: str) -> None:
    windows = [genome[start : start + size] for start, size in ((100, 700), (5_000, 1), (7_000, 999), (30_000, 5_000))]
    together = per_base(model, *windows)
    np.testing.assert_array_equal(together, np.concatenate([per_base(model, window) for window in windows]))
    gapped = per_base(model, genome[100:400] + "N" * 5 + genome[405:800])
    np.testing.assert_array_equal(gapped[305:317], per_base(model.markov, genome[405:800])[:12])
    assert gapped[330:].mean() < 0.05


def test_weights_follow_the_record_of_the_copy(model: CopyModel) -> None:
    assert model.weights.shape == (7, 11)
    assert (model.weights >= 0).all() and (model.weights < 1).all()
    assert model.weights[0, 6] > 0.9 > model.weights[6, 1]
    assert model.choice_nats == pytest.approx(np.log(60))


def test_weights_of_a_known_rate() -> None:
    """Where 80 % of many copied bases were right and the Markov model is uniform, w + (1 − w) / 4 = 0.8."""
    hits, misses = np.zeros((77, 64)), np.zeros(77)
    hits[:, 16], misses[:] = 8e6, 2e6
    np.testing.assert_allclose(copying._weights(hits, misses), (0.8 - 16.5 / 64) / (1 - 16.5 / 64), atol=1e-6)
    hits[:, 16], misses[:] = 2e6, 8e6
    np.testing.assert_allclose(copying._weights(hits, misses), 0, atol=1e-6)
    assert (copying._weights(np.zeros((77, 64)), np.zeros(77)).reshape(7, 11)[:, 10] > 0.97).all()


def test_the_same_seed_gives_the_same_model(folder: Path, model: CopyModel) -> None:
    again = copying.fit(folder, model.markov, WINDOW, seed=0)
    np.testing.assert_array_equal(again.weights, model.weights)


def test_windows_longer_than_a_tile_are_looked_up_in_pieces(folder: Path, model: CopyModel, genome: str) -> None:
    assert copying.fit(folder, model.markov, 100_000, seed=0).sketch.tile == copying.LONGEST_PIECE
    assert copying.fit(folder, model.markov, 10, seed=0).sketch.tile == 256
    pieces = list(copying._pieces(np.array([0, 10, 10, 2_510]), 1000))
    assert [(piece.start, piece.stop) for piece in pieces] == [(0, 10), (10, 843), (843, 1676), (1676, 2510)]
    far_apart = genome[1_000:2_000] + genome[50_000:51_000] + genome[20_000:21_000]
    assert per_base(model, far_apart).mean() < 0.1


def test_a_split_without_val_is_refused(prepared: Prepared, model: CopyModel) -> None:
    folder = prepared({"c": "ACGT" * 100}, [("c", 0, 400, "train")])
    with pytest.raises(InputError, match=r"split\.parquet has no val region"):
        copying.fit(folder, model.markov, WINDOW, seed=0)
