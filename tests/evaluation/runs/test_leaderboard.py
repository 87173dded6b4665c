from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.per_base.shared import STRATA, WindowSums
from evaluation.runs.leaderboard import UNIFORM, Leaderboard, judge, rank

WINDOWS, BASES = 120, 500


def sums(means: dict[str, float], seed: int = 0, own: float = 0.02, repeats: int = 200) -> WindowSums:
    """Windows that differ by 0.2 nats, under models that differ by `own` in each window, and by their means."""
    generator = np.random.default_rng(seed)
    window = generator.normal(0, 0.2, WINDOWS)
    nll = {}
    for name, mean in means.items():
        per_base = mean + window + generator.normal(0, own, WINDOWS)
        nll[name] = np.column_stack([per_base * BASES, (per_base + 0.1) * repeats])
    bases = np.tile([BASES, repeats], (WINDOWS, 1))
    names = pd.DataFrame({"sequence_id": [f"w{row}" for row in range(WINDOWS)]})
    return WindowSums(names, STRATA, bases, nll, dict.fromkeys(means, bases * 0.4))


def board(means: dict[str, float], models: list[str], samples: int = 2_000, **options: float) -> Leaderboard:
    return rank(
        sums(means, **options),  # type: ignore[arg-type]
        models,
        {"good": "plain"} if {"good", "plain"} <= set(models) else {},
        np.arange(WINDOWS),
        samples=samples,
        confidence=0.95,
        seed=1,
    )


def test_means_parts_and_order() -> None:
    found = board({"plain": 1.2, "markov": 1.25, "good": 1.1}, ["plain", "good"])
    given = sums({"plain": 1.2, "markov": 1.25, "good": 1.1})
    assert found.models == ["good", "plain"]
    assert found.baselines == ["markov", UNIFORM]
    for name in ("good", "plain", "markov"):
        whole, repeat = given.nll[name].sum(axis=0)
        assert found.nll["all"][name].estimate == pytest.approx(whole / (WINDOWS * BASES))
        assert found.nll["inside"][name].estimate == pytest.approx(repeat / (WINDOWS * 200))
        assert found.nll["outside"][name].estimate == pytest.approx((whole - repeat) / (WINDOWS * 300))
        assert found.nll["all"][name].low < found.nll["all"][name].estimate < found.nll["all"][name].high
    assert found.nll["all"][UNIFORM].estimate == pytest.approx(UNIFORM_NLL)
    assert found.accuracy["good"].estimate == pytest.approx(0.4)
    assert found.accuracy[UNIFORM].estimate == pytest.approx(0.25)
    assert (found.windows, found.bases, found.blocks) == (WINDOWS, WINDOWS * BASES, WINDOWS)
    assert found.repeat_share == pytest.approx(0.4)
    assert found.gains["good", "plain"].estimate == pytest.approx(0.1, abs=0.01)


def test_paired_tests_see_what_single_intervals_hide() -> None:
    found = board({"plain": 1.2, "good": 1.19}, ["plain", "good"])
    good, plain = (found.nll["all"][name] for name in ("good", "plain"))
    assert good.high > plain.low
    [pair] = found.pairs
    assert (pair.model, pair.reference) == ("good", "plain")
    assert pair.gain.sign == 1
    assert pair.is_shown
    assert pair.effect_size > 0.2


def test_planted_gains_are_found_and_none_is_claimed_of_equals() -> None:
    claimed_null = claimed_true = 0
    for seed in range(40):
        equal = board({"a": 1.2, "b": 1.2, "c": 1.2, "d": 1.2}, list("abcd"), 300, seed=seed)
        # 300 draws: p is at least 0.0033, times six pairs still below the level.
        claimed_null += any(pair.is_shown for pair in equal.pairs)
        better = board({"a": 1.2, "b": 1.18}, list("ab"), 300, seed=seed)
        claimed_true += better.pairs[0].is_shown and better.models == ["b", "a"]
    assert claimed_null <= 6
    assert claimed_true == 40


def test_every_pair_once_with_corrected_p_values() -> None:
    found = board({"a": 1.1, "b": 1.2, "c": 1.3, "d": 1.31}, list("abcd"))
    assert len(found.pairs) == 6
    assert all(pair.gain.estimate >= 0 for pair in found.pairs)
    assert all(pair.corrected >= pair.p_value for pair in found.pairs)
    assert len(found.pairs_table()) == 6
    assert found.table()["label"].tolist() == ["a", "b", "c", "d", UNIFORM]


def test_without_repeats_their_part_is_undefined() -> None:
    found = board({"a": 1.1, "b": 1.2}, ["a", "b"], repeats=0)
    assert np.isnan(found.nll["inside"]["a"].estimate)
    assert not found.nll["inside"]["a"].defined
    assert found.nll["outside"]["a"].estimate == pytest.approx(found.nll["all"]["a"].estimate)
    assert found.repeat_share == 0


def test_blocks_widen_the_interval_of_windows_that_move_together() -> None:
    given = sums({"a": 1.1, "b": 1.2}, own=0.0)
    drift = np.repeat(np.random.default_rng(5).normal(0, 0.05, 12), 10) * BASES
    given.nll["b"][:, 0] += drift
    settings = {"samples": 1_000, "confidence": 0.95, "seed": 1}
    single = rank(given, ["a", "b"], {}, np.arange(WINDOWS), **settings)  # type: ignore[arg-type]
    blocked = rank(given, ["a", "b"], {}, np.arange(WINDOWS) // 10, **settings)  # type: ignore[arg-type]
    widths = [found.pairs[0].gain.high - found.pairs[0].gain.low for found in (single, blocked)]
    assert widths[1] > 1.8 * widths[0]
    assert blocked.blocks == 12


def test_the_verdict_claims_only_what_stands() -> None:
    clear = judge(board({"a": 1.1, "b": 1.2, "markov": 1.15}, ["a", "b"]), "toy", 0.95)
    assert clear.outcome == "better"
    assert clear.headline.startswith("a explains 0.09") or clear.headline.startswith("a explains 0.10")
    assert "nats per base more than the next best, b" in clear.headline
    assert any("1 model could not be shown to beat the markov: b." in note for note in clear.notes)
    tied = judge(board({"a": 1.2, "b": 1.2, "markov": 1.3}, ["a", "b"]), "toy", 0.95)
    assert tied.outcome == "none"
    assert "no difference could be shown from 1 other model" in tied.headline


def test_too_few_blocks_allow_no_claim() -> None:
    settings = {"samples": 300, "confidence": 0.95, "seed": 1}
    blocks = np.arange(WINDOWS) // (WINDOWS // 2)
    found = rank(sums({"a": 1.1, "b": 1.3}), ["a", "b"], {}, blocks, **settings)  # type: ignore[arg-type]
    [pair] = found.pairs
    assert np.isnan(pair.p_value)
    assert not pair.is_shown
    verdict = judge(found, "toy", 0.95)
    assert verdict.outcome == "none"
    assert "With 2 blocks nothing can be said about the uncertainty." in verdict.notes
