"""Gate `training_data`: what the steps ask for against what there is to read."""

from __future__ import annotations

from pathlib import Path

from workflow.artifacts import read_table
from workflow.config import Config
from workflow.gates import GateLog

DOCUMENTS = "documents.parquet"
#: More passes over the same bases teach a model to recite them.
_MOST_PASSES = 20


def train_bases(tokens: Path) -> int:
    """Bases of the training documents in the folder that `preprocess` published, each counted once."""
    table = read_table(tokens / DOCUMENTS, ["split", "start", "end"])
    table = table[table["split"] == "train"]
    return int((table["end"] - table["start"]).sum())


def bases_of_step(config: Config) -> int:
    """Bases of one full optimizer step, over all processes."""
    return config.step_plan.samples * config.train.context_length


def bases_asked(config: Config) -> int:
    """Bases that the whole training reads."""
    return config.step_plan.all_samples * config.train.context_length


def check_training_data(config: Config, gates: GateLog, train_bases: int) -> None:
    """Gate `training_data`.

    Parameters
    ----------
    train_bases : int
        Bases of the documents that are trained on, each counted once.
    """
    asked, step = bases_asked(config), bases_of_step(config)
    passes = asked / max(train_bases, 1)
    gates.check(
        "training_data",
        passes <= _MOST_PASSES and step <= train_bases,
        saw=f"{_formula(config)} = {_bases(asked)}, {passes:.3g} passes over {_bases(train_bases)}",
        limit=f"at most {_MOST_PASSES} passes, and not more in one step than there is",
        why="What is read so often is learned by heart, and a validation loss on near copies does not show it: "
        "lower train.steps or train.batch_size, or train on more sequence.",
    )


def data_forecast(config: Config, train_bases: int) -> list[str]:
    """What part of the data the training would see, for a dry run."""
    asked = bases_asked(config)
    passes = asked / max(train_bases, 1)
    seen = f"{passes:.2%} of" if passes < 1 else f"{passes:.3g} passes over"
    return [f"data: {_formula(config)} = {_bases(asked)}, {seen} the {_bases(train_bases)} to train on"]


def _formula(config: Config) -> str:
    plan = config.step_plan
    ramp = f", fewer in the first {plan.ramp:,} steps," if plan.ramp else ""
    return f"{plan.steps:,} steps × {plan.samples:,} samples × {config.train.context_length:,} bases{ramp}"


def _bases(count: int) -> str:
    for size, unit in ((10**9, "Gb"), (10**6, "Mb"), (10**3, "kb")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bases"
