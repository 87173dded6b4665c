"""What the page of several runs shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, percent, plural
from evaluation.per_base.shared import WindowSums
from evaluation.runs import figures
from evaluation.runs.leaderboard import UNIFORM, Leaderboard
from evaluation.runs.reading import Runs
from evaluation.statistics.bootstrap import Interval


def sections(
    runs: Runs, board: Leaderboard, sums: WindowSums, forgetting: Mapping[str, tuple[str, Interval]]
) -> list[Section]:
    """The page from top to bottom, drawn with the settings of `evaluation.drawing.style.applied`.

    Parameters
    ----------
    runs, board, sums : Runs, Leaderboard, WindowSums
    forgetting : mapping
        By label of an adapted model: the organism on which it lost most, and the change of its NLL there.
    """
    colour = figures.colours(board, {entry.label for entry in runs.entries if entry.model == "adapted"})
    return [
        _leaderboard(board, colour),
        _pairs(board),
        _training(runs, board, forgetting),
        _curves(runs),
        _distributions(board, sums, colour),
        Section("The runs", [_runs_table(runs)]),
    ]


def _leaderboard(board: Leaderboard, colour: Mapping[str, str]) -> Section:
    rest = len(board.models) - figures.MOST_ROWS
    picture = Picture(
        "leaderboard",
        figures.forest(board, colour),
        "NLL of every model on the same bases, the best first.",
        "Further left is better. Bars are intervals; blue models are as published, red ones were trained in a run, "
        "grey ones are baselines. Intervals of two models may overlap although their difference is certain, because "
        "windows that are hard for one are hard for the other: the paired tests below decide."
        + (f" {plural(rest, 'more model')} are in the table." if rest > 0 else ""),
    )
    repeats = (
        f"{percent(board.repeat_share)} of the bases are soft-masked repeats."
        if board.repeat_share
        else "No base is soft-masked: nothing is said of repeats."
    )
    remark = (
        f"{plural(board.bases, 'base')} in {plural(board.windows, 'window')} are scored, the same for every model. "
        f"{repeats}"
    )
    return Section("Leaderboard", [_leaderboard_table(board)], [picture], [remark])


def _leaderboard_table(board: Leaderboard) -> Table:
    rows = []
    for label in (*board.models, *board.baselines):
        place = count(board.models.index(label) + 1) if label in board.models else MISSING
        gains = [
            bracketed(board.gains[label, baseline], signed=True) if (label, baseline) in board.gains else MISSING
            for baseline in board.baselines[:1]
        ]
        rows.append(
            [
                label,
                place,
                *(_cell(label, of_label[label]) for of_label in board.nll.values()),
                percent(board.accuracy[label].estimate),
                *gains,
            ]
        )
    caption = (
        "Mean negative log-likelihood (NLL) of the observed bases, in nats per base, lower is better: over all bases, "
        "outside repeats, in repeats. Accuracy: the most probable base is the observed one. The last column is what a "
        f"model explains more than the best baseline, the {board.baselines[0]}, in nats per base. Baselines have no "
        "place."
    )
    columns = ["model", "place", "all bases", "outside repeats", "in repeats", "accuracy", "gain over baseline"]
    return Table(caption, columns, rows)


def _cell(label: str, value: Interval) -> str:
    """An interval; of what is a constant, and of what is undefined, only that."""
    if label == UNIFORM or np.isnan(value.estimate):
        return number(value.estimate)
    return bracketed(value)


def _pairs(board: Leaderboard) -> Section:
    rows = [
        [
            f"{pair.model} over {pair.reference}",
            bracketed(pair.gain, signed=True),
            number(pair.effect_size, 2, signed=True),
            _p_cell(pair.p_value),
            _p_cell(pair.corrected),
        ]
        for pair in board.pairs
    ]
    caption = (
        "Every two models on the same bases: NLL of the second − NLL of the first, nats per base. d: Cohen's d of the "
        f"paired differences over {plural(board.blocks, 'block')} of windows. p: two-sided, from the bootstrap of the "
        f"blocks; Holm: corrected for {plural(len(rows), 'pair')} (Holm 1979). In bold: Holm's p < 0.05."
    )
    shown = {place for place, pair in enumerate(board.pairs) if pair.is_shown}
    table = Table(caption, ["model over model", "gain, nats/base", "d", "p", "Holm"], rows, fired=shown)
    rest = len(board.models) - figures.MOST_CELLS
    picture = Picture(
        "pairs",
        figures.matrix(board),
        "Gain of each row's model over each column's, nats per base.",
        "Positive, on the side of the purple end of the scale, where the row explains more; in bold where the "
        "difference stands after Holm's correction."
        + (f" The best {figures.MOST_CELLS} are shown." if rest > 0 else ""),
    )
    return Section("Paired tests", [table], [picture])


def _p_cell(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value)


def _training(runs: Runs, board: Leaderboard, forgetting: Mapping[str, tuple[str, Interval]]) -> Section:
    title = "What the training bought"
    rows = []
    for entry in runs.entries:
        if entry.model == "base":
            continue
        trained = entry.trained
        organism, change = forgetting.get(entry.label, (None, None))
        rows.append(
            [
                entry.label,
                entry.method,
                *(MISSING if trained[key] is None else count(trained[key] or 0) for key in _COUNTED),
                number((trained["seconds"] or 0) / 60, 1) if trained["seconds"] is not None else MISSING,
                MISSING if entry.start is None else bracketed(board.gains[entry.label, entry.start], signed=True),
                MISSING if change is None else f"{bracketed(change, signed=True)} ({organism})",
            ]
        )
    if not rows:
        return Section(title, remarks=["No model was trained in these runs."])
    caption = (
        "Gain: NLL of the model that the training began from − NLL of the trained one, nats per base. Forgetting: "
        "change of the NLL on the other organism where it rose most, nats per base; positive is worse."
    )
    columns = ["run", "method", "bases read", "parameters", "minutes", "gain over its start", "forgetting"]
    figure = figures.training_effect(board, runs.entries)
    pictures = []
    if figure is not None:
        pictures.append(
            Picture(
                "training_effect",
                figure,
                "What each training gained, against the bases that it read.",
                "Bars are intervals. Above the dashed line the training helped; a point further right that is no "
                "higher has read more for nothing.",
            )
        )
    return Section(title, [Table(caption, columns, rows, words=2)], pictures)


_COUNTED = ("bases_seen", "trainable_parameters")


def _curves(runs: Runs) -> Section:
    figure = figures.learning_curves(runs.entries)
    if figure is None:
        return Section("Learning curves", remarks=["No run has logged a validation loss."])
    picture = Picture(
        "learning_curves",
        figure,
        "Validation loss of the trainings, on the same axes.",
        "The dotted line is a uniform guess (ln 4). Validation windows are those of each run's own preparation and "
        f"length; the leaderboard has the same for all. At most {figures.MOST_CURVES} runs are drawn.",
    )
    return Section("Learning curves", pictures=[picture])


def _distributions(board: Leaderboard, sums: WindowSums, colour: Mapping[str, str]) -> Section:
    bases = sums.bases[:, 0]
    used = bases > 0
    per_base = {label: sums.nll[label][used, 0] / bases[used] for label in (*board.models, *board.baselines[:-1])}
    picture = Picture(
        "distributions",
        figures.distributions(per_base, bases[used], colour),
        "NLL of the windows under every model.",
        "Tick: median; thick bar: middle half of the bases; line: middle nine tenths. The dotted line is a uniform "
        "guess: windows to its right are explained worse than by knowing nothing. Baselines come last.",
    )
    return Section("Windows", pictures=[picture])


def _runs_table(runs: Runs) -> Table:
    rows = [
        [
            entry.label,
            entry.method,
            str(entry.facts.setting("predict", "model", "name")),
            str(entry.facts.setting("predict", "backend", "name")),
            str(entry.facts.setting("predict", "predict", "precision")),
            str(entry.facts.setting("prepare", "windows", "length")),
            entry.run.name,
        ]
        for entry in runs.entries
    ]
    columns = ["model", "method", "checkpoint", "backend", "precision", "window length", "run"]
    return Table("The models, and the run that each was read from.", columns, rows, words=7)
