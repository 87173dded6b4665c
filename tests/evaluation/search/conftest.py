"""Made-up studies, as `workflow.sweep` writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workflow.artifacts import write_json

Make = Callable[..., Path]

#: Settings of which the first has an optimum at 1e-3 and the others decide little.
SPACE: dict[str, dict[str, Any]] = {
    "train.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "train.method": {"choices": ["lora", "full"]},
    "train.lora.rank": {"choices": [4, 8, 16, 32, 64], "when": "train.method == 'lora'"},
    "train.lora.dropout": {"low": 0.0, "high": 0.3, "when": "train.method == 'lora'"},
    "train.lora.targets": {"choices": [["Wqkv"], ["Wqkv", "out_proj", "out_filter_dense"], ["l1", "l2", "l3"]]},
    "train.warmup_steps": {"low": 0, "high": 500, "step": 50},
    "train.weight_decay": {"low": 1e-4, "high": 0.3, "log": True},
    "train.batch_size": {"choices": [8, 16, 32]},
}
DEFAULTS = {
    "train.learning_rate": 1e-4,
    "train.method": "lora",
    "train.lora.rank": 16,
    "train.lora.dropout": 0.05,
    "train.lora.targets": ["Wqkv"],
    "train.warmup_steps": 100,
    "train.weight_decay": 0.01,
    "train.batch_size": 16,
}
OBJECTIVES = {
    "val_loss_nonrepeat": ("validation loss outside repeats", "nats per base", "minimize"),
    "forgetting": ("forgetting", "nats per base", "minimize"),
    "accuracy": ("accuracy", "", "maximize"),
}


def wide_space(size: int) -> dict[str, dict[str, Any]]:
    """More settings, of which every third is logarithmic."""
    return {
        f"train.section_{place // 4}.a_rather_long_setting_{place}": {"low": 0.001, "high": 10.0, "log": place % 3 == 0}
        for place in range(size)
    }


def drawn(range_: dict[str, Any], generator: np.random.Generator) -> Any:
    if "choices" in range_:
        return range_["choices"][generator.integers(len(range_["choices"]))]
    low, high = range_["low"], range_["high"]
    if range_.get("log"):
        return float(np.exp(generator.uniform(np.log(low), np.log(high))))
    if "step" in range_:
        return int(low + range_["step"] * generator.integers((high - low) // range_["step"] + 1))
    return float(generator.uniform(low, high))


def planted(parameters: dict[str, Any], noise: float) -> list[float]:
    """Values with an optimum at a learning rate of 1e-3, where the first two objectives contradict each other."""
    rate = parameters.get("train.learning_rate", 1e-2)
    distance = np.log10(rate) + 3
    first = 1.22 + 0.03 * distance**2 + 0.004 * (parameters.get("train.lora.rank") == 4) + noise
    return [first, 0.02 + 0.015 * (distance + 2) ** 2 + abs(noise), 0.6 - 0.02 * abs(distance) - noise]


def write_study(
    folder: Path,
    trials: int = 40,
    *,
    space: dict[str, dict[str, Any]] | None = None,
    objectives: int = 1,
    repeats: int = 5,
    spread: float = 0.003,
    states: dict[str, float] | None = None,
    default: bool = True,
    name: str = "plastid-tiny-lora",
    reason: str = "no better than a uniform guess: val_loss_nonrepeat is {:.4f}, ln 4 is 1.3863",
    folders: bool = True,
    seed: int = 3,
) -> Path:
    """Write the files of a study; `states` are the shares of trials that are not complete."""
    generator = np.random.default_rng(seed)
    space = SPACE if space is None else space
    names = list(OBJECTIVES)[:objectives]
    states = {"pruned": 0.2, "failed": 0.1} if states is None else states
    rows, intermediate = [], []
    for number in range(trials):
        is_default = default and number == 0
        parameters = {
            key: DEFAULTS.get(key, range_["low"] if "low" in range_ else range_["choices"][0])
            if is_default
            else drawn(range_, generator)
            for key, range_ in space.items()
        }
        if parameters.get("train.method") == "full":
            parameters = {k: v for k, v in parameters.items() if k not in ("train.lora.rank", "train.lora.dropout")}
        values = planted(parameters, float(generator.normal(0, spread)))
        state = generator.choice([*states, "complete"], p=[*states.values(), 1 - sum(states.values())])
        state = "complete" if is_default and states.get("failed", 0) < 1 else str(state)
        steps = {"complete": 200, "pruned": 60, "failed": 20}.get(state, 0)
        if state in ("complete", "pruned"):
            for step in range(20, steps + 1, 20):
                intermediate.append((number, step, values[0] + 0.3 * np.exp(-step / 40)))
        seconds = float(steps * generator.uniform(0.5, 1.5))
        run = f"trials/{number:04d}"
        rows.append(
            {
                "number": number,
                "state": state,
                "reason": reason.format(1.3863 + generator.random()) if state == "failed" else "",
                "kind": "default" if is_default else "sampled",
                "retry_of": pd.NA,
                "run": run,
                "started": "2030-01-01T12:00:00+00:00",
                "finished": "2030-01-01T12:05:00+00:00" if steps else None,
                "seconds": seconds if steps else np.nan,
                "gpu_hours": seconds / 3600 if steps else np.nan,
                "batch_infeasible": False,
                **{
                    f"value.{key}": value if state == "complete" else np.nan
                    for key, value in zip(names, values, strict=False)
                },
                **{f"param.{key}": json.dumps(parameters[key]) if key in parameters else None for key in space},
                "steps": steps or pd.NA,
                "worker": "host-1",
            }
        )
        if folders:
            (folder / run / "evaluate").mkdir(parents=True)
            if number == 0:
                (folder / run / "evaluate" / "report.html").write_text("<p>its report</p>")
    table = pd.DataFrame(rows).astype({"retry_of": "Int64", "steps": "Int64"})
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "trials.parquet", index=False)
    pd.DataFrame(intermediate, columns=["number", "step", "value"]).to_parquet(
        folder / "intermediate.parquet", index=False
    )
    shares = generator.dirichlet(np.full(len(space), 0.6))
    told = {key: float(share) for key, share in zip(space, shares, strict=True) if "when" not in space[key]}
    complete = int((table["state"] == "complete").sum())
    write_json(folder / "importances.json", dict.fromkeys(names, told if complete > 1 else None))
    again = [planted({"train.learning_rate": 1.2e-3}, float(generator.normal(0, spread))) for _ in range(repeats)]
    write_json(
        folder / "study.json",
        {
            "name": name,
            "space": space,
            "objectives": [
                {"name": key, "label": OBJECTIVES[key][0], "unit": OBJECTIVES[key][1], "direction": OBJECTIVES[key][2]}
                for key in names
            ],
            "sampler": "tpe",
            "pruner": "median" if objectives == 1 else None,
            "storage": "sqlite:///runs/plastid/study.db",
            "base": ["genome=athaliana_plastid", "model=tiny"],
            "dashboard": "optuna-dashboard sqlite:///runs/plastid/study.db",
            "created": "2030-01-01T11:59:00+00:00",
            "trials_wanted": trials,
            "versions": {"optuna": "5.0.0"},
            "repeats": [
                {"seed": k, "run": f"repeats/seed-{k}", "values": values[:objectives]} for k, values in enumerate(again)
            ],
            "best": None,
            "final": None,
        },
    )
    return folder


@pytest.fixture
def make_study(tmp_path: Path) -> Make:
    """Writes a study with the options of `write_study` in a folder of its own."""

    def make(**options: Any) -> Path:
        made = len(list(tmp_path.glob("study-*")))
        return write_study(tmp_path / f"study-{made}", **options)

    return make


@pytest.fixture(scope="session")
def write() -> Make:
    """`write_study` itself, for studies that several tests share."""
    return write_study
