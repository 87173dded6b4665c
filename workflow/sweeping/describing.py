"""What a study is going to do, in words."""

from __future__ import annotations

from workflow.sweeping.plan import Plan, as_typed


def describe(plan: Plan) -> str:
    """The space, the objectives, the first trial, and where all of it goes."""
    sweep = plan.config.sweep
    at_a_time = f", {sweep.workers} at a time" if sweep.workers > 1 else ""
    width = max(map(len, plan.space.keys))
    followed = f", pruned by {plan.follows} ({sweep.pruner})" if plan.follows else ""
    return "\n".join(
        [
            f"study {plan.folder}: {sweep.trials} trials{at_a_time}, proposed by {sweep.sampler}{followed}",
            *(f"  {d.key:<{width}}  {d}" for d in plan.space.dimensions),
            *(f"  where {constraint.text}" for constraint in plan.constraints),
            *(f"  {objective.direction} {objective.name}: {objective.label}" for objective in plan.objectives),
            *(f"  note: {note}" for note in plan.notes),
            f"  trial 0: {as_typed(plan.command({}, 'trials/0000'))}",
            f"  at the end: {sweep.repeats} repeats of the best" + (", and the final training" if sweep.final else ""),
        ]
    )
