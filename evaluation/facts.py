"""What was run, from the manifests of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.text import MISSING, count, number
from workflow.artifacts import MANIFEST, read_json, read_manifest

#: In the order in which they run.
_STAGES = ("prepare", "preprocess", "convert", "train", "predict", "infer")


@dataclass(frozen=True)
class RunFacts:
    """The published stages of a run.

    Attributes
    ----------
    manifests : dict
        Manifest by stage, in the order of the stages.
    accounting : dict
        Bases kept and dropped, from the prepare stage.
    metrics : DataFrame or None
        Training log in long form (step, bases_seen, name, value); None when nothing was trained.
    """

    manifests: dict[str, dict[str, Any]]
    accounting: dict[str, Any]
    metrics: pd.DataFrame | None

    def setting(self, stage: str, *keys: str) -> Any:
        """A value of the configuration that a stage ran with; None when stage or key is missing."""
        value: Any = self.manifests.get(stage, {}).get("config", {})
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def trained(self) -> bool:
        """Whether the run has a trained model."""
        return "train" in self.manifests and self.setting("train", "train", "method") != "none"

    @property
    def genome(self) -> str:
        """Name of the genome."""
        return str(self.setting("predict", "genome", "name"))

    @property
    def split(self) -> str:
        """The split that was scored."""
        return str(self.setting("predict", "predict", "split"))

    @property
    def run_name(self) -> str:
        """Name of the run."""
        return str(self.manifests["predict"].get("run_name", ""))

    def gates(self) -> pd.DataFrame:
        """Every gate, those that fired first: stage, name, passed, saw, limit, why."""
        rows = [
            {"stage": stage} | {key: gate.get(key) for key in ("name", "passed", "saw", "limit", "why")}
            for stage, manifest in self.manifests.items()
            for gate in manifest.get("gates", [])
        ]
        table = pd.DataFrame(rows, columns=["stage", "name", "passed", "saw", "limit", "why"])
        return table.sort_values("passed", kind="stable", ignore_index=True)

    def lines(self) -> list[tuple[str, str]]:
        """The run in about ten lines: label and text."""
        return [
            ("Genome", self._genome_line()),
            ("Split", self._split_line()),
            ("Model", self._model_line()),
            ("Adaptation", self._adaptation_line()),
            ("Training", self._training_line()),
            (
                "Scoring",
                _join(
                    f"{self.split} windows of {self._count('predict', 'windows', 'length')} bases",
                    self.setting("predict", "predict", "precision"),
                ),
            ),
            ("Engine", self._engine_line()),
            ("Seed", str(self.setting("predict", "seed"))),
            ("Software", ", ".join(f"{k} {v}" for k, v in self.manifests["predict"].get("versions", {}).items())),
            ("Time", self._time_line()),
        ]

    def _genome_line(self) -> str:
        organism = self.setting("predict", "genome", "organism")
        return _join(self.genome, organism, f"{count(self.accounting['total_bases'])} bases")

    def _split_line(self) -> str:
        kept = ", ".join(f"{name} {count(bases)}" for name, bases in self.accounting["kept"].items())
        dropped = ", ".join(
            f"{count(bases)} {reason.replace('_', ' ')}"
            for reason, bases in self.accounting["dropped"].items()
            if bases
        )
        counts = self.manifests["prepare"].get("counts", {})
        shared = (counts.get("share_of_kmers_also_in_train") or {}).get(self.split)
        return _join(
            f"by {counts.get('split_by') or self.setting('prepare', 'split', 'method')}: {kept} bases",
            f"left out: {dropped or 'none'}",
            None if shared is None else f"{number(100 * shared, 1)} % of the {self.split} k-mers are also in train",
        )

    def _model_line(self) -> str:
        context = self._count("predict", "model", "context_length")
        return _join(
            self.setting("predict", "model", "name"),
            self.setting("predict", "model", "architecture"),
            f"context {context} bases",
            self.setting("predict", "model", "checkpoint"),
        )

    def _adaptation_line(self) -> str:
        if not self.trained:
            return "none (zero-shot)"
        method = self.setting("train", "train", "method")
        if method != "lora":
            return {"full": "all weights, from the checkpoint", "scratch": "all weights, from random ones"}.get(
                method, str(method)
            )
        lora = self.setting("train", "train", "lora") or {}
        targets = ", ".join(lora.get("targets", []))
        return f"LoRA, rank {lora.get('rank')}, alpha {lora.get('alpha')}, on {targets}"

    def _training_line(self) -> str:
        if self.metrics is None or self.metrics.empty:
            return MISSING
        last = self.metrics.sort_values("step", kind="stable").iloc[-1]
        bases, available = float(last["bases_seen"]), float(self.accounting["kept"].get("train", 0))
        share = f" = {number(bases / available, 2)} × the train split" if available else ""
        counts = self.manifests["train"].get("counts", {})
        covered, best = counts.get("share_of_train_bases_covered"), counts.get("best_step")
        return _join(
            f"{count(last['step'])} steps",
            f"{count(bases)} bases seen{share}",
            None if covered is None else f"{number(100 * covered, 1)} % of it covered",
            None if best is None else f"weights of step {count(best)}",
            f"context {self._count('train', 'train', 'context_length')} bases",
            f"peak learning rate {self.setting('train', 'train', 'learning_rate')}",
        )

    def _engine_line(self) -> str:
        manifest = self.manifests["predict"]
        host = manifest.get("host") or {}
        cores = f"{host['cores']} cores" if "cores" in host else None
        return _join(self.setting("predict", "backend", "name"), manifest.get("accelerator"), host.get("system"), cores)

    def _time_line(self) -> str:
        seconds = {stage: m["timings"]["seconds"] for stage, m in self.manifests.items() if m.get("timings")}
        spent = ", ".join(f"{stage} {_duration(value)}" for stage, value in seconds.items())
        started = self.manifests["predict"].get("timings", {}).get("started")
        return _join(spent, f"scored {started}" if started else None)

    def _count(self, stage: str, *keys: str) -> str:
        value = self.setting(stage, *keys)
        return count(value) if isinstance(value, int | float) else MISSING


def read_run(run: Path) -> RunFacts:
    """Read manifests, accounting and training log of a run folder.

    Raises
    ------
    InputError
        `prepare`, `preprocess` or `predict` has not been published.
    """
    for stage in ("prepare", "preprocess", "predict"):
        read_manifest(run / stage)
    manifests = {stage: read_manifest(run / stage) for stage in _STAGES if (run / stage / MANIFEST).exists()}
    log = run / "train" / "metrics.parquet"
    # A log without a manifest belongs to a training that is still running.
    metrics = pd.read_parquet(log) if "train" in manifests and log.exists() else None
    return RunFacts(manifests, read_json(run / "prepare" / "accounting.json"), metrics)


def _join(*parts: object) -> str:
    """The parts that say something, as one line."""
    return " · ".join(str(part) for part in parts if part not in (None, ""))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
