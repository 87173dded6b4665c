"""Stage `train`: adapt the base model to the token files."""

from __future__ import annotations

from typing import Any

from workflow.config import Config
from workflow.dataset.codons import coding_sets
from workflow.preflight import check_training_data, train_bases
from workflow.stages.context import StageContext


def train(context: StageContext) -> dict[str, object]:
    """Train, or go on with an interrupted training.

    Returns
    -------
    dict
        Steps, bases seen, share of the training bases covered, losses; with a codon objective also what was in frame.

    Raises
    ------
    GateError
        The first validation loss is that of a guess, or adapters do not move.
    InputError
        The backend or the mixture has not what the objective needs.
    """
    coding_sets(context.config)
    base, tokens = context.published("convert"), context.published("preprocess")
    check_training_data(context.config, context.gates, train_bases(tokens))
    counts = context.backend().train(context.config, base, tokens, context.out, context.gates)
    return {"method": context.config.train.method, **counts}


def forecast(config: Config) -> list[str]:
    """With a codon objective, about what share of the bases it reads is in frame, for a dry run."""
    sets = coding_sets(config)
    if not sets:
        return []
    shares = config.mixture.shares
    share = sum(shares[name] for name in sets) / sum(shares.values())
    turned = config.train.reverse_complement
    return [
        f"codons: about {share * (1 - turned):.1%} of the bases are in frame ({', '.join(sets)} with {share:.1%} of "
        f"the mixture, of which train.reverse_complement={turned:g} reads {turned:.0%} from the other strand)"
    ]


def decisive(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the stage as far as they decide its result.

    A budget of tokens is a number of steps, and the plain NLL reads no codons. On the local backend it does not matter
    how the samples of a step are cut into forward passes and among processes, so that one can go on with other numbers
    of both.
    """
    unread = {"tokens"} if config.train.reads_codons else {"tokens", "objective", "codon"}
    kept = {key: value for key, value in settings["train"].items() if key not in unread}
    if config.backend.name != "local":
        return settings | {"train": kept}
    plan = config.step_plan
    for key in ("batch_size", "accumulate", "activation_checkpointing", "batch_ramp_start"):
        del kept[key]
    samples = {"samples_of_step": plan.samples, "samples_of_first_step": plan.first if plan.ramp else plan.samples}
    return {"train": kept | samples, "backend.name": settings["backend.name"]}
