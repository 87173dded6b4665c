"""The end of a study: its tables, the best configuration as YAML, how much chance there is in it, and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from workflow.artifacts import run_lock
from workflow.command import resolve
from workflow.console import complain, say
from workflow.errors import InputError
from workflow.launch.stopping import StopRequest
from workflow.sweeping.best import write_best
from workflow.sweeping.judging import Outcome, judge
from workflow.sweeping.plan import FINAL, REPEATS, SHARED, Plan
from workflow.sweeping.process import LOG, TrialProcess, patience
from workflow.sweeping.progress import told
from workflow.sweeping.results import write_record, write_tables
from workflow.sweeping.settings import flatten
from workflow.sweeping.storage import dashboard
from workflow.sweeping.study import Study, values_of


def finish(plan: Plan) -> None:
    """Bring a study to its end; where another process does, or others still have trials, leave it to them.

    Writes the tables, `best/`, `repeats/`, `final/` where it is asked for, study.json and report.html.

    Raises
    ------
    InputError
        No trial has a value, or the final training failed.
    KeyboardInterrupt, SystemExit
        This process was asked to end.
    """
    study = Study(plan)
    if study.others_work:
        say(f"{plan.folder}: other workers still have trials; the last of them finishes the study")
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(plan.folder))
        except InputError:
            say(f"{plan.folder}: another process finishes the study")
            return
        _finish(study)


def _finish(study: Study) -> None:
    plan, best = study.plan, study.best()
    write_tables(study)
    if best is None:
        write_record(study, None, [], None)
        _write_report(plan)
        reasons = {str(trial.user_attrs.get("reason")) for trial in study.finished}
        raise InputError(f"no trial of {plan.folder} has a value: {'; '.join(sorted(reasons)) or 'none was run'}")
    values = plan.space.values(best.params)
    path, command = write_best(plan, values)
    record = _best_record(plan, best, values) | {"yaml": str(path.relative_to(plan.folder)), "command": command}
    say(f"best: trial {best.number}, {told(plan, best)}" + _of_several(study))
    say(f"  {path}\n  {command}")
    write_record(study, record, [], None)
    repeats: list[dict[str, Any]] = []
    with StopRequest() as stop:
        for seed in _seeds(plan):
            if stop.is_there:
                break
            repeat = _repeat(plan, values, seed, stop)
            repeats += [repeat] if repeat else []
            write_record(study, record, repeats, None)
        _tell_noise(plan, best, repeats)
        if plan.config.sweep.final and not stop.is_there and _train_finally(plan, values, stop):
            write_record(study, record, repeats, FINAL)
    _write_report(plan)
    say(f"trials in a browser: {dashboard(plan.config.sweep.storage, plan.folder)}")


def _best_record(plan: Plan, best: FrozenTrial, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": best.number,
        "objective": plan.objectives[0].name,
        "values": values_of(best),
        "params": dict(values),
        "run": best.user_attrs["run"],
    }


def _of_several(study: Study) -> str:
    """Of several objectives, what is meant by the best, and between which trials one may choose."""
    objectives = study.plan.objectives
    if len(objectives) == 1:
        return ""
    front = ", ".join(str(trial.number) for trial in study.pareto_front())
    return f" (the best in {objectives[0].name}; none is better in everything than the trials {front})"


def _seeds(plan: Plan) -> list[int]:
    """Seeds of the repeats: those after the base configuration's."""
    return [(plan.config.train.seed + number) % 2**32 for number in range(1, plan.config.sweep.repeats + 1)]


def _repeat(plan: Plan, values: Mapping[str, Any], seed: int, stop: StopRequest) -> dict[str, Any] | None:
    """Train the best configuration with another seed, on the same data; None where this process is asked to end."""
    run = f"{REPEATS}/seed-{seed}"
    outcome = _run(plan, values, run, {"train.seed": seed}, stop)
    if outcome is None:
        return None
    if outcome.values is None:
        complain(f"repeat with train.seed={seed} failed: {outcome.reason}")
        return {"seed": seed, "run": run, "values": [math.nan] * len(plan.objectives)}
    pairs = zip(plan.objectives, outcome.values, strict=True)
    say(f"repeat with train.seed={seed}: {', '.join(objective.told(value) for objective, value in pairs)}")
    return {"seed": seed, "run": run, "values": list(outcome.values)}


def _tell_noise(plan: Plan, best: FrozenTrial, repeats: list[dict[str, Any]]) -> None:
    """Say how much the first objective differs from seed to seed."""
    found = [repeat["values"][0] for repeat in repeats if math.isfinite(repeat["values"][0])]
    if len(found) > 1:
        objective = plan.objectives[0]
        say(
            f"over {len(found)} other seeds the best gives {objective.told(float(np.mean(found)))} on average, with a "
            f"standard deviation of {np.std(found, ddof=1):.4f}; in the search it had {values_of(best)[0]:.4f}"
        )


def _train_finally(plan: Plan, values: Mapping[str, Any], stop: StopRequest) -> bool:
    """A run of its own with the best configuration, scored as the base configuration says; whether it got done."""
    more = {"predict.split": plan.config.predict.split, "predict.forgetting": plan.config.predict.forgetting}
    more |= {"elements.split": plan.config.elements.split, "stage": "all"}
    outcome = _run(plan, values, FINAL, more | flatten(plan.config.sweep.final_settings), stop)
    if outcome is None:
        return False
    if outcome.values is None:
        raise InputError(f"the final training failed: {outcome.reason} (its log: {plan.folder / FINAL / LOG})")
    say(f"final run: {plan.folder / FINAL}")
    return True


def _run(plan: Plan, values: Mapping[str, Any], run: str, more: Mapping[str, Any], stop: StopRequest) -> Outcome | None:
    """Run a configuration outside the search; None where this process is asked to end meanwhile."""
    settings = plan.trial_settings(values, run, **more)
    folder = plan.folder / run
    process = TrialProcess(settings, plan.folder / SHARED, folder, plan.command(values, run, **more))
    try:
        while process.exit_code is None and not stop.is_there:
            process.wait()
        process.stop(patience(plan.config), lambda: stop.is_urgent, lambda: None)
    finally:
        process.close()
    if stop.is_there:
        return None
    assert process.exit_code is not None
    return judge(plan, resolve(settings), folder, process.exit_code, 0.0)


def _write_report(plan: Plan) -> None:
    from evaluation.search.report import write_report  # brings matplotlib and scipy

    say(f"report: {write_report(plan.folder).resolve()}")
