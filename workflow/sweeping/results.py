"""The study as files, for people and for its page: the tables of trials and validations, importances, study.json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from workflow import provenance
from workflow.artifacts import write_json
from workflow.sweeping.plan import Plan
from workflow.sweeping.storage import dashboard
from workflow.sweeping.study import RECORD, Study, values_of

TRIALS_TABLE, INTERMEDIATE, IMPORTANCES = "trials.parquet", "intermediate.parquet", "importances.json"
#: Different values, without which there is no variance to share.
_FEWEST = 2
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
_TYPES = {
    "number": "int64",
    "retry_of": "Int64",
    "seconds": "float64",
    "gpu_hours": "float64",
    "batch_infeasible": "bool",
    "steps": "Int64",
}


def write_tables(study: Study) -> None:
    """Write trials.parquet, intermediate.parquet and importances.json into the study's folder."""
    plan, trials = study.plan, study.trials
    table = pd.DataFrame([_row(plan, trial) for trial in trials], columns=_columns(plan)).astype(_TYPES)
    _write(table, study, TRIALS_TABLE)
    rows = [(t.number, step, value) for t in trials for step, value in sorted(t.intermediate_values.items())]
    seen = pd.DataFrame(rows, columns=["number", "step", "value"])
    _write(seen.astype({"number": "int64", "step": "int64", "value": "float64"}), study, INTERMEDIATE)
    shares = {objective.name: importances(study, place) for place, objective in enumerate(plan.objectives)}
    write_json(study.folder / IMPORTANCES, shares)


def write_record(
    study: Study, best: dict[str, Any] | None, repeats: Sequence[dict[str, Any]], final: str | None
) -> None:
    """Write study.json."""
    plan, sweep = study.plan, study.plan.config.sweep
    record = {
        "name": plan.name,
        "created": study.created,
        "trials_wanted": sweep.trials,
        "space": plan.space.record,
        "constraints": [constraint.text for constraint in plan.constraints],
        "objectives": [objective.record for objective in plan.objectives],
        "follows": plan.follows,
        "sampler": sweep.sampler,
        "pruner": sweep.pruner,
        "seed": sweep.seed,
        "storage": sweep.storage,
        "stages": list(plan.stages),
        "pinned": plan.pinned,
        "notes": list(plan.notes),
        "base": plan.base_arguments(),
        "dashboard": dashboard(sweep.storage, plan.folder),
        "best": best,
        "pareto": [trial.number for trial in study.pareto_front()] if len(plan.objectives) > 1 else [],
        "repeats": list(repeats),
        "final": final,
        **provenance.environment(),
    }
    write_json(study.folder / RECORD, provenance.mask_secrets(record))


def importances(study: Study, objective: int) -> dict[str, float] | None:
    """Share of the variance of an objective that each setting explains (fANOVA, Hutter et al. 2014, ICML, §4).

    None where fewer than two trials are complete, or all have the same value. Settings that do not matter in every
    trial have no share.
    """
    complete = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if len({values_of(trial)[objective] for trial in complete}) < _FEWEST:
        return None
    try:
        shares = get_param_importances(
            study.optuna,
            evaluator=FanovaImportanceEvaluator(seed=study.plan.config.sweep.seed),
            target=lambda trial: values_of(trial)[objective],
        )
    except (ValueError, RuntimeError):
        return None
    return {key: float(share) for key, share in shares.items()} if _are_shares(shares.values()) else None


def _are_shares(shares: Any) -> bool:
    found = list(shares)
    return bool(found) and all(math.isfinite(share) for share in found) and sum(found) > 0


def _columns(plan: Plan) -> list[str]:
    told = ["number", "state", "reason", "kind", "retry_of", "run", "started", "finished", "seconds", "gpu_hours"]
    values = [f"value.{objective.name}" for objective in plan.objectives]
    return [*told, "batch_infeasible", *values, *(f"param.{key}" for key in plan.space.keys), "steps", "worker"]


def _row(plan: Plan, trial: FrozenTrial) -> dict[str, Any]:
    told = trial.user_attrs
    is_complete = trial.state == TrialState.COMPLETE
    values = plan.space.values(trial.params or trial.system_attrs.get("fixed_params", {}))
    reason = told.get("reason", "")
    return {
        "number": trial.number,
        "state": "interrupted" if told.get("interrupted") else _STATES[trial.state],
        "reason": f"not run: {reason}" if told.get("refused") else reason,
        "kind": told.get("kind", "sampled"),
        "retry_of": told.get("retry_of"),
        "run": None if told.get("refused") else told.get("run"),
        "started": _iso(told.get("began")),
        "finished": _iso(trial.datetime_complete.timestamp() if trial.datetime_complete else None),
        "seconds": told.get("seconds"),
        "gpu_hours": told.get("gpu_hours"),
        "batch_infeasible": "infeasible" in told,
        **{f"value.{o.name}": values_of(trial)[n] if is_complete else math.nan for n, o in enumerate(plan.objectives)},
        **{f"param.{key}": json.dumps(values[key]) if key in values else None for key in plan.space.keys},
        "steps": told.get("steps"),
        "worker": told["worker"]["name"] + f" {told['worker']['pid']}" if "worker" in told else None,
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _write(table: pd.DataFrame, study: Study, name: str) -> None:
    """Whole or not at all."""
    building = study.folder / f".{name}"
    table.to_parquet(building, index=False)
    building.replace(study.folder / name)
