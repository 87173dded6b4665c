"""Several runs of one genome: which models they have, and which windows all of these scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from evaluation.artefacts.facts import RunFacts, read_run
from evaluation.page.text import count
from evaluation.per_base.shared import shared_windows
from workflow.artifacts import InputError, PerBaseScores, read_table


@dataclass(frozen=True)
class Entry:
    """A model of the comparison.

    Attributes
    ----------
    label : str
        What it is called; no other entry has the same.
    run : Path
        The run that it was read from.
    facts : RunFacts
        Of that run.
    model : str
        `base` or `adapted`.
    store : PerBaseScores
        Its predictions.
    start : str or None
        Label of the base model that an adapted model began from; None for others.
    """

    label: str
    run: Path
    facts: RunFacts
    model: str
    store: PerBaseScores
    start: str | None

    @property
    def method(self) -> str:
        """How it came to be."""
        if self.model == "base":
            return "as published"
        if self.facts.method == "lora":
            return f"LoRA, rank {self.facts.setting('train', 'train', 'lora', 'rank')}"
        return {"full": "all weights", "scratch": "from random weights"}.get(self.facts.method, self.facts.method)

    @property
    def trained(self) -> dict[str, float | None]:
        """Bases read in training, parameters that it changed, and its seconds; None where unknown or not trained."""
        if self.model == "base":
            return dict.fromkeys(("bases_seen", "trainable_parameters", "seconds"))
        manifest = self.facts.manifests["train"]
        counts = manifest.value("counts")
        return {
            "bases_seen": counts.get("bases_seen", self._last_base_seen()),
            "trainable_parameters": counts.get("trainable_parameters"),
            "seconds": manifest.value("timings", "seconds"),
        }

    def _last_base_seen(self) -> float | None:
        metrics = self.facts.metrics
        return None if metrics is None or metrics.empty else float(metrics["bases_seen"].max())


@dataclass(frozen=True)
class Runs:
    """What is compared.

    Attributes
    ----------
    entries : list of Entry
        Every model once: the base model of runs that began from the same checkpoint is one.
    windows : DataFrame
        Windows that every model scored (`evaluation.per_base.shared.shared_windows`).
    sequences : DataFrame
        Of the genome, from the stage `prepare`.
    warnings : list of str
        Where the runs differ in what makes them comparable.
    """

    entries: list[Entry]
    windows: pd.DataFrame
    sequences: pd.DataFrame
    warnings: list[str] = field(default_factory=list)

    @property
    def prepared(self) -> Path:
        """The preparation that the baselines are fitted on: that of the first run."""
        return self.entries[0].run / "prepare"


def read_runs(runs: Sequence[Path]) -> Runs:
    """Read run folders and find what they share.

    Raises
    ------
    InputError
        There are fewer than two; one lacks a stage; their genomes differ; they share no scored window.
    """
    folders = list(dict.fromkeys(run.resolve() for run in runs))
    if len(folders) < 2:
        raise InputError(f"{folders[0]} alone is no comparison: give two or more different runs")
    facts = {folder: read_run(folder) for folder in folders}
    sequences = {folder: read_table(folder / "prepare" / "sequences.parquet") for folder in folders}
    for folder in folders[1:]:
        _require_same_genome(folders[0], folder, sequences)
    entries = _entries(facts)
    windows = shared_windows([entry.store for entry in entries])
    return Runs(entries, windows, sequences[folders[0]], _warnings(facts, entries, windows))


def _require_same_genome(first: Path, second: Path, sequences: dict[Path, pd.DataFrame]) -> None:
    lengths = [dict(zip(sequences[run]["seqid"], sequences[run]["length"], strict=True)) for run in (first, second)]
    if lengths[0] != lengths[1]:
        raise InputError(f"{first} and {second} are of different genomes: their sequences differ in name or length")


def _entries(facts: dict[Path, RunFacts]) -> list[Entry]:
    """The models, each once, with names that tell them apart."""
    names = _run_names(facts)
    published: dict[tuple[str, ...], str] = {}
    entries: list[Entry] = []
    for folder, of_run in facts.items():
        identity = (
            str(of_run.manifests["convert"].value("fingerprint")),
            str(of_run.setting("predict", "backend", "name")),
            str(of_run.setting("predict", "predict", "precision")),
        )
        if (folder / "predict" / "base").exists() and identity not in published:
            label = f"{of_run.setting('predict', 'model', 'name')}, as published"
            if label in published.values():
                label = f"{label} ({names[folder]})"
            published[identity] = label
            entries.append(Entry(label, folder, of_run, "base", PerBaseScores(folder / "predict" / "base"), None))
        if (folder / "predict" / "adapted").exists():
            store = PerBaseScores(folder / "predict" / "adapted")
            entries.append(Entry(names[folder], folder, of_run, "adapted", store, published.get(identity)))
    if len(entries) < 2:
        raise InputError(
            f"{' and '.join(map(str, facts))} hold one model only, the same published one: adapt it, or predict "
            "with another"
        )
    return entries


def _run_names(facts: dict[Path, RunFacts]) -> dict[Path, str]:
    """Names of the runs; of those that share one, the names of their folders, and else the whole paths."""
    names = {folder: of_run.run_name for folder, of_run in facts.items()}
    for replacement in (lambda folder: folder.name, str):
        times = Counter(names.values())
        names = {folder: name if times[name] == 1 else replacement(folder) for folder, name in names.items()}
    return names


def _warnings(facts: dict[Path, RunFacts], entries: list[Entry], windows: pd.DataFrame) -> list[str]:
    warnings = []
    largest = max(len(entry.store) for entry in entries)
    if len(windows) < largest:
        warnings.append(
            f"{count(len(windows))} windows were scored by every model, of up to {count(largest)}: only these are "
            "compared."
        )
    if len({str(of_run.manifests["prepare"].value("fingerprint")) for of_run in facts.values()}) > 1:
        warnings.append(
            "The runs were prepared with different settings. What is compared is held out in each of them, but a "
            "run whose train split has more that resembles it has the easier task."
        )
    splits = sorted({of_run.split for of_run in facts.values()})
    if splits != ["test"]:
        warnings.append(
            f"Windows of the {' and '.join(splits)} split are compared; training has used what is not test."
        )
    return warnings
