"""Samplers and pruners, as Optuna has them."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from workflow.sweeping.plan import Plan

#: Complete trials before the first may be pruned.
_BEFORE_PRUNING = 5
_REDUCTION = 3


def sampler_of(plan: Plan, number: int, at_random: bool = False) -> BaseSampler:
    """The sampler of trial `number`, seeded by it: what is proposed does not depend on who asks when it is his turn.

    Parameters
    ----------
    plan : Plan
    number : int
        Of the trial.
    at_random : bool
        Whether the study's own sampler keeps proposing what cannot be run.
    """
    seed = int(np.random.SeedSequence([plan.config.sweep.seed, number]).generate_state(1)[0])
    name = "random" if at_random else plan.config.sweep.sampler
    if name == "tpe":
        return TPESampler(seed=seed, multivariate=True, group=plan.space.is_conditional)
    if name == "gp":
        return GPSampler(seed=seed, warn_independent_sampling=False)
    return NSGAIISampler(seed=seed) if name == "nsga2" else RandomSampler(seed=seed)


def pruner_of(plan: Plan) -> BasePruner:
    """The pruner of a study; steps are optimizer steps at which the training validates."""
    train = plan.config.train
    if plan.follows is None:
        return NopPruner()
    if plan.config.sweep.pruner == "hyperband":
        first = min(train.validate_every, train.steps)
        return HyperbandPruner(min_resource=first, max_resource=train.steps, reduction_factor=_REDUCTION)
    # Before the warm-up is over, learning rates have not shown what they do.
    return MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=train.warmup_steps)


def be_quiet() -> None:
    """Let Optuna tell errors only: the study tells its own progress."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
