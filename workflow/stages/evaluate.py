"""Stage `evaluate`: the report."""

from __future__ import annotations

from dataclasses import asdict

from workflow.stages.context import StageContext


def evaluate(context: StageContext) -> dict[str, object]:
    """Build the report from the published stages of the run.

    Writes report.html, metrics.json, tables/*.csv and figures/*.png. Returns the headline numbers.

    Raises
    ------
    InputError
        A stage that the report needs has not run, or the table of measurements cannot be used.
    """
    from evaluation import report  # brings matplotlib and scipy, which other stages can do without

    return report.build(context.run, context.out, **asdict(context.config.evaluation), seed=context.config.seed)
