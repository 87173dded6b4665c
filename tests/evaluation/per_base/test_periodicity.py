from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from evaluation.per_base.periodicity import FREQUENCIES, SEGMENT, PeriodicityTally, segments, spectra
from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.per_base.stream import Chunk

Maker = Callable[..., Chunk]
Giver = Callable[[np.ndarray, np.ndarray], np.ndarray]
FORWARD, BACKWARD = np.array([9, 10, 11], np.uint8), np.array([11, 10, 9], np.uint8)
THIRD = SEGMENT // 3


def coding(size: int, strand: str = "+", first: int = 0) -> np.ndarray:
    return np.resize(np.roll(FORWARD if strand == "+" else BACKWARD, -first), size)


def cut(classes: np.ndarray, *lengths: int, unscored: int | None = None) -> list[tuple[int, int, int]]:
    scored = np.ones(len(classes), bool)
    if unscored is not None:
        scored[unscored] = False
    starts = np.concatenate([[0], np.cumsum(lengths or [len(classes)])])
    return list(zip(*(values.tolist() for values in segments(classes, scored, starts)), strict=True))


# ---------------------------------------------------------------- segments


@pytest.mark.parametrize("strand", "+-")
@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize(("bases", "number"), [(SEGMENT - 1, 0), (SEGMENT, 1), (2 * SEGMENT - 1, 1), (2 * SEGMENT, 2)])
def test_a_stretch_holds_its_whole_segments(strand: str, first: int, bases: int, number: int) -> None:
    classes = np.concatenate([np.zeros(5, np.uint8), coding(bases, strand, first), np.full(4, 3, np.uint8)])
    against = int(strand == "-")
    assert cut(classes) == [(5 + SEGMENT * place, against, 0) for place in range(number)]


@pytest.mark.parametrize("strand", "+-")
def test_a_stretch_that_fills_its_window(strand: str) -> None:
    assert cut(coding(SEGMENT, strand)) == [(0, int(strand == "-"), 0)]


def test_a_shift_of_the_frame_ends_a_stretch() -> None:
    whole = coding(2 * SEGMENT)
    assert cut(np.delete(whole, 300)) == [(300, 0, 0)]
    assert cut(np.delete(whole, 200)) == [(200, 0, 0)]
    assert cut(np.delete(whole, SEGMENT)) == [(0, 0, 0)]
    assert cut(np.insert(whole, 100, whole[99])) == [(100, 0, 0)]


def test_stretches_of_opposite_strands_that_touch() -> None:
    classes = np.concatenate([coding(SEGMENT), coding(SEGMENT, "-")])
    assert cut(classes) == [(0, 0, 0), (SEGMENT, 1, 0)]


def test_a_base_without_a_score_ends_a_stretch() -> None:
    assert cut(coding(SEGMENT + 1), unscored=0) == [(1, 0, 0)]
    assert cut(coding(SEGMENT), unscored=0) == []
    assert cut(coding(SEGMENT + 100), unscored=SEGMENT) == [(0, 0, 0)]


def test_a_window_ends_a_stretch() -> None:
    assert cut(coding(2 * SEGMENT), SEGMENT - 3, SEGMENT + 3) == [(SEGMENT - 3, 0, 1)]


# ---------------------------------------------------------------- spectra


def test_a_series_of_period_three_has_all_power_at_a_third() -> None:
    power, varies = spectra(np.tile([1.0, 0.2, 0.7], (1, SEGMENT // 3)))
    assert varies.tolist() == [True]
    assert power[0, THIRD] == pytest.approx((SEGMENT - 1) / 2)
    assert np.delete(power[0], THIRD) == pytest.approx(np.zeros(SEGMENT // 2), abs=1e-9)


def test_any_series_has_a_mean_power_of_one() -> None:
    power, _ = spectra(np.random.default_rng(0).gamma(0.3, size=(5, SEGMENT)))
    assert power[:, 1:].mean(axis=1) == pytest.approx(np.ones(5))


def test_white_noise_has_a_flat_spectrum() -> None:
    power, _ = spectra(np.random.default_rng(1).normal(3, 2, (4000, SEGMENT)))
    assert power.mean(axis=0)[1:] == pytest.approx(np.ones(SEGMENT // 2), abs=0.08)


def test_agrees_with_scipy() -> None:
    series = np.random.default_rng(2).normal(size=(3, SEGMENT))
    frequencies, density = signal.periodogram(series, detrend="constant")
    power, _ = spectra(series)
    assert frequencies == pytest.approx(FREQUENCIES)
    assert power[:, 1:] == pytest.approx(density[:, 1:] / 2 / series.var(axis=1, ddof=1, keepdims=True))


def test_a_constant_series_has_none() -> None:
    power, varies = spectra(np.stack([np.full(SEGMENT, 1.386), np.arange(SEGMENT, dtype=float)]))
    assert varies.tolist() == [False, True]
    assert power.shape == (1, len(FREQUENCIES))


# ---------------------------------------------------------------- the tally


def test_planted_positions_on_both_strands(make_chunk: Maker, give_nll: Giver) -> None:
    lengths = [SEGMENT + 10] * 4
    classes = np.concatenate([np.append(np.zeros(10, np.uint8), coding(SEGMENT, strand, 1)) for strand in "+-+-"])
    nll = np.choose(np.clip(classes, 8, 11) - 8, [5.0, 0.5, 0.75, 1.25])
    codes = np.zeros(len(nll), np.uint8)
    tally = PeriodicityTally(("base",))
    tally.add(make_chunk(codes, lengths, {"base": give_nll(codes, nll)}, classes), np.arange(4))
    result = tally.result(50, 0.95, 0)
    for reading in ("along", "against"):
        positions = result.positions[result.positions["reading"] == reading]
        assert positions["nll"].tolist() == pytest.approx([0.5, 0.75, 1.25])
        assert positions["nll_low"].tolist() == pytest.approx([0.5, 0.75, 1.25])
        assert positions["n"].tolist() == [2 * SEGMENT // 3] * 3
    assert result.peaks["power"].tolist() == pytest.approx([175, 175])
    assert result.peaks["segments"].tolist() == [2, 2]


def test_uniform_predictions_have_no_spectrum(make_chunk: Maker) -> None:
    classes = coding(SEGMENT)
    logprobs = np.full((SEGMENT, 4), np.log(0.25), np.float32)
    tally = PeriodicityTally(("base", "markov"))
    noise = np.random.default_rng(5).uniform(-2, -1, (SEGMENT, 4)).astype(np.float16)
    codes = np.zeros(SEGMENT, np.uint8)
    tally.add(make_chunk(codes, [SEGMENT], {"base": logprobs, "markov": noise}, classes), np.zeros(1, np.int64))
    result = tally.result(20, 0.95, 0)
    assert not result.empty
    assert result.peaks["segments"].tolist() == [0, 1, 0, 0]
    of_base = result.spectrum[(result.spectrum["model"] == "base") & (result.spectrum["reading"] == "along")]
    assert of_base["power"].isna().all()
    positions = result.positions[(result.positions["model"] == "base") & (result.positions["reading"] == "along")]
    assert positions["nll"].tolist() == pytest.approx([UNIFORM_NLL] * 3)


def test_nothing_without_a_class_track(make_chunk: Maker) -> None:
    tally = PeriodicityTally(("base",))
    logprobs = np.full((SEGMENT, 4), np.log(0.25), np.float32)
    tally.add(make_chunk(np.zeros(SEGMENT, np.uint8), [SEGMENT], {"base": logprobs}), np.zeros(1, np.int64))
    result = tally.result(20, 0.95, 0)
    assert result.empty
    assert result.spectrum["power"].isna().all()


def test_interval_of_the_peak_covers_white_noise(make_chunk: Maker, give_nll: Giver) -> None:
    generator = np.random.default_rng(6)
    classes = np.tile(coding(SEGMENT), 30)
    codes = np.zeros(len(classes), np.uint8)
    covered = 0
    for run in range(20):
        tally = PeriodicityTally(("base",))
        nll = generator.uniform(0.5, 1.5, len(classes))
        tally.add(make_chunk(codes, [SEGMENT] * 30, {"base": give_nll(codes, nll)}, classes), np.arange(30))
        peak = tally.result(200, 0.95, run).peaks.iloc[0]
        covered += bool(peak["power_low"] < 1 < peak["power_high"])
    assert covered >= 16
