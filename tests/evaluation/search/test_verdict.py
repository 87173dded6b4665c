from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.verdict import Verdict
from evaluation.search.noise import noise
from evaluation.search.reading import Repeat, Study, read_study
from evaluation.search.verdict import judge

Make = Callable[..., Path]
Judge = Callable[..., Verdict]


def verdict(study: Study) -> Verdict:
    return judge(study, [noise(study, place, 0.95) for place in range(len(study.objectives))], 0.95)


@pytest.fixture
def judged(make_study: Make) -> Judge:
    """The verdict on trials with these values (None: failed) and repeats of the best with those."""

    def make(values: list[float | None], repeats: list[float], **options: Any) -> Verdict:
        study = read_study(make_study(trials=len(values), states={}, repeats=0, folders=False, **options))
        states = ["failed" if value is None else "complete" for value in values]
        numbers = np.array([np.nan if value is None else value for value in values])
        again = [Repeat(k, "", [value]) for k, value in enumerate(repeats)]
        return verdict(
            replace(
                study,
                objectives=[replace(study.objectives[0], decimals=4)],
                trials=study.trials.assign(state=states),
                values=numbers[:, None],
                repeats=again,
            )
        )

    return make


def test_a_gain_beyond_the_noise_of_seeds_is_claimed(judged: Judge) -> None:
    found = judged([1.30, 1.25, 1.20], [1.21, 1.22, 1.20, 1.21, 1.21])
    assert found.outcome == "better"
    assert found.headline == (
        "Lowest validation loss outside repeats: trial 2, whose configuration reaches 1.210 [1.201, 1.219] nats per "
        "base (mean of 5 seeds); 0.090 [0.068, 0.112] better than the default configuration (1.3000, trial 0), which "
        "is more than the noise of seeds."
    )
    assert any("itself had 1.2000, 0.0100 better than the mean" in note for note in found.notes)


def test_a_gain_within_the_noise_of_seeds_is_none(judged: Judge) -> None:
    found = judged([1.23, 1.25, 1.20], [1.19, 1.24, 1.21, 1.22, 1.20])
    assert found.outcome == "none"
    assert "cannot be told from the noise of seeds: +0.018 [−0.04" in found.headline
    assert any(note.startswith("2 other trials of 2 lie within this noise") for note in found.notes)


def test_a_best_that_is_worse_when_trained_again_is_called_worse(judged: Judge) -> None:
    found = judged([1.23, 1.20], [1.30, 1.31, 1.305, 1.30, 1.31])
    assert found.outcome == "worse"
    assert "worse than the default configuration (1.2300, trial 0): trained again" in found.headline


def test_without_repeats_no_gain_is_claimed(judged: Judge) -> None:
    found = judged([1.30, 1.20], [])
    assert found.outcome == "none"
    assert found.headline == (
        "Lowest validation loss outside repeats: 1.2000 nats per base in trial 1, 0.1000 better than the default "
        "configuration (1.3000, trial 0); it ran with one seed, so that the difference cannot be told from luck."
    )
    assert any("not trained again with other seeds (sweep.repeats)" in note for note in found.notes)
    failed = judged([1.30, 1.20], [float("nan")])
    assert any("no repeat of it ended with a value" in note for note in failed.notes)


def test_one_repeat_says_nothing_of_noise(judged: Judge) -> None:
    found = judged([1.30, 1.20], [1.22])
    assert found.outcome == "none"
    assert "1.220 [no interval] nats per base (mean of 1 seed); +0.080 against" in found.headline
    assert "There is one repeat: the noise of seeds is not known." in found.notes


def test_few_repeats_are_rough_and_equal_ones_are_suspicious(judged: Judge) -> None:
    notes = " ".join(judged([1.30, 1.20], [1.22, 1.22]).notes)
    assert "From 2 seeds this is rough." in notes
    assert "the seed changes nothing" in notes


def test_the_default_may_be_the_best(judged: Judge) -> None:
    found = judged([1.20, 1.30], [1.21, 1.22, 1.20])
    assert found.outcome == "none"
    assert found.headline.endswith("which is the default configuration: no trial did better.")


def test_the_default_may_have_failed(judged: Judge) -> None:
    found = judged([None, 1.30], [])
    assert "the default configuration did not run to its end" in found.headline
    assert found.outcome == "none"


def test_a_search_of_one_trial_owes_nothing_to_luck(judged: Judge) -> None:
    assert not any("luck" in note for note in judged([1.2], []).notes)


def test_all_failed(make_study: Make) -> None:
    found = verdict(read_study(make_study(trials=12, states={"failed": 1.0}, repeats=0)))
    assert found.headline == "No trial came to its end: there is no best configuration (12 trials: 12 failed)."
    assert found.outcome == "none"
    # The reasons differ in their numbers only.
    assert found.notes[0].startswith("Failed trials, which count for nothing in the search: 12 × no better than")


def test_reasons_are_counted_and_the_frequent_ones_come_first(make_study: Make) -> None:
    study = read_study(make_study(trials=9, states={"failed": 1.0}, default=False, repeats=0))
    reasons = ["memory with batch 8", "memory with batch 16", "b", "c", "d", "", "loss is nan", "b", "b"]
    notes = verdict(replace(study, trials=study.trials.assign(reason=reasons))).notes
    assert notes[0] == (
        "Failed trials, which count for nothing in the search: 3 × b; 2 × memory with batch 8, for instance; 1 × c; "
        "1 × d; 2 × other reasons."
    )


def test_a_best_at_the_border_asks_for_a_wider_space(make_study: Make) -> None:
    space = {"train.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "train.batch_size": {"choices": [8, 16]}}
    study = read_study(make_study(trials=40, space=space, states={}, spread=0.0))
    best = study.best(0)
    assert best is not None
    rate = replace(study.settings[0], places=np.where(np.arange(40) == best, 9.9e-4, study.settings[0].places))
    notes = verdict(replace(study, settings=[rate, study.settings[1]])).notes
    told = [note for note in notes if "at a border" in note]
    assert len(told) == 1
    assert "train.learning_rate = " in told[0] and "the upper border of 1e-05 to 0.001, logarithmic" in told[0]
    inside = replace(rate, places=np.full(40, 1e-4))
    assert not any("border" in note for note in verdict(replace(study, settings=[inside])).notes)


def test_whether_the_search_still_improved(judged: Judge) -> None:
    falling = [1.3 - 0.01 * place for place in range(10)]
    assert any(
        "still improved: the last 20 % of the complete trials lowered the best by 0.0200" in note
        for note in judged(list(falling), []).notes
    )
    assert any("had stopped improving" in note for note in judged(list(reversed(falling)), []).notes)
    within = judged(list(falling), [1.15, 1.25, 1.2]).notes
    assert any("less than the spread of seeds" in note for note in within)
    assert not any("improv" in note for note in judged(list(falling[:9]), []).notes)


def test_trials_that_still_run_are_told(make_study: Make) -> None:
    study = read_study(make_study(trials=10, states={"running": 0.3, "waiting": 0.3}))
    amount = int(study.trials["state"].isin(["running", "waiting"]).sum())
    assert any(note.startswith(f"{amount} trials had not ended") for note in verdict(study).notes)


def test_several_objectives_each_have_their_best(make_study: Make) -> None:
    study = read_study(make_study(trials=40, objectives=3))
    found = verdict(study)
    assert (
        "trials of 2" in found.headline and "complete ones form the Pareto front. Lowest validation" in found.headline
    )
    assert found.notes[0].startswith("Lowest forgetting: ")
    assert found.notes[1].startswith("Highest accuracy: ")
    # Only the best of the first objective was trained again.
    assert "it ran with one seed" in found.notes[0]


def test_missing_reasons_of_older_tables_do_no_harm(make_study: Make) -> None:
    folder = make_study(trials=4, states={"failed": 1.0}, repeats=0)
    table = pd.read_parquet(folder / "trials.parquet").assign(reason=None)
    table.to_parquet(folder / "trials.parquet")
    assert "4 × no reason given" in verdict(read_study(folder)).notes[0]
