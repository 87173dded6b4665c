"""The best configuration as a YAML that runs: `train=STUDY`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from workflow.artifacts import write_text
from workflow.command import split_options
from workflow.sweeping.plan import BEST, Plan, as_typed
from workflow.sweeping.settings import overrides


def write_best(plan: Plan, values: Mapping[str, Any]) -> tuple[Path, str]:
    """Write `best/train/STUDY.yaml` with the values of a trial.

    It holds the whole section `train`, what else was searched, and what all trials had, so that a run with it is the
    trial; windows of which split are scored is left to that run.

    Returns
    -------
    Path
        The file.
    str
        The command that uses it.
    """
    folder = plan.folder / BEST
    path = folder / "train" / f"{plan.name}.yaml"
    changes = {key: value for key, value in plan.changes(values).items() if not _is_of_scoring(key)}
    # Not resolved: what follows from the seed or the model still does.
    train = OmegaConf.to_container(plan.trial_settings(values, "").train, resolve=False)
    others = {key: value for key, value in changes.items() if not key.startswith("train.")}
    nested = OmegaConf.create({})
    for key, value in others.items():
        OmegaConf.update(nested, key, value)
    content = {"train": train, **_plain(OmegaConf.to_container(nested))}
    removed = [line for line in overrides(others, plan.settings) if line.startswith("~")]
    flags, others_typed = split_options(_kept(plan, changes))
    # Hydra takes one folder only, which may be the user's own.
    has_folder = any(flag.startswith(("--config-dir", "-cd")) for flag in flags)
    place = [f"hydra.searchpath=[file://{folder.absolute()}]"] if has_folder else []
    flags += [] if has_folder else ["--config-dir", str(folder)]
    arguments = [*flags, *place, f"train={plan.name}", *others_typed, *removed]
    command = as_typed(arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)
    write_text(path, f"# @package _global_\n# {command}\n{text}")
    return path, command


def _kept(plan: Plan, changes: Mapping[str, Any]) -> list[str]:
    """Arguments of the base configuration that the file does not hold."""
    kept = []
    for argument in plan.base_arguments():
        key = argument.partition("=")[0].lstrip("+~")
        if key != "train" and not key.startswith("train.") and key not in changes:
            kept.append(argument)
    return kept


def _is_of_scoring(key: str) -> bool:
    return key.split(".")[0] in ("predict", "elements", "tracking")


def _plain(content: Any) -> dict[str, Any]:
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
