"""One report of several runs: `python -m evaluation.report RUN RUN … --out DIR`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evaluation.baselines import copying, markov
from evaluation.drawing import style
from evaluation.forgetting.changes import analyse as analyse_forgetting
from evaluation.page import layout
from evaluation.per_base.shared import WindowSums, sum_windows
from evaluation.per_base.stream import Baseline
from evaluation.runs.leaderboard import LEVEL, Leaderboard, judge, rank
from evaluation.runs.reading import Runs, read_runs
from evaluation.runs.section import sections
from evaluation.statistics.blocks import blocks
from evaluation.statistics.bootstrap import Interval
from workflow.artifacts import InputError, publish, run_lock, write_json, write_text

_REPORT = "comparison.html"
_TEMPLATE = "compare.html.j2"


@dataclass(frozen=True)
class Settings:
    """How the comparison is computed.

    Attributes
    ----------
    bootstrap_samples, confidence, seed : int, float, int
        Of the intervals.
    markov_max_order : int
        Largest order of the Markov baseline that is tried.
    """

    bootstrap_samples: int = 10_000
    confidence: float = 0.95
    markov_max_order: int = 12
    seed: int = 42


def main_for_runs(runs: Sequence[Path], out: Path | None) -> Path:
    """Build the comparison of several runs, with the settings that the first was evaluated with.

    Parameters
    ----------
    runs : sequence of Path
        Run folders.
    out : Path or None
        Folder of the comparison, made or replaced.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        There is no `out`, or it holds something else than a comparison; as `build`.
    """
    if out is None:
        raise InputError("several runs are compared in a folder of their own: name it with --out")
    if out.exists() and not (out / _REPORT).exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds other files than a comparison: name a new folder with --out")
    found = read_runs(runs)
    setting = found.entries[0].facts.setting
    settings = Settings(
        **{name: setting("predict", "evaluation", name) for name in ("bootstrap_samples", "confidence")},
        markov_max_order=setting("predict", "evaluation", "markov_max_order"),
        seed=setting("predict", "seed"),
    )
    with ExitStack() as stack:
        for run in dict.fromkeys(entry.run for entry in found.entries):
            stack.enter_context(run_lock(run))
        build(found, stack.enter_context(publish(out)), settings)
    return out / _REPORT


def build(runs: Runs, out: Path, settings: Settings) -> Leaderboard:
    """Compare the models of several runs and write comparison.html, metrics.json, tables/*.csv and figures/*.png.

    Parameters
    ----------
    runs : Runs
        From `evaluation.runs.reading.read_runs`.
    out : Path
        An existing folder, filled here.
    settings : Settings

    Raises
    ------
    InputError
        The predictions cannot be scored (`evaluation.per_base.shared.sum_windows`).
    """
    background, sums, board = compare(runs, settings)
    forgetting = _forgetting(runs, background, settings)
    genome = runs.entries[0].facts.genome
    verdict = judge(board, genome, settings.confidence)
    with style.applied():
        parts = sections(runs, board, sums, forgetting)
        (out / "figures").mkdir()
        layout.save_figures(parts, out / "figures")
    page = layout.render(
        _TEMPLATE,
        out / "figures",
        runs=len({entry.run for entry in runs.entries}),
        genome=genome,
        verdict=verdict,
        cautions=runs.warnings + _too_few_samples(board, settings),
        fired=_fired(runs),
        warnings=[],
        sections=parts,
        methods=_methods(background, settings),
    )
    write_text(out / _REPORT, page)
    (out / "tables").mkdir()
    for name, table in {"models": board.table(), "pairs": board.pairs_table(), "training": _training(runs)}.items():
        table.to_csv(out / "tables" / f"{name}.csv", index=False)
    metrics = {
        "verdict": vars(verdict),
        "warnings": runs.warnings,
        "runs": [str(run.name) for run in dict.fromkeys(entry.run for entry in runs.entries)],
        "windows": board.windows,
        "bases": board.bases,
        "models": board.table().to_dict("records"),
        "pairs": board.pairs_table().to_dict("records"),
        "forgetting": {
            label: {"organism": organism, "change": vars(change)} for label, (organism, change) in forgetting.items()
        },
        "intervals": vars(settings),
    }
    write_json(out / "metrics.json", metrics)
    return board


def compare(runs: Runs, settings: Settings) -> tuple[markov.MarkovModel, WindowSums, Leaderboard]:
    """Score the models of several runs and the baselines on the same windows: the Markov model, sums, ranks.

    Raises
    ------
    InputError
        The predictions cannot be scored (`evaluation.per_base.shared.sum_windows`).
    """
    background = markov.fit_prepared(runs.prepared, settings.markov_max_order)
    named: dict[str, Baseline] = {
        f"Markov model of order {background.order}": background,
        "copy from train": copying.fit(runs.prepared, background, _typical(runs.windows), settings.seed),
    }
    sums = sum_windows(runs.entries[0].store, {entry.label: entry.store for entry in runs.entries}, runs.windows, named)
    board = rank(
        sums,
        [entry.label for entry in runs.entries],
        {entry.label: entry.start for entry in runs.entries if entry.start is not None},
        blocks(runs.windows, runs.sequences),
        samples=settings.bootstrap_samples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    return background, sums, board


def _too_few_samples(board: Leaderboard, settings: Settings) -> list[str]:
    """A warning where the smallest p-value that the bootstrap can give is too large for so many pairs."""
    if len(board.pairs) / (settings.bootstrap_samples + 1) < LEVEL:
        return []
    return [
        f"{settings.bootstrap_samples:,} resamplings are too few to show any difference among "
        f"{len(board.pairs):,} pairs: raise evaluation.bootstrap_samples."
    ]


def _typical(windows: pd.DataFrame) -> int:
    """Median length of the windows, bases."""
    return int(windows["length"].median())


def _forgetting(runs: Runs, background: markov.MarkovModel, settings: Settings) -> dict[str, tuple[str, Interval]]:
    """The organism on which each adapted model lost most, by label."""
    worst = {}
    for entry in runs.entries:
        if entry.start is not None:
            found = analyse_forgetting(
                entry.run / "predict" / "forgetting",
                background,
                entry.facts.setting("predict", "genome", "organism"),
                samples=settings.bootstrap_samples,
                confidence=settings.confidence,
                seed=settings.seed,
                # Only of use for the gate, which is one of the run's own report.
                limit=0.0,
            )
            if found is not None and found.changes:
                worst[entry.label] = (found.worst, found.changes[found.worst])
    return worst


def _fired(runs: Runs) -> list[dict[str, object]]:
    """Gates that fired in any run, named with it."""
    fired = []
    for run, facts in {entry.run: entry.facts for entry in runs.entries}.items():
        gates = facts.gates()
        for gate in gates[~gates["passed"].astype(bool)].to_dict("records"):
            fired.append({str(key): value for key, value in gate.items()} | {"stage": f"{run.name}, {gate['stage']}"})
    return fired


def _training(runs: Runs) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"label": entry.label, "method": entry.method, "start": entry.start, **entry.trained}
            for entry in runs.entries
            if entry.model == "adapted"
        ],
        columns=["label", "method", "start", "bases_seen", "trainable_parameters", "seconds"],
    )


def _methods(background: markov.MarkovModel, settings: Settings) -> list[str]:
    return [
        "Scores are natural-log probabilities of the observed bases, normalised over the model's whole vocabulary. A "
        "base counts when it is A, C, G or T and every model and baseline has a prediction for it. Only windows that "
        "every run scored, of the same name and bases, are compared.",
        "The base model of runs that began from the same checkpoint, with the same backend and precision, is shown "
        "once, as it was scored in the first of them.",
        f"Baselines, fitted on the train split of the first run: an interpolated Markov model of order "
        f"{background.order} (MacKay & Peto 1995), and copying from the most similar stretch of train, mixed with it. "
        "The choice of the stretch is not charged to the copy.",
        f"Intervals: {100 * settings.confidence:g} %, expanded percentile (Hesterberg 2015), from "
        f"{settings.bootstrap_samples:,} resamplings of blocks of windows, the same for all models; seed "
        f"{settings.seed}. p-values are the levels at which these intervals touch 0; with Holm's correction (1979) the "
        "chance that any of the claimed differences is none stays below 5 %.",
    ]
