"""The states of trials, with processes that take no time."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from workflow.errors import InputError
from workflow.pipeline.outcome import Failure
from workflow.sweeping import study as study_module
from workflow.sweeping import worker
from workflow.sweeping.plan import Plan
from workflow.sweeping.proposing import sampler_of
from workflow.sweeping.study import Study, TakenOverError, counts

Planned = Callable[..., Plan]


def worked(plan: Plan) -> Study:
    worker.work(plan)
    return Study(plan)


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def failure(kind: str, gate: str | None = None) -> Failure:
    return Failure("train", kind, gate, "why", "now")


def test_a_study_ends_with_so_many_finished_trials(planned: Planned, trials: Any) -> None:
    plan = planned(trials=7)
    study = worked(plan)
    assert states(study) == ["COMPLETE"] * 7
    assert [settings.run_name for settings in trials.started] == [f"{number:04d}" for number in range(7)]
    assert study.trials[0].params == {"train.learning_rate": plan.config.train.learning_rate}
    assert study.best() == min(study.trials, key=lambda trial: trial.value)
    worker.work(plan)
    assert len(trials.started) == 7  # nothing is left to do
    worker.work(planned(trials=9))
    assert len(trials.started) == 9


def test_the_queue_comes_before_the_sampler(planned: Planned, trials: Any) -> None:
    study = worked(planned(trials=4, queue=[{"train.learning_rate": 0.03}, {"train.learning_rate": 0.05}]))
    assert [trial.params["train.learning_rate"] for trial in study.trials][1:3] == [0.03, 0.05]
    assert [trial.user_attrs["kind"] for trial in study.trials] == ["default", "queued", "queued", "sampled"]


def test_proposals_do_not_depend_on_who_asks(planned: Planned, trials: Any) -> None:
    whole = worked(planned(trials=12))
    for count in (4, 12):
        parts = worked(planned(trials=count, name="parts"))
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]


def best_of_20(plan: Plan, sampler: str, seed: int) -> float:
    """In memory: the optimum lies at a rate of 10^-2.3."""
    plan = replace(plan, config=replace(plan.config, sweep=replace(plan.config.sweep, sampler=sampler, seed=seed)))
    study = optuna.create_study()
    for number in range(20):
        study.sampler = sampler_of(plan, number)
        trial = study.ask()
        rate = plan.space.suggest(trial)["train.learning_rate"]
        study.tell(trial, 1 + (math.log10(rate) + 2.3) ** 2 / 100)
    return study.best_value


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_planted_optimum_is_found_better_than_at_random(planned: Planned, sampler: str) -> None:
    plan = planned()

    def median(sampler: str) -> float:
        seeds = range(2 if sampler == "gp" else 7)
        return float(np.median([best_of_20(plan, sampler, seed) for seed in seeds]))

    assert median(sampler) < median("random")


def test_genetic_search(planned: Planned) -> None:
    assert best_of_20(planned(), "nsga2", 42) < 1.1


# ---------------------------------------------------------------- pruning and failures


def test_bad_trials_are_pruned_and_stopped(planned: Planned, trials: Any) -> None:
    def losses(settings: Any) -> dict[int, float]:
        bad = settings.run_name == "0009"
        return {step: 1.0 - step / 1000 + (0.2 if bad and step > 30 else 0.0) for step in range(0, 150, 20)}

    trials.losses = losses
    study = worked(planned(trials=10))
    assert states(study) == ["COMPLETE"] * 9 + ["PRUNED"]
    assert trials.stopped == ["0009"]
    pruned = study.trials[9]
    assert pruned.user_attrs["reason"] == "stopped at step 40: worse than other trials there"
    assert 0 not in pruned.intermediate_values and max(pruned.intermediate_values) == 40
    assert pruned.user_attrs["steps"] == 40


def test_nothing_is_pruned_after_the_last_step(planned: Planned, trials: Any) -> None:
    trials.losses = lambda settings: {150: 1.0 + int(settings.run_name) / 100}
    assert states(worked(planned(trials=8))) == ["COMPLETE"] * 8


def test_hyperband_and_none(planned: Planned, trials: Any) -> None:
    def losses(settings: Any) -> dict[int, float]:
        return {step: 1.0 + (int(settings.run_name) % 7) / 100 for step in (10, 30, 90)}

    trials.losses = losses
    assert "PRUNED" in states(worked(planned("train.validate_every=10", trials=14, pruner="hyperband")))
    assert "PRUNED" not in states(worked(planned(trials=7, pruner="none", name="unpruned")))


def test_values_that_mean_nothing_are_failures(planned: Planned, trials: Any) -> None:
    values = {"0001": 1.4, "0002": math.log(512), "0003": 1.0}
    trials.losses = lambda settings: {10: values.get(settings.run_name, 0.9)}
    study = worked(planned(trials=4))
    assert states(study) == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert "no better than a uniform guess" in study.trials[1].user_attrs["reason"]
    assert "the checkpoint was not loaded" in study.trials[2].user_attrs["reason"]


def test_nan_stops_the_trial(planned: Planned, trials: Any) -> None:
    trials.losses = lambda settings: {10: 1.0, 20: math.nan if settings.run_name == "0001" else 0.9, 30: 0.8}
    study = worked(planned(trials=3))
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert (study.trials[1].user_attrs["reason"], trials.stopped) == ("a loss of nan at step 20", ["0001"])


def test_a_gate_fails_the_trial_alone(planned: Planned, trials: Any) -> None:
    trials.failure = lambda settings: failure("gate", "finite_loss") if settings.run_name == "0000" else None
    assert states(worked(planned(trials=3))) == ["FAIL", "COMPLETE", "COMPLETE"]


def test_a_fault_of_the_default_ends_the_command_and_is_tried_again(planned: Planned, trials: Any) -> None:
    trials.failure = lambda settings: failure("input")
    with pytest.raises(InputError, match=r"^trial 0 failed, as others would, .*: train: why \(its log: "):
        worker.work(planned(trials=2))
    trials.failure = lambda settings: None
    study = worked(planned(trials=2))
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert [counts(trial) for trial in study.trials] == [False, True, True]
    assert [settings.run_name for settings in trials.started] == ["0000", "0000", "0002"]
    assert study.trials[1].params == study.trials[0].params


def test_until_the_default_is_done_a_fault_may_be_that_of_all(planned: Planned, trials: Any) -> None:
    """Its retry comes after the queue, whose trials must not be used up by a tool that is not there."""
    plan = planned(trials=4, queue=[{"train.learning_rate": 0.03}])
    trials.failure = lambda settings: failure("tool")
    for number in (0, 1):
        with pytest.raises(InputError, match=f"^trial {number} failed, as others would"):
            worker.work(plan)
    trials.failure = lambda settings: failure("input") if settings.run_name == "0004" else None
    study = worked(plan)
    assert [trial.user_attrs["kind"] for trial in study.trials] == ["default", "queued", "retry", "retry"] + [
        "sampled"
    ] * 2
    assert states(study) == ["FAIL", "FAIL", "COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert [counts(trial) for trial in study.trials] == [False, False, True, True, True, True]


BATCH = {"train": {"batch_size": {"low": 1, "high": 64}}}


def test_a_batch_that_ran_out_of_memory_is_not_tried_again(planned: Planned, trials: Any) -> None:
    trials.losses = lambda settings: {10: 2 - settings.train.batch_size / 64 - 0.9}  # larger is better
    trials.failure = lambda settings: failure("out_of_memory") if settings.train.batch_size > 20 else None
    study = worked(planned(space=BATCH, trials=14))
    assert sum(map(counts, study.trials)) == 14
    refused = [trial for trial in study.trials if trial.user_attrs.get("refused")]
    assert refused and all(trial.state == TrialState.PRUNED for trial in refused)
    assert all("ran out of memory" in trial.user_attrs["reason"] for trial in refused)
    sizes = [settings.train.batch_size for settings in trials.started]
    for place, size in enumerate(sizes):
        assert all(size < earlier for earlier in sizes[:place] if earlier > 20)


def test_constraints_do_not_count(planned: Planned, trials: Any) -> None:
    study = worked(planned(trials=12, constraints=["train.learning_rate < 0.01"]))
    assert sum(map(counts, study.trials)) == 12 == len(trials.started)
    assert all(settings.train.learning_rate < 0.01 for settings in trials.started)
    assert len(study.trials) > 12


def test_a_sampler_that_cannot_learn_is_replaced_by_chance(
    planned: Planned, trials: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GP proposes the optimum that it believes in, again and again."""
    monkeypatch.setattr(study_module, "_PROPOSALS_OF_SAMPLER", 2)
    trials.losses = lambda settings: {10: 1 - settings.train.learning_rate}
    study = worked(planned(trials=12, sampler="gp", constraints=["train.learning_rate < 0.02"]))
    assert sum(map(counts, study.trials)) == 12


def test_constraints_that_nothing_meets(planned: Planned, trials: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_MOST_REFUSALS", 20)
    rate = 1e-3
    with pytest.raises(InputError, match=r"^20 proposals in a row could not be run, the last because it breaks"):
        worker.work(planned(constraints=[f"train.learning_rate == {rate}"]))


def test_a_combination_that_the_schema_refuses_is_not_run(planned: Planned, trials: Any) -> None:
    space = {"windows": {"sets": {"tiling": {"splits": {"choices": [["train"], ["train", "val", "test"]]}}}}}
    plan = planned(space=space, objectives=["gpu_hours"], trials=3)
    assert states(worked(plan)) == ["COMPLETE"] * 3


def test_several_objectives(planned: Planned, trials: Any) -> None:
    study = worked(planned(objectives=["val_loss", "gpu_hours"], trials=5))
    assert all(len(trial.values) == 2 for trial in study.trials)
    assert study.best(0) in study.pareto_front()


# ---------------------------------------------------------------- interruption and death


def test_asked_to_end_a_worker_stops_its_trial_and_leaves_it_to_the_next(planned: Planned, trials: Any) -> None:
    def losses(settings: Any) -> dict[int, float]:
        if settings.run_name == "0002" and not trials.stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        return {10: 1.0, 20: 0.9}

    trials.losses = losses
    plan = planned(trials=5)
    with pytest.raises(SystemExit) as caught:
        worker.work(plan)
    assert caught.value.code == 128 + signal.SIGTERM
    assert trials.stopped == ["0002"]
    study = worked(plan)
    assert sum(map(counts, study.trials)) == 5
    again = study.trials[3]
    assert (again.user_attrs["retry_of"], again.user_attrs["run"], again.params) == (
        2,
        "trials/0002",
        study.trials[2].params,
    )


def test_ctrl_c(planned: Planned, trials: Any) -> None:
    trials.failure = lambda settings: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        worker.work(planned())


def claimed(plan: Plan, **attributes: Any) -> tuple[Study, Any]:
    """A trial of a worker that is no more."""
    study = Study(plan)
    claim = study.claim()
    assert claim is not None
    for name, value in attributes.items():
        claim.trial.set_user_attr(name, value)
    return study, claim


GONE = {"host": "another", "name": "another", "pid": 1, "started": "1"}


def test_trials_of_the_dead_go_on_where_they_were(planned: Planned, trials: Any) -> None:
    plan = planned(trials=3)
    _, claim = claimed(plan, worker=GONE, began=1000.0, sign=1090.0)
    study = worked(plan)
    assert [trial.user_attrs["run"] for trial in study.trials] == [
        "trials/0000",
        "trials/0000",
        "trials/0002",
        "trials/0003",
    ]
    dead, again = study.trials[:2]
    assert dead.user_attrs["interrupted"] and dead.user_attrs["reason"] == "its worker died"
    assert (again.user_attrs["kind"], again.user_attrs["seconds_before"]) == ("retry", 90.0)
    assert again.params == dead.params == claim.trial.params


def test_a_worker_elsewhere_lives_as_long_as_it_gives_signs(planned: Planned) -> None:
    plan = planned(trials=1, stale_seconds=60)
    study, _ = claimed(plan, worker=GONE, sign=time.time() - 50)
    assert study.claim() is None and study.others_work
    study.trials[0].user_attrs["sign"] = 0
    claimed_again = claimed(planned(trials=2, stale_seconds=60))[1]
    assert claimed_again.number == 1


def test_on_this_machine_the_process_tells(planned: Planned) -> None:
    plan = planned(trials=1)
    study, claim = claimed(plan, sign=0.0)  # silent for long, but there
    assert study.claim() is None
    here = claim.trial.user_attrs["worker"]
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    claim.trial.set_user_attr("worker", {**here, "pid": child})
    claim.trial.set_user_attr("sign", time.time())
    again = study.claim()
    assert again is not None and again.run == claim.run


def test_another_process_with_the_number_of_a_dead_one(planned: Planned) -> None:
    study, claim = claimed(planned(trials=1))
    claim.trial.set_user_attr("worker", {**claim.trial.user_attrs["worker"], "started": "1"})
    assert study.claim() is not None


def test_who_was_taken_for_dead_leaves_the_trial_to_the_other(planned: Planned) -> None:
    plan = planned(trials=1)
    study, claim = claimed(plan, worker=GONE, sign=0.0)
    other = Study(plan).claim()
    assert other is not None and other.number == 1
    for act in (
        lambda: study.complete(claim, [1.0]),
        lambda: study.report(claim, {10: 1.0}),
        lambda: study.fail(claim, "x"),
        lambda: study.note(claim, steps=1),
    ):
        with pytest.raises(TakenOverError):
            act()


def test_a_trial_that_kills_each_of_its_workers_has_failed(planned: Planned, trials: Any) -> None:
    plan = planned(trials=2)
    for _ in range(study_module._MOST_DEATHS):
        claimed(plan, worker=GONE, sign=0.0)
    study = worked(plan)
    assert states(study) == ["FAIL"] * study_module._MOST_DEATHS + ["COMPLETE"]
    assert "its worker died, as 4 before it" in study.trials[4].user_attrs["reason"]
    assert sum(map(counts, study.trials)) == 2


def test_a_death_between_taking_a_trial_and_its_values(planned: Planned, trials: Any) -> None:
    """Killed right after the storage gave the trial, before anything else was noted of it."""
    plan = planned(trials=2)
    Study(plan).optuna.ask()
    study = worked(plan)
    assert sum(map(counts, study.trials)) == 2
    assert study.trials[1].params == {"train.learning_rate": plan.config.train.learning_rate}


def test_many_workers_make_exactly_as_many_trials_as_wanted(planned: Planned, trials: Any) -> None:
    plan = planned(trials=15, constraints=["train.learning_rate < 0.02"])
    threads = [threading.Thread(target=worker.work, args=(plan,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = Study(plan)
    assert sum(map(counts, study.trials)) == len(trials.started) == 15
    runs = [settings.run_name for settings in trials.started]
    assert len(set(runs)) == 15
    assert sum(trial.user_attrs["kind"] == "default" for trial in study.trials) == 1


# ---------------------------------------------------------------- which study


def test_another_study_of_the_name_is_refused(planned: Planned, trials: Any) -> None:
    worker.work(planned(trials=1))
    narrow = {"train": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}}}
    for overrides, sweep, message in (
        (("train.steps=7",), {}, r"base\.train\.steps was 150, is 7"),
        ((), {"space": narrow}, r"space\.train\.learning_rate was 1e-06 to 0\.1, logarithmic"),
        ((), {"objectives": ["val_loss"]}, r"objectives\.val_loss was absent"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            Study(planned(*overrides, **sweep))
        assert "give another sweep.name" in str(caught.value)


def test_workers_of_other_command_lines(planned: Planned, trials: Any) -> None:
    """What they have in common is checked; the queue of each is tried."""
    worker.work(planned(trials=2, queue=[{"train.learning_rate": 0.03}]))
    study = worked(planned(trials=4, queue=[{"train.learning_rate": 0.05}]))
    rates = [trial.params["train.learning_rate"] for trial in study.trials]
    assert rates[1:3] == [0.03, 0.05] and len(rates) == 4
    with pytest.raises(InputError, match=r"base\.model\.checkpoint was .*, is other\.pt"):
        Study(planned("model.checkpoint=other.pt"))


def test_a_value_outside_its_condition_is_common(planned: Planned, trials: Any) -> None:
    space = {
        "train": {
            "learning_rate": {"low": 1e-6, "high": 1e-1, "log": True},
            "clip": {"low": 0.1, "high": 9.0, "when": "train.learning_rate > 0.01"},
        }
    }
    worker.work(planned(space=space, trials=1))
    with pytest.raises(InputError, match=r"base\.train\.clip was 1\.0, is 2\.0"):
        Study(planned("train.clip=2.0", space=space))


def test_a_genome_that_changed_is_refused(planned: Planned, trials: Any) -> None:
    worker.work(planned(trials=1))
    trials.genome = "another"
    with pytest.raises(InputError, match=r"^the files of the genome are not those that .* was begun with"):
        worker.work(planned(trials=2))
    trials.genome = "its hash"
    study = worked(planned(trials=2))
    assert [counts(trial) for trial in study.trials] == [True, False, True]


def test_a_study_whose_folder_is_gone_is_another_one(planned: Planned, trials: Any) -> None:
    plan = planned(trials=1)
    worker.work(plan)
    (plan.folder / "study.json").unlink()
    with pytest.raises(InputError, match=r"^sweep\.storage has a study own that is not the one of"):
        Study(plan)


def test_a_study_that_is_kept_elsewhere_is_not_begun_again(planned: Planned, trials: Any) -> None:
    worker.work(planned(trials=1, storage="journal"))
    with pytest.raises(InputError, match=r"was begun with sweep\.storage=journal, where its trials are: give that"):
        Study(planned(trials=1))
    worker.work(planned(trials=2, storage="journal"))


def test_time_limit(planned: Planned, trials: Any) -> None:
    trials.losses = lambda settings: time.sleep(0.05) or {10: 1.0}
    worker.work(planned(trials=1000, timeout_hours=1 / 3600))
    assert 1 <= len(trials.started) < 30


def test_progress(planned: Planned, trials: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trials.failure = lambda settings: failure("gate") if settings.run_name == "0001" else None
    worker.work(planned(trials=3))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("trial 0: val_loss_nonrepeat 0.001 nats per base | 1 of 3 done; best val_loss_nonrepeat")
    assert lines[1].startswith("trial 1: failed, train: why | 2 of 3 done (1 failed); best ")
    assert "about 0:00:0" in lines[1] and "about" not in lines[2]


def test_optuna_is_quiet(planned: Planned, trials: Any, capsys: pytest.CaptureFixture[str]) -> None:
    worker.work(planned(trials=12))
    assert capsys.readouterr().err == ""
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR
