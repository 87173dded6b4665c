"""The report of a run: `python -m evaluation.report runs/NAME`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.artefacts.facts import read_run
from evaluation.artefacts.records import Record, stage_record
from evaluation.artefacts.sequences import regions_of_split
from evaluation.baselines import markov
from evaluation.drawing import style
from evaluation.experiment import measured as experiments
from evaluation.generation import summary as generations
from evaluation.page import layout, tables
from evaluation.page import sections as page
from evaluation.page.sections import Findings
from evaluation.page.text import bracketed
from evaluation.per_base.comparison import compare, judge
from evaluation.per_base.scores import score_windows
from evaluation.preparation.reading import read_preparation
from workflow.artifacts import (
    MANIFEST,
    InputError,
    PerBaseScores,
    describe_outputs,
    publish,
    read_table,
    run_lock,
    write_json,
    write_text,
)

_REPORT = "report.html"


def build(
    run: Path,
    out: Path,
    *,
    bootstrap_samples: int = 10_000,
    confidence: float = 0.95,
    markov_max_order: int = 10,
    experiment: str | None = None,
    experiment_id: str = "sequence_id",
    experiment_value: str = "value",
    heatmap_window: str | None = None,
    heatmap_bases: int = 120,
    seed: int = 42,
) -> dict[str, object]:
    """Read a run's artefacts and write report.html, metrics.json, tables/*.csv and figures/*.png.

    Parameters
    ----------
    run : Path
        Run folder with the published stages prepare, preprocess and predict; train and infer where they ran.
    out : Path
        An existing folder, filled here.
    bootstrap_samples, confidence : int, float
        Resamplings of the windows and coverage of each interval.
    markov_max_order : int
        Largest order of the Markov baseline that is tried on the val split.
    experiment, experiment_id, experiment_value : str
        Table of measured values and its columns.
    heatmap_window, heatmap_bases : str, int
        Window drawn base by base (by default the one with the largest change), and how many bases of it.
    seed : int
        Of resampling and of the random fragments of the genome.

    Returns
    -------
    dict
        Headline numbers: windows, bases, NLL of each model, gains with intervals, gates fired, verdict.

    Raises
    ------
    InputError
        A stage is missing, its files do not fit together, or the experiment cannot be used.
    """
    facts = read_run(run)
    predictions = _predictions(run / "predict")
    train, val = (regions_of_split(run / "prepare", split, markov_max_order) for split in ("train", "val"))
    baseline = markov.fit(train, val, markov_max_order)
    scores = score_windows(predictions, {"markov": baseline})
    comparison = compare(scores, bootstrap_samples, confidence, seed)
    findings = Findings(
        facts=facts,
        preparation=read_preparation(run / "prepare", facts.setting("preprocess", "mixture", "weights")),
        scores=scores,
        comparison=comparison,
        verdict=judge(comparison, facts.genome, facts.split, baseline.order, confidence),
        predictions=predictions,
        outside={model: _mass_outside(store) for model, store in predictions.items()},
        markov_order=baseline.order,
        experiment=experiments.compare(
            experiment, experiment_id, experiment_value, scores, bootstrap_samples, confidence, seed
        )
        if experiment
        else None,
        generation=generations.read(run / "infer", run / "prepare" / "genome.fa", seed)
        if "infer" in facts.manifests
        else None,
    )
    with style.applied():
        parts = page.sections(findings, heatmap_window, heatmap_bases)
        (out / "figures").mkdir()
        layout.save_figures(parts, out / "figures")
    methods = _methods(baseline, bootstrap_samples, confidence, seed)
    write_text(out / _REPORT, page.render(findings, parts, out / "figures", methods))
    _write_tables(findings, out / "tables")
    write_json(out / "metrics.json", _metrics(findings, baseline, confidence, bootstrap_samples, seed))
    return _headline(findings)


def _predictions(folder: Path) -> dict[str, PerBaseScores]:
    """Predictions by model. A zero-shot run has only `base`, one from scratch only `adapted`."""
    models = [model for model in ("base", "adapted") if (folder / model).exists()]
    if not models:
        raise InputError(f"{folder} holds no predictions: run stage=predict again with force=true")
    return {model: PerBaseScores(folder / model) for model in models}


def _mass_outside(store: PerBaseScores) -> float:
    """Mean probability outside A, C, G, T over all bases of the windows of a model."""
    path = store.folder / "scores.parquet"
    table = read_table(path)
    if "outside_acgt" not in table or len(table) != len(store):
        raise InputError(f"{path} was written by another version: run the stage again with stage=predict force=true")
    return float(np.average(table["outside_acgt"], weights=store.index["length"]))


def _methods(baseline: markov.MarkovModel, samples: int, confidence: float, seed: int) -> list[str]:
    return [
        "Scores are natural-log probabilities of the observed bases, normalised over the model's whole vocabulary and "
        "not over A, C, G, T alone. Upper and lower case count alike. They are stored with 16 bits, which rounds the "
        "score of a single base by at most 0.0005 nats where it is below 2.",
        f"Baseline: an interpolated Markov model (MacKay & Peto 1995) of order {baseline.order} with Dirichlet "
        f"strength {baseline.strength:g}, both chosen on the val split (NLL {baseline.validation_nll:.4f} nats per "
        "base there), counted on both strands of the train split. Like the models, it sees only the bases before it "
        "in the same window.",
        f"Intervals: {100 * confidence:g} %, expanded percentile (Hesterberg 2015), from {samples:,} resamplings of "
        f"whole windows weighted by their scored bases; all models share the resamplings; seed {seed}. Windows are "
        "taken as independent: where the genome repeats itself, the true uncertainty is larger.",
    ]


def _write_tables(findings: Findings, folder: Path) -> None:
    folder.mkdir()
    written: dict[str, pd.DataFrame | None] = {
        "models": findings.comparison.models_table(),
        "differences": findings.comparison.differences_table(),
        "windows": tables.ranked_windows(findings.scores),
        "gates": findings.facts.gates(),
        "training": findings.facts.metrics,
        "experiment": findings.experiment.table if findings.experiment else None,
        "generation": findings.generation.summary if findings.generation else None,
        "kmers": findings.generation.spectra if findings.generation else None,
    }
    for name, table in written.items():
        if table is not None:
            table.to_csv(folder / f"{name}.csv", index=False)


def _metrics(
    findings: Findings, baseline: markov.MarkovModel, confidence: float, samples: int, seed: int
) -> dict[str, Any]:
    scores, comparison, gates = findings.scores, findings.comparison, findings.facts.gates()
    experiment, generation = findings.experiment, findings.generation
    metrics = {
        "run_name": findings.facts.run_name,
        "verdict": vars(findings.verdict),
        "gates_fired": gates.loc[~gates["passed"].astype(bool), "name"].tolist(),
        "split": findings.facts.split,
        "windows": comparison.windows,
        "bases": comparison.bases,
        "left_out": {
            "undefined": scores.undefined,
            "not_acgt": scores.not_acgt,
            "empty_windows": scores.empty_windows,
        },
        "models": comparison.models_table().to_dict("records"),
        "differences": comparison.differences_table().to_dict("records"),
        "outside_acgt": findings.outside,
        "markov": {
            "order": baseline.order,
            "strength": baseline.strength,
            "validation_nll": baseline.validation_nll,
        },
        "experiment": {
            "rows": len(experiment.table),
            "pearson": {model: vars(value) for model, value in experiment.pearson.items()},
            "spearman": {model: vars(value) for model, value in experiment.spearman.items()},
        }
        if experiment
        else None,
        "generation": generation.summary.to_dict("records") if generation else None,
        "intervals": {"confidence": confidence, "bootstrap_samples": samples, "seed": seed},
    }
    return metrics


def _headline(findings: Findings) -> dict[str, object]:
    comparison, gates = findings.comparison, findings.facts.gates()
    headline: dict[str, object] = {"windows": comparison.windows, "bases_scored": comparison.bases}
    headline |= {f"nll_{row['model']}": row["nll"] for row in comparison.models_table().to_dict("records")}
    headline |= {f"gain_{d.model}_over_{d.reference}": bracketed(d.gain, signed=True) for d in comparison.differences}
    return headline | {"gates_fired": int((~gates["passed"].astype(bool)).sum()), "verdict": findings.verdict.headline}


def main(arguments: list[str] | None = None) -> int:
    """Build the report of a run again, with the settings that the run was given. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.report", description=main.__doc__)
    parser.add_argument("run", type=Path, help="run folder, runs/NAME")
    parser.add_argument("--out", type=Path, help="folder of the report; by default RUN/evaluate")
    given = parser.parse_args(arguments)
    out = given.out or given.run / "evaluate"
    try:
        _require_replaceable(out)
        # Also refuses a folder that is no run, in which a lock must not be left.
        settings = _settings(given.run)
        with run_lock(given.run), publish(out) as folder:
            headline = build(given.run, folder, **settings)
            if (out / MANIFEST).exists():
                _keep_manifest(stage_record(out), folder, headline)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{out / _REPORT}\n")
    return 0


def _keep_manifest(earlier: Record, folder: Path, headline: dict[str, object]) -> None:
    """Keep the stage's identity, so that it is not run again, with the files and numbers that are there now."""
    write_json(folder / MANIFEST, earlier.content | {"outputs": describe_outputs(folder), "counts": headline})


def _require_replaceable(out: Path) -> None:
    """Publishing replaces the whole folder: only an earlier report may go."""
    if out.exists() and not (out / _REPORT).exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds other files than a report: name a new folder with --out")


def _settings(run: Path) -> dict[str, Any]:
    """Evaluation settings and seed from the latest manifest that has them."""
    stage = "evaluate" if (run / "evaluate" / MANIFEST).exists() else "predict"
    manifest = stage_record(run / stage)
    settings = {**manifest.value("config", "evaluation"), "seed": manifest.value("config", "seed")}
    if settings.keys() != (build.__kwdefaults__ or {}).keys():
        raise manifest.of_another_version()
    return settings


if __name__ == "__main__":
    sys.exit(main())
