"""What a study searches, and what each of its trials is: everything that follows from the configuration alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from workflow import provenance
from workflow.command import resolve, split_options
from workflow.config import STAGES, Config
from workflow.errors import InputError
from workflow.genome.web import hide_secrets
from workflow.pipeline import PIPELINE
from workflow.sweeping.comparability import check_comparable, effects, pinned, validation_varies
from workflow.sweeping.expressions import Expression
from workflow.sweeping.feasibility import read_constraints
from workflow.sweeping.objectives import KNOWN, Objective, read_objectives
from workflow.sweeping.settings import changed, flatten, overrides, resolved
from workflow.sweeping.space import SearchSpace
from workflow.sweeping.storage import check_storage

#: Folders of a study.
TRIALS, SHARED, REPEATS, FINAL, BEST = "trials", "shared", "repeats", "final", "best"
#: Arguments of the command line that are the study's or a single run's own.
_NOT_OF_A_TRIAL = ("sweep", "stage", "run_name", "runs_folder", "dry_run", "force")
_SCORED_SPLIT = "val"
#: Settings of the scoring that need no mention.
_SAID = ("predict.split", "elements.split", "predict.forgetting", "tracking.folder")


@dataclass(frozen=True)
class Plan:
    """A study, from its configuration.

    Attributes
    ----------
    settings : DictConfig
        The base configuration as Hydra composed it.
    config : Config
        The same, resolved.
    typed : tuple of str
        Arguments of the command line that made it.
    space : SearchSpace
        Wide enough for the trials that come first.
    constraints : tuple of Expression
    objectives : tuple of Objective
    stages : tuple of str
        Stages of each trial.
    pinned : dict
        Settings that all trials have, whatever they search.
    first : tuple of dict
        Values of the trials that come first: those of the default, and of the queue.
    follows : str or None
        Metric of the training by which a trial may be pruned; None where it cannot be.
    notes : tuple of str
        What a user has to know of all this, one sentence each.
    """

    settings: DictConfig
    config: Config
    typed: tuple[str, ...]
    space: SearchSpace
    constraints: tuple[Expression, ...]
    objectives: tuple[Objective, ...]
    stages: tuple[str, ...]
    pinned: dict[str, Any]
    first: tuple[dict[str, Any], ...]
    follows: str | None
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Of the study."""
        return Path(self.config.runs_folder) / self.config.sweep.name

    @property
    def name(self) -> str:
        """Of the study."""
        return self.config.sweep.name

    def changes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What a trial with these values changes of the base configuration, but for its place."""
        return {**values, **self.pinned}

    def trial_settings(self, values: Mapping[str, Any], run: str, **more: Any) -> DictConfig:
        """Configuration of a trial.

        Parameters
        ----------
        values : mapping
            Of the searched settings.
        run : str
            Run folder within the study.
        more
            Further changes by dotted key.
        """
        place = self.folder / run
        own = {"runs_folder": str(place.parent), "run_name": place.name, "stage": list(self.stages)}
        return changed(self.settings, {**self.changes(values), **own, **more})

    def command(self, values: Mapping[str, Any], run: str, **more: Any) -> list[str]:
        """Arguments of `python -m workflow.run` that do what a trial does."""
        place = self.folder / run
        given = {"stage": list(self.stages), "runs_folder": str(place.parent), "run_name": place.name}
        flags, base = split_options(self.base_arguments())
        return [*flags, *base, *overrides({**self.changes(values), **given, **more}, self.settings)]

    def base_arguments(self) -> list[str]:
        """The arguments as they were typed that make the base configuration, secrets masked."""
        kept = [part for part in self.typed if _key_of(part).split(".")[0] not in _NOT_OF_A_TRIAL]
        kept = [part for part in kept if part != "launcher=slurm"]
        return [hide_secrets(str(provenance.mask_secrets(part))) for part in kept]

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the trials of a study comparable: what they search, are judged by, and have in common."""
        values = asdict(self.config)
        needed = [PIPELINE[name] for name in STAGES[: STAGES.index(self.stages[-1]) + 1]]
        base: dict[str, Any] = {"model.checkpoint": self.config.model.checkpoint}
        for stage in needed:
            if stage.name in self.stages or stage.name in ("prepare", "preprocess", "convert"):
                base |= flatten(stage.settings(self.config, values))
        # A setting that is searched under a condition has its base value elsewhere.
        always = {dimension.key for dimension in self.space.dimensions if dimension.when is None}
        base = {key: value for key, value in base.items() if key not in always}
        told = {
            "space": {
                key: str(dimension) for key, dimension in zip(self.space.keys, self.space.dimensions, strict=True)
            },
            "objectives": {objective.name: objective.direction for objective in self.objectives},
            "base": provenance.mask_secrets({**base, **self.pinned}),
        }
        # As the storage gives it back.
        plain: dict[str, Any] = json.loads(json.dumps({"version": 1, "config": told, "files": [], "stages": {}}))
        return plain


def make_plan(settings: DictConfig, typed: Sequence[str]) -> Plan:
    """The study that a configuration asks for.

    Parameters
    ----------
    settings : DictConfig
        As Hydra composed it.
    typed : sequence of str
        The arguments of the command line.

    Raises
    ------
    InputError
        The search makes no sense as it is given; the message says where and how to mend it.
    """
    config = resolve(settings)
    sweep = config.sweep
    check_storage(sweep.storage)
    _check_base(config)
    narrow = space = SearchSpace.read(sweep.space, settings)
    constraints = read_constraints(sweep.constraints, space)
    first = ({}, *(flatten(queued, is_leaf=lambda value: False) for queued in sweep.queue))
    first = tuple(_within_space(values, space) for values in first)
    for values in first:
        space = space.with_trial(values)
    changes = effects(space, settings, config)
    varies = validation_varies(changes, config.backend.name)
    objectives, notes = _objectives(config, varies)
    check_comparable(objectives, changes, config.backend.name)
    stages = _stages(config, objectives)
    pins = pinned(objectives, changes, config) | _measured_on_val(config, objectives, stages, typed)
    follows, why = _followed(config, objectives, varies)
    for values in first:  # a fault of the trials that come first is told before anything runs
        resolved(settings, {**values, **pins})
        for constraint in constraints:
            if not constraint.value(space.lookup(values)):
                which = (
                    f"sweep.queue has a trial that breaks {constraint.key}"
                    if values
                    else (f"the configuration itself, which is tried first, breaks {constraint.key}")
                )
                raise InputError(f"{which} ({constraint.text}): change one of them")
    notes += [*space.widened_from(narrow), *why]
    notes += [
        f"{key}={pins[key]} in every trial, whatever follows from it otherwise" for key in pins if key not in _SAID
    ]
    return Plan(
        settings, config, tuple(typed), space, constraints, objectives, stages, pins, first, follows, tuple(notes)
    )


def _check_base(config: Config) -> None:
    if config.train.method == "none":
        raise InputError("a sweep searches over trainings, train=none has none: use train=lora, full or scratch")
    if config.force:
        raise InputError("force=true would make trials begin again: sweep.name=… makes another study")
    if (Path(__file__).parents[2] / "configs" / "train" / f"{config.sweep.name}.yaml").exists():
        raise InputError(f"sweep.name={config.sweep.name} is the name of a training of this project: give another")
    unknown = [stage for stage in config.sweep.stages if stage not in STAGES]
    if unknown:
        raise InputError(f"sweep.stages: {unknown[0]} is no stage: use some of {', '.join(STAGES)}")


def _within_space(values: dict[str, Any], space: SearchSpace) -> dict[str, Any]:
    """Values of a trial that comes first; a list of choices may hold mappings, which are not keys of their own."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        owner = next((name for name in space.keys if key.startswith(name + ".")), key)
        if owner == key:
            found[key] = value
        else:
            found.setdefault(owner, {})[key.removeprefix(owner + ".")] = value
    return found


def _objectives(config: Config, varies: str | None) -> tuple[tuple[Objective, ...], list[str]]:
    """Those asked for, or the one that fits; and why."""
    if config.sweep.objectives:
        return read_objectives(config.sweep.objectives, config), []
    if config.backend.name == "local" and varies is None:
        return (KNOWN["val_loss_nonrepeat"],), []
    why = (
        f"{varies} changes what the training validates on"
        if varies is not None
        else "NVIDIA's tools weigh lower-case bases in their validation loss"
    )
    return (KNOWN["predict.nll_nonrepeat"],), [f"trials are judged by predict.nll_nonrepeat, since {why}"]


def _stages(config: Config, objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Stages of a trial, from the first, as a fresh run folder needs them."""
    wanted = {"download", "prepare", "preprocess", "convert", *config.sweep.stages}
    wanted |= {stage for objective in objectives for stage in objective.stages}
    return tuple(stage for stage in STAGES if stage in wanted)


def _measured_on_val(
    config: Config, objectives: Sequence[Objective], stages: Sequence[str], typed: Sequence[str]
) -> dict[str, Any]:
    """What is scored in a trial: windows of the val split. The test split is for the end, once."""
    pins: dict[str, Any] = {"tracking.folder": config.tracking.folder}
    if "predict" not in stages:
        return pins
    for argument in typed:
        key, _, split = argument.partition("=")
        if key in ("predict.split", "elements.split") and split != _SCORED_SPLIT:
            raise InputError(
                f"{argument}: a search that is judged on the {split} split fits its settings to it; trials are scored "
                "on val: leave it out (sweep.final=true scores the best on predict.split once, at the end)"
            )
    pins["predict.split"] = _SCORED_SPLIT
    if "elements" in stages:
        pins["elements.split"] = _SCORED_SPLIT
    if "evaluate" not in stages and all(objective.name != "forgetting" for objective in objectives):
        pins["predict.forgetting"] = None  # nobody would read it
    return pins


def _followed(config: Config, objectives: Sequence[Objective], varies: str | None) -> tuple[str | None, list[str]]:
    """The metric that pruning looks at, and why there is none."""
    if config.sweep.pruner == "none":
        return None, []
    if len(objectives) > 1:
        return None, ["no trial is pruned: with several objectives none is bad for certain"]
    if not objectives[0].is_nll:
        return None, [f"no trial is pruned: the training does not tell {objectives[0].name} while it runs"]
    if varies is not None:
        return None, [f"no trial is pruned: {varies} changes what the training validates on"]
    of_all = config.backend.name != "local" or objectives[0].name in ("val_loss", "predict.nll")
    return "val_loss" if of_all else "val_loss_nonrepeat", []


def _key_of(argument: str) -> str:
    """The key of an override, without what Hydra has before it; of another argument, all of it."""
    return argument.partition("=")[0].lstrip("+~")


def as_typed(arguments: Sequence[str], module: str = "workflow.run") -> str:
    """The line for a shell."""
    return shlex.join(["python", "-m", module, *arguments])
