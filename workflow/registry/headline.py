"""The few numbers that a run is judged by, read from what its stages have published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow.artifacts import MANIFEST, read_json

#: What a training whose weights were removed has in place of its manifest.
PRUNED = "pruned.json"
#: What is told first: the gain over that which a run is to improve on.
_GAINS = (("adapted", "base"), ("adapted", "markov"), ("base", "markov"))
_ALL = "all bases"
_ENDS = {"": "estimate", "_low": "low", "_high": "high"}

#: Numbers and words by name; None for what could not be told.
Headline = dict[str, float | str | None]


def headline(run: Path) -> Headline:
    """Headline numbers of a run; what a run has not measured is left out.

    Keys: `first_validation_loss` and `best_validation_loss` (nats, as the training's tool weighs bases);
    `nll_base`, `nll_adapted`, `nll_markov` (nats per base of the test split); `gain` with `gain_low`, `gain_high`
    (nats per base, of `gain_of`, such as "adapted over base") and `gain_over_markov` likewise; `forgetting` with
    `forgetting_low`, `forgetting_high` (nats per base on `forgetting_on`, the organism that lost most);
    `test_bases`, `verdict` (one word) and `verdict_text`.

    Parameters
    ----------
    run : Path
        The run folder.

    Raises
    ------
    InputError
        A file of a published stage is damaged.
    """
    told: Headline = {}
    manifests = (run / "train" / name for name in (MANIFEST, PRUNED))
    if manifest := next((path for path in manifests if path.exists()), None):
        counts = read_json(manifest)["counts"]
        told |= {key: counts[key] for key in ("first_validation_loss", "best_validation_loss") if key in counts}
    if (metrics := run / "evaluate" / "metrics.json").exists():
        told |= _of_evaluation(read_json(metrics))
    return told


def _of_evaluation(metrics: Mapping[str, Any]) -> Headline:
    told: Headline = {"test_bases": metrics["bases"]}
    nll = {row["model"]: row["nll"] for row in _over_all(metrics["models"])}
    told |= {f"nll_{model}": nll[model] for model in ("base", "adapted", "markov") if model in nll}
    gains = {(row["model"], row["reference"]): row for row in _over_all(metrics["differences"])}
    first = next((pair for pair in _GAINS if pair in gains), None)
    if first is not None:
        told |= _interval("gain", gains[first], "gain")
        told["gain_of"] = " over ".join(first)
    if first is not None and (over_markov := (first[0], "markov")) in gains:
        told |= _interval("gain_over_markov", gains[over_markov], "gain")
    changes = metrics["forgetting"]["changes"] if metrics.get("forgetting") else {}
    known = {name: change for name, change in changes.items() if change["estimate"] is not None}
    if known:
        worst = max(known, key=lambda name: float(known[name]["estimate"]))
        told |= {f"forgetting{end}": known[worst][key] for end, key in _ENDS.items()}
        told["forgetting_on"] = worst
    told["verdict"], told["verdict_text"] = metrics["verdict"]["outcome"], metrics["verdict"]["headline"]
    return told


def _over_all(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are about all bases; earlier versions wrote no others."""
    return [row for row in rows if row.get("repeats", _ALL) == _ALL]


def _interval(name: str, row: Mapping[str, Any], source: str) -> Headline:
    return {f"{name}{end}": row[f"{source}{end}"] for end in _ENDS}
