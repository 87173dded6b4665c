"""Stage `evaluate`: the report."""

from __future__ import annotations

from dataclasses import asdict

from workflow.stages.context import StageContext


def evaluate(context: StageContext) -> dict[str, object]:
    """Build the report from the published stages of the run.

    Writes report.html, metrics.json, tables/*.csv, figures/*.png and browser/. Returns the headline numbers.

    Raises
    ------
    InputError
        A stage that the report needs has not run.
    GateError
        What the report found makes its numbers worthless, and the gate's action is `stop`.
    """
    from evaluation import findings, report  # bring matplotlib and scipy, which other stages can do without

    settings = findings.Settings(**asdict(context.config.evaluation), seed=context.config.seed)
    outcome = report.build(context.run, context.out, settings)
    for check in outcome.checks:
        context.gates.check(**check)
    return outcome.headline
