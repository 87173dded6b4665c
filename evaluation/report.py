"""The report of a run, or of several: `python -m evaluation.report runs/NAME [runs/NAME …]`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.artefacts.records import Record, stage_record
from evaluation.classification import report as classification
from evaluation.codons import section as codons
from evaluation.drawing import style
from evaluation.elements import section as elements
from evaluation.experiment import analysis as experiment
from evaluation.findings import Findings, Settings, collect
from evaluation.generation import section as generation
from evaluation.page import layout
from evaluation.page.sections import sections
from evaluation.page.text import bracketed
from evaluation.per_base.tables import ranked_windows
from evaluation.runs.report import main_for_runs
from evaluation.variants import effects as variants
from workflow.artifacts import (
    MANIFEST,
    InputError,
    describe_outputs,
    publish,
    run_lock,
    write_json,
    write_text,
)

_REPORT = "report.html"


@dataclass(frozen=True)
class Outcome:
    """What a report found.

    Attributes
    ----------
    headline : dict
        Numbers for a summary: windows, bases, NLL of each model, gains with intervals, gates fired, verdict.
    checks : list of dict
        The gates of the evaluation: name, passed, saw, limit, why, subject.
    """

    headline: dict[str, object]
    checks: list[dict[str, Any]]


def build(run: Path, out: Path, settings: Settings) -> Outcome:
    """Read a run's artefacts and write report.html, metrics.json, tables/*.csv, figures/*.png and browser/.

    Parameters
    ----------
    run : Path
        Run folder with the published stages prepare, preprocess and predict; the others where they ran.
    out : Path
        An existing folder, filled here.
    settings : Settings

    Raises
    ------
    InputError
        A stage is missing, or its files do not fit together.
    """
    findings = collect(run, out, settings)
    with style.applied():
        parts = sections(findings, run, settings)
        (out / "figures").mkdir()
        layout.save_figures(parts, out / "figures")
    gates = findings.facts.gates(findings.checks)
    page = layout.render(
        "report.html.j2",
        out / "figures",
        run_name=findings.facts.run_name,
        genome=findings.facts.genome,
        verdict=findings.verdict,
        fired=gates[~gates["passed"].astype(bool)].to_dict("records"),
        sections=parts,
        methods=_methods(findings, settings),
        warnings=findings.preparation.warnings,
    )
    write_text(out / _REPORT, page)
    _write_tables(findings, out / "tables")
    write_json(out / "metrics.json", _metrics(findings, settings))
    return Outcome(_headline(findings), findings.checks)


def _methods(findings: Findings, settings: Settings) -> list[str]:
    baseline, copy = findings.markov, findings.copy
    return [
        "Scores are natural-log probabilities of the observed bases, normalised over the model's whole vocabulary and "
        "not over A, C, G, T alone. Upper and lower case count alike. They are stored with 16 bits, which rounds the "
        "score of a single base by at most 0.0005 nats where it is below 2.",
        f"Baselines: an interpolated Markov model (MacKay & Peto 1995) of order {baseline.order} with Dirichlet "
        f"strength {baseline.strength:g}, both chosen on the val split (NLL {baseline.validation_nll:.4f} nats per "
        "base there), counted on both strands of the train split; and copying: the window of train that shares most "
        "31-mers is read along, as far as that has paid on the val split, with the Markov model elsewhere. Both see "
        "only the bases before the one to come, but for that choice, which the whole window makes: it is worth at most "
        f"{copy.choice_nats:.1f} nats a window to the copy.",
        f"Intervals: {100 * settings.confidence:g} %, expanded percentile (Hesterberg 2015), from "
        f"{settings.bootstrap_samples:,} resamplings of blocks of neighbouring windows (Künsch 1989), weighted by "
        "their scored bases; windows at the same place of homologous chromosomes are in one block, since they are "
        f"near-copies; all models share the resamplings; seed {settings.seed}.",
    ]


def _write_tables(findings: Findings, folder: Path) -> None:
    folder.mkdir()
    per_base, comparison = findings.per_base, findings.per_base.comparison
    written: dict[str, pd.DataFrame | None] = {
        "models": comparison.models_table(),
        "differences": comparison.differences_table(),
        "strata": per_base.strata.table,
        "calibration": per_base.calibration.table(),
        "windows": ranked_windows(per_base.scores),
        "gates": findings.facts.gates(findings.checks),
        "training": findings.facts.metrics,
        "forgetting": findings.forgetting.organisms if findings.forgetting else None,
        "variants": findings.variants.scored.table if findings.variants else None,
        "elements": findings.elements.table if findings.elements else None,
        "experiment": findings.experiment.table if findings.experiment else None,
    }
    written |= findings.features.tables() | codons.tables(findings.codons, findings.codon_states)
    written |= generation.files(findings.generation) if findings.generation else {}
    for name, table in written.items():
        if table is not None:
            table.to_csv(folder / f"{name}.csv", index=False)


def _metrics(findings: Findings, settings: Settings) -> dict[str, Any]:
    per_base, gates = findings.per_base, findings.facts.gates(findings.checks)
    scores, comparison, baseline = per_base.scores, per_base.comparison, findings.markov
    return {
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
        "strata": per_base.strata.table.to_dict("records"),
        "outside_acgt": findings.outside,
        "markov": {
            "order": baseline.order,
            "strength": baseline.strength,
            "validation_nll": baseline.validation_nll,
        },
        "codons": codons.metrics(findings.codons, findings.codon_states),
        "forgetting": findings.forgetting.metrics() if findings.forgetting else None,
        "variants": variants.metrics(findings.variants) if findings.variants else None,
        "elements": elements.metrics(findings.elements) if findings.elements else None,
        "experiment": experiment.metrics(findings.experiment) if findings.experiment else None,
        "classification": classification.metrics(findings.classification) if findings.classification else None,
        "generation": generation.metrics(findings.generation) if findings.generation else None,
        "intervals": settings.resampling,
    }


def _headline(findings: Findings) -> dict[str, object]:
    comparison, gates = findings.per_base.comparison, findings.facts.gates(findings.checks)
    headline: dict[str, object] = {"windows": comparison.windows, "bases_scored": comparison.bases}
    headline |= {f"nll_{row['model']}": row["nll"] for row in comparison.models_table().to_dict("records")}
    headline |= {f"gain_{d.model}_over_{d.reference}": bracketed(d.gain, signed=True) for d in comparison.differences}
    return headline | {"gates_fired": int((~gates["passed"].astype(bool)).sum()), "verdict": findings.verdict.headline}


def main(arguments: list[str] | None = None) -> int:
    """Build the report of a run again, with the settings that it was given; or compare several runs."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.report", description=main.__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder, runs/NAME; several are compared")
    parser.add_argument("--out", type=Path, help="folder of the report; by default RUN/evaluate, needed for several")
    given = parser.parse_args(arguments)
    try:
        report = main_for_runs(given.runs, given.out) if len(given.runs) > 1 else _again(given.runs[0], given.out)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{report}\n")
    return 0


def _again(run: Path, out: Path | None) -> Path:
    """The report of one run; its path."""
    out = out or run / "evaluate"
    _require_replaceable(out)
    # Also refuses a folder that is no run, in which a lock must not be left.
    settings = _settings(run)
    with run_lock(run), publish(out) as folder:
        outcome = build(run, folder, settings)
        if (out / MANIFEST).exists():
            _keep_manifest(stage_record(out), folder, outcome)
    return out / _REPORT


def _keep_manifest(earlier: Record, folder: Path, outcome: Outcome) -> None:
    """Keep the stage's identity, so that it is not run again, with the files and numbers that are there now."""
    told = {"outputs": describe_outputs(folder), "counts": outcome.headline, "gates": outcome.checks}
    write_json(folder / MANIFEST, earlier.content | told)


def _require_replaceable(out: Path) -> None:
    """Publishing replaces the whole folder: only an earlier report may go."""
    if out.exists() and not (out / _REPORT).exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds other files than a report: name a new folder with --out")


def _settings(run: Path) -> Settings:
    """Evaluation settings and seed from the latest manifest that has them."""
    stage = "evaluate" if (run / "evaluate" / MANIFEST).exists() else "predict"
    manifest = stage_record(run / stage)
    settings = {**manifest.value("config", "evaluation"), "seed": manifest.value("config", "seed")}
    if settings.keys() != {field.name for field in fields(Settings)}:
        raise manifest.of_another_version()
    return Settings(**settings)


if __name__ == "__main__":
    sys.exit(main())
