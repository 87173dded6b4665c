"""Stage `train`: adapt the base model to the token files."""

from __future__ import annotations

from typing import Any

from workflow.config import Config
from workflow.preflight import check_training_data, train_bases
from workflow.stages.context import StageContext


def train(context: StageContext) -> dict[str, object]:
    """Train, or go on with an interrupted training.

    Returns
    -------
    dict
        Steps, bases seen, share of the training bases covered, losses.

    Raises
    ------
    GateError
        The first validation loss is that of a guess, or adapters do not move.
    """
    base, tokens = context.published("convert"), context.published("preprocess")
    check_training_data(context.config, context.gates, train_bases(tokens))
    counts = context.backend().train(context.config, base, tokens, context.out, context.gates)
    return {"method": context.config.train.method, **counts}


def decisive(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the stage as far as they decide its result.

    A budget of tokens is a number of steps. On the local backend it does not matter how the samples of a step are cut
    into forward passes and among processes, so that one can go on with other numbers of both.
    """
    kept = {key: value for key, value in settings["train"].items() if key != "tokens"}
    if config.backend.name != "local":
        return settings | {"train": kept}
    plan = config.step_plan
    for key in ("batch_size", "accumulate", "activation_checkpointing", "batch_ramp_start"):
        del kept[key]
    samples = {"samples_of_step": plan.samples, "samples_of_first_step": plan.first if plan.ramp else plan.samples}
    return {"train": kept | samples, "backend.name": settings["backend.name"]}
