"""Stage `train`: adapt the base model to the token files."""

from __future__ import annotations

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
    counts = context.backend().train(context.config, base, tokens, context.out, context.gates)
    return {"method": context.config.train.method, **counts}
