"""Tables of the comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.classification import classes
from evaluation.classification.analysis import REFERENCES, Analysis
from evaluation.classification.hierarchy import PATH_TITLES, PATHS
from evaluation.classification.measures import TITLES
from evaluation.classification.reading import Method
from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, percent, plural
from evaluation.statistics.bootstrap import Interval

#: Measures that a page shows side by side, in tables that fit it; all of them are in comparison.csv.
_SHOWN = (
    ("accuracy", "balanced_accuracy", "f1_macro", "mcc", "auroc", "average_precision"),
    ("mean_reciprocal_rank", "log_loss", "calibration_error", "precision_macro", "f1_micro", "f1_weighted"),
)
_NUMBERS = (("spearman", "pearson", "r2", "rmse"),)
#: Of the differences.
_COMPARED = ("accuracy", "balanced_accuracy", "f1_macro", "mcc", "auroc")
_COMPARED_NUMBERS = ("spearman", "pearson", "r2", "rmse")
_MOST_PAIRS = 15
_SMALLEST_P = 0.0001


def _cell(interval: Interval, signed: bool = False) -> str:
    return MISSING if np.isnan(interval.estimate) else bracketed(interval, signed)


def _score(analysis: Analysis, method: str, measure: str, level: str) -> str:
    return _cell(analysis.score(method, measure, level))


def _p(value: float) -> str:
    return f"< {_SMALLEST_P}" if value < _SMALLEST_P else number(value, 4)


def score_tables(analysis: Analysis, level: str) -> list[Table]:
    """Every method with its measures, the best by the deciding one in bold."""
    data = analysis.data
    rows_used, units = int(data.used(level).sum()), analysis.units(level)
    resampled = "" if rows_used == units else f" in {plural(units, data.unit_noun)}"
    told = f"{plural(rows_used, f'test {data.row_noun}')}{resampled}"
    best = analysis.ranked()[0].name
    tables = []
    for place, measures in enumerate(_NUMBERS if data.is_regression else _SHOWN):
        rows = [[m.title, *(_score(analysis, m.name, name, level) for name in measures)] for m in data.methods]
        bold = {at for at, m in enumerate(data.methods) if m.name == best and level == analysis.main_level}
        caption = f"“{level}”: scores on {told}, with {100 * analysis.confidence:g} % intervals."
        if place:
            caption = f"“{level}”, more scores. Less is better of log-loss and calibration error."
        tables.append(Table(caption, ["method", *(TITLES[name] for name in measures)], rows, fired=bold))
    return tables


def gain_table(analysis: Analysis, reference: str) -> Table | None:
    """Differences from a reference with their corrected p-values; in bold those that stand. None without any."""
    shown = _COMPARED_NUMBERS if analysis.data.is_regression else _COMPARED
    rows: list[list[str]] = []
    bold: set[int] = set()
    for level in analysis.data.levels:
        for method in analysis.data.methods:
            gains = [analysis.gain(method.name, reference, measure, level) for measure in shown]
            decisive = analysis.gain(method.name, reference, analysis.key, level)
            if decisive is None:
                continue
            if decisive.is_shown(analysis.confidence):
                bold.add(len(rows))
            cells = [MISSING if gain is None else _cell(gain.interval, signed=True) for gain in gains]
            rows.append([level, method.title, *cells, _p(decisive.corrected)])
    if not rows:
        return None
    found = analysis.data.method(reference)
    title = reference if found is None else found.title
    errors = "; of RMSE less is better" if analysis.data.is_regression else ""
    caption = (
        f"Differences from {title}, on the same resamplings{errors}. p: two-sided, of {TITLES[analysis.key]}, "
        "corrected after Holm for all methods and levels; bold where a difference stands."
    )
    columns = ["level", "method", *(TITLES[measure] for measure in shown), f"p ({TITLES[analysis.key]})"]
    return Table(caption, columns, rows, words=2, fired=bold)


def leak_table(analysis: Analysis) -> Table | None:
    """The deciding measure of every level with and without leaked sequences; None where there are none."""
    if analysis.without_leaks is None:
        return None
    rows = []
    for level, of_level in analysis.without_leaks.items():
        for method in analysis.data.methods:
            kept = of_level[method.name].get(analysis.key)
            without = MISSING if kept is None else _cell(kept.interval)
            rows.append([level, method.title, _score(analysis, method.name, analysis.key, level), without])
    kept_rows = int((~analysis.data.leaked & analysis.data.used(analysis.main_level)).sum())
    caption = (
        f"{TITLES[analysis.key]} with and without the test sequences that also stand in training; "
        f"{plural(kept_rows, analysis.data.row_noun)} are left."
    )
    return Table(caption, ["level", "method", "all test sequences", "without leaks"], rows, words=2)


def path_table(analysis: Analysis) -> Table:
    """Measures of whole paths, as predicted and with each level by itself where that differs."""
    rows = []
    for method in analysis.data.methods:
        rows.append([method.title, "as predicted", *(_cell(analysis.paths[method.name][k].interval) for k in PATHS)])
        alone = analysis.by_level[method.name]
        if any(not np.array_equal(method.predicted[k], method.independent[k]) for k in analysis.data.levels):
            rows.append(["", "each level by itself", *(_cell(alone[k].interval) for k in PATHS)])
    caption = (
        "Whole paths of labels. Distance: mean number of edges between the true and the predicted label through their "
        "last common ancestor, 0 where the path is right; a path is wrong from its first wrong level on. "
        "Contradictory: share of paths with a label that belongs below another one than that predicted above it."
    )
    return Table(caption, ["method", "labels", *(PATH_TITLES[k] for k in PATHS)], rows, words=2)


def class_rows(analysis: Analysis, level: str, method: Method) -> Table:
    """Precision, recall and F1 of each class."""
    table = classes.class_table(classes.confusion(analysis.data, method, level))
    rows = [
        [name, *map(number, shares), count(support)]
        for name, (*shares, support) in zip(analysis.data.classes[level], table.to_numpy(float), strict=True)
    ]
    caption = (
        f"Classes of “{level}”, {method.title}. Support: test {analysis.data.row_noun}s. {MISSING}: no such "
        f"{analysis.data.row_noun} in the test set."
    )
    return Table(caption, ["class", "precision", "recall", "F1", "support"], rows)


def confused_pairs(analysis: Analysis, level: str, method: Method) -> Table | None:
    """Classes that are taken for others most often; None where nothing is."""
    matrix = classes.confusion(analysis.data, method, level)
    names, support = analysis.data.classes[level], matrix.sum(axis=1)
    rows = [
        [names[true], names[told], count(matrix[true, told]), percent(matrix[true, told] / support[true])]
        for true, told in classes.most_confused(matrix, _MOST_PAIRS)
    ]
    if not rows:
        return None
    caption = f"“{level}”, {method.title}: what is taken for what most often."
    return Table(caption, ["true class", "predicted as", f"{analysis.data.row_noun}s", "share of the class"], rows, 2)


def support_table(analysis: Analysis, level: str) -> Table:
    """Correlation of F1 and support over the classes, by method."""
    rows = []
    for method in analysis.data.methods:
        table = classes.class_table(classes.confusion(analysis.data, method, level))
        found = classes.f1_and_support(table, analysis.confidence, analysis.seed)
        rows.append([method.title, _cell(found, signed=True), count(int((table["support"] > 0).sum()))])
    caption = (
        f"“{level}”: Spearman's correlation of F1 with support over the classes. Positive: what is frequent is told "
        "better."
    )
    return Table(caption, ["method", "ρ of F1 and support", "classes"], rows)


def jaccard_table(analysis: Analysis, level: str) -> Table:
    """Jaccard similarity of the correctly classified sequences of each two methods."""
    shared, titles = classes.jaccard(analysis.data, level), [method.title for method in analysis.data.methods]
    rows = [[title, *(number(value, 2) for value in line)] for title, line in zip(titles, shared, strict=True)]
    caption = f"“{level}”: {analysis.data.row_noun}s that both methods tell right, over those that either does."
    return Table(caption, ["method", *titles], rows)


def method_table(methods: Sequence[Method]) -> Table:
    """How each method was trained."""
    rows = [
        [
            method.title,
            method.family,
            _known(method, "trainable_parameters", 0),
            _known(method, "total_parameters", 0),
            _known(method, "frozen_share_achieved", 3),
            _known(method, "epochs", 0),
            _known(method, "best_epoch", 1),
            _known(method, "head_shift", 4),
            _known(method, "adapter_shift", 4),
            _known(method, "seconds", 0),
        ]
        for method in methods
    ]
    caption = (
        "How the methods were trained. Shift: how far the weights of heads and adapters moved from where they began; "
        "what did not move did not learn."
    )
    columns = ["method", "family", "trained parameters", "all parameters", "frozen share", "epochs", "best epoch"]
    return Table(caption, [*columns, "head shift", "adapter shift", "seconds"], rows, words=2)


def _known(method: Method, key: str, decimals: int) -> str:
    value = method.detail(key)
    return number(float(value), decimals) if isinstance(value, int | float) else MISSING


def comparison(analysis: Analysis) -> pd.DataFrame:
    """Every measure of every method and level, with its differences from the references: comparison.csv."""
    rows = []
    for level, of_level in analysis.scores.items():
        for name, measured in of_level.items():
            for measure, found in measured.items():
                row: dict[str, object] = {"level": level, "method": name, "metric": measure, **vars(found.interval)}
                row["units"] = found.observations
                for reference in REFERENCES:
                    gain = analysis.gain(name, reference, measure, level)
                    ends = vars(gain.interval) if gain else dict.fromkeys(("estimate", "low", "high"))
                    row |= {f"over_{reference}_{end}": value for end, value in ends.items()}
                    row[f"over_{reference}_p"] = gain.p_value if gain else None
                    row[f"over_{reference}_p_holm"] = gain.corrected if gain else None
                rows.append(row)
    return pd.DataFrame(rows)
