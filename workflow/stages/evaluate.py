"""Stage `evaluate`: the report."""

from __future__ import annotations

from dataclasses import asdict

from evaluation import report
from workflow.genome.files import locate
from workflow.stages.context import StageContext


def evaluate(context: StageContext) -> dict[str, object]:
    """Build the report from the published stages of the run.

    Writes report.html, metrics.json, tables/*.csv and figures/*.png. Returns the headline numbers.

    Raises
    ------
    InputError
        A stage that the report needs has not run, or the table of measurements cannot be used.
    """
    settings = asdict(context.config.evaluation)
    if settings["experiment"]:
        settings["experiment"] = str(locate(settings["experiment"], "evaluation.experiment names it"))
    return report.build(context.run, context.out, **settings, seed=context.config.seed)
