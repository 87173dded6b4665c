"""Stage `train`: adapt the base model to the token files."""

from __future__ import annotations

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
