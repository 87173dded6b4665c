"""What was run, from the manifests of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.artefacts.records import Record, read_record, stages_of_report
from evaluation.page.text import MISSING, count, number, percent, plural
from workflow.artifacts import read_table

_GATE = ("name", "passed", "saw", "limit", "why")


@dataclass(frozen=True)
class RunFacts:
    """The published stages of a run that its report is about.

    Every method raises InputError where a manifest lacks what this version writes.

    Attributes
    ----------
    manifests : dict
        Manifest by stage, in the order of the stages.
    accounting : Record
        Bases kept and dropped, from the prepare stage.
    metrics : DataFrame or None
        Training log in long form (step, bases_seen, name, value); None when nothing was trained.
    """

    manifests: dict[str, Record]
    accounting: Record
    metrics: pd.DataFrame | None

    def setting(self, stage: str, *keys: str) -> Any:
        """A value of the configuration that a stage ran with."""
        return self.manifests[stage].value("config", *keys)

    @property
    def method(self) -> str:
        """How the scored model was trained: lora, full, scratch, or none."""
        return str(self.setting("train", "train", "method")) if "train" in self.manifests else "none"

    @property
    def genome(self) -> str:
        """Name of the genome."""
        return str(self.setting("predict", "genome", "name"))

    @property
    def organism(self) -> str | None:
        """The organism that the model was adapted to, where the configuration names it."""
        organism = self.setting("predict", "genome", "organism")
        return None if organism is None else str(organism)

    @property
    def held_out(self) -> str:
        """What the split kept from the training, in words."""
        method = str(self.manifests["prepare"].value("counts", "split_by")).split(",")[0]
        return {"sequence": "held-out homolog groups", "block": "held-out blocks"}.get(method, "held-out windows")

    @property
    def split(self) -> str:
        """The split that was scored."""
        return str(self.setting("predict", "predict", "split"))

    @property
    def run_name(self) -> str:
        """Name of the run."""
        return str(self.manifests["predict"].value("run_name"))

    def gates(self, checks: Sequence[dict[str, Any]] = ()) -> pd.DataFrame:
        """Every gate, those that fired first: stage, name, passed, saw, limit, why.

        Parameters
        ----------
        checks : sequence of dict
            Those of the evaluation itself: name, passed, saw, limit, why.
        """
        rows = [
            {"stage": stage} | {key: Record(manifest.path, gate).value(key) for key in _GATE}
            for stage, manifest in self.manifests.items()
            for gate in manifest.value("gates")
        ]
        rows += [{"stage": "evaluate"} | {key: check[key] for key in _GATE} for check in checks]
        table = pd.DataFrame(rows, columns=["stage", *_GATE])
        return table.sort_values("passed", kind="stable", ignore_index=True)

    def lines(self, windows: int, typical_length: int) -> list[tuple[str, str]]:
        """The run in about ten lines: label and text.

        Parameters
        ----------
        windows, typical_length : int
            Number of scored windows, and their base-weighted median length (bp).
        """
        return [
            ("Genome", self._genome_line()),
            ("Split", self._split_line()),
            ("Model", self._model_line()),
            ("Adaptation", self._adaptation_line()),
            ("Training", self._training_line()),
            ("Scoring", self._scoring_line(windows, typical_length)),
            ("Engine", self._engine_line()),
            *([("Otherwise", notes)] if (notes := self._notes_line()) else []),
            ("Seed", str(self.setting("predict", "seed"))),
            ("Software", ", ".join(f"{k} {v}" for k, v in self.manifests["predict"].value("versions").items())),
            ("Time", self._time_line()),
        ]

    def _genome_line(self) -> str:
        # The file beside the name: a name is only what the user calls it.
        file = Path(self.setting("prepare", "genome", "fasta")).name
        organism = self.setting("predict", "genome", "organism")
        return _join(self.genome, organism, file, f"{count(self.accounting.value('total_bases'))} bases")

    def _split_line(self) -> str:
        kept = ", ".join(f"{name} {count(bases)}" for name, bases in self.accounting.value("kept").items())
        dropped = ", ".join(
            f"{count(bases)} {reason.replace('_', ' ')}"
            for reason, bases in self.accounting.value("dropped").items()
            if bases
        )
        counts = self.manifests["prepare"].value("counts")
        copied = counts.get("windows_with_a_copy_in_train")
        shared = copied.get(self.split) if isinstance(copied, dict) else None
        return _join(
            f"by {self.manifests['prepare'].value('counts', 'split_by')}: {kept} bases",
            f"left out: {dropped or 'none'}",
            "not audited"
            if shared is None
            else f"{percent(shared)} of the {self.split} windows had a copy in train and were left out",
        )

    def _model_line(self) -> str:
        context = self.setting("predict", "model", "context_length")
        name, architecture = (self.setting("predict", "model", key) for key in ("name", "architecture"))
        return _join(
            name,
            f"architecture {architecture}" if architecture != name else None,
            f"reads up to {count(context)} bases" if context else None,
            self.setting("predict", "model", "checkpoint"),
        )

    def _adaptation_line(self) -> str:
        if self.method != "lora":
            return {
                "none": "none (zero-shot)",
                "full": "all weights, from the checkpoint",
                "scratch": "all weights, from random ones",
            }.get(self.method, self.method)
        rank, alpha, targets = (self.setting("train", "train", "lora", key) for key in ("rank", "alpha", "targets"))
        # The tools of nemo2 know no other layers.
        fixed = self.setting("train", "backend", "name") == "nemo2"
        layers = "attention and MLP layers" if fixed else ", ".join(targets)
        return f"LoRA, rank {rank}, alpha {alpha}, on {layers}"

    def _training_line(self) -> str:
        if self.metrics is None or self.metrics.empty:
            return MISSING
        last = self.metrics.sort_values("step", kind="stable").iloc[-1]
        bases, available = float(last["bases_seen"]), float(self.accounting.value("kept", "train"))
        share = f" = {number(bases / available, 2)} × the train split" if available else ""
        counts = self.manifests["train"].value("counts")
        covered, best = counts.get("share_of_train_bases_covered"), counts.get("best_step")
        length, longest = counts.get("median_sample_length"), self.setting("train", "train", "context_length")
        return _join(
            f"{count(last['step'])} steps",
            f"{count(bases)} bases seen{share}",
            None if covered is None else f"{number(100 * covered, 1)} % of it covered",
            None if best is None else f"weights of step {count(best)}",
            None if length is None else f"median sample {count(length)} of at most {count(longest)} bases",
            f"peak learning rate {self.setting('train', 'train', 'learning_rate')}",
            self._objective(counts),
        )

    def _objective(self, counts: dict[str, Any]) -> str | None:
        """What was minimised, where it is not the plain NLL."""
        if "codon_sets" not in counts:
            return None
        objective, codon = (self.setting("train", "train", key) for key in ("objective", "codon"))
        strength = f"alpha {codon['alpha']}" if objective == "codon_hxe" else f"beta {codon['beta']}"
        head = codon["head"] if objective == "codon_hxe" else "exact"
        seen = counts.get("codon_share_seen")
        codes = ", ".join(f"{code} of {plural(held, 'document')}" for code, held in counts["codon_tables"].items())
        return _join(
            f"objective {objective} ({strength}, head {head}, {codon['hierarchy']} hierarchy)",
            None if seen is None else f"{percent(seen)} of the bases seen in codons in frame",
            f"genetic code {codes}",
        )

    def _scoring_line(self, windows: int, typical_length: int) -> str:
        return _join(
            plural(windows, f"{self.split} window"),
            f"base-weighted median length {count(typical_length)} bases",
            self.setting("predict", "predict", "precision"),
        )

    def _notes_line(self) -> str:
        """Where the backend did otherwise than the settings say."""
        notes = [note for manifest in self.manifests.values() for note in manifest.content.get("notes", [])]
        return " ".join(dict.fromkeys(notes))

    def _engine_line(self) -> str:
        manifest = self.manifests["predict"]
        versions = sorted({str(tool["version"]) for tool in manifest.content.get("tools", []) if "version" in tool})
        return _join(
            " and ".join(versions) or self.setting("predict", "backend", "name"),
            manifest.value("accelerator"),
            manifest.value("host", "system"),
            plural(manifest.value("host", "cores"), "core"),
        )

    def _time_line(self) -> str:
        seconds = {stage: manifest.value("timings", "seconds") for stage, manifest in self.manifests.items()}
        spent = ", ".join(f"{stage} {_duration(value)}" for stage, value in seconds.items())
        return _join(spent, f"scored {self.manifests['predict'].value('timings', 'started')}")


def read_run(run: Path) -> RunFacts:
    """Read manifests, accounting and training log of a run folder.

    Raises
    ------
    InputError
        As `evaluation.artefacts.records.stages_of_report`; or a file of a stage is missing.
    """
    manifests = stages_of_report(run)
    metrics = read_table(run / "train" / "metrics.parquet") if "train" in manifests else None
    return RunFacts(manifests, read_record(run / "prepare" / "accounting.json"), metrics)


def _join(*parts: object) -> str:
    """The parts that say something, as one line."""
    return " · ".join(str(part) for part in parts if part not in (None, ""))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
