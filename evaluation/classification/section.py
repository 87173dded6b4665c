"""What a page shows of a comparison of classifiers."""

from __future__ import annotations

from typing import Any

from evaluation.classification import figures, tables
from evaluation.classification.analysis import REFERENCES, Analysis
from evaluation.classification.classes import FEWEST_CLASSES
from evaluation.classification.figures_confusion import MOST_CLASSES, confusions
from evaluation.classification.measures import TITLES
from evaluation.classification.reading import BASELINE, PER_BASE
from evaluation.classification.verdict import judge
from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table
from evaluation.page.text import plural

#: Page of the comparison, from that of the run.
_PAGE = "../classify/report.html"
_FACTS = {"split": "Split", "counts": "Sequences", "decoding": "Labels of several levels", "seed": "Seed"}


def report_section(analysis: Analysis) -> Section:
    """The part of a run's report: the verdict, the scores, and where to read on."""
    verdict = judge(analysis)
    return Section(
        "Classification",
        _filled([*tables.score_tables(analysis, analysis.main_level)[:1], tables.gain_table(analysis, BASELINE)]),
        [_scores(analysis, "classification_")],
        [verdict.headline, *verdict.notes],
        links=[("The whole comparison, class by class", _PAGE)],
    )


def sections(analysis: Analysis) -> list[Section]:
    """The page of a comparison from top to bottom, below its verdict."""
    data = analysis.data
    parts = [
        Section(
            "Comparison of methods",
            [table for level in data.levels[::-1] for table in tables.score_tables(analysis, level)],
            [_scores(analysis)],
        ),
        Section("What the methods gain", _filled([tables.gain_table(analysis, name) for name in REFERENCES])),
    ]
    leaks = tables.leak_table(analysis)
    if leaks is not None:
        told = plural(analysis.leaked, "test sequence")
        remark = (
            f"{told} also stand in training, as they are or as reverse complements: a method may know them by heart."
        )
        parts.append(Section("Leaks", [leaks], remarks=[remark]))
    if data.has_paths:
        parts.append(Section("Paths of labels", [tables.path_table(analysis)]))
    if data.is_regression:
        parts += [_numbers(analysis, column) for column in data.levels]
    else:
        parts += [part for level in data.levels[::-1] for part in _level(analysis, level)]
        parts.append(_agreement(analysis))
    return [*parts, *_training(analysis), Section("The data", lines=_facts(analysis))]


def _filled(found: list[Table | None]) -> list[Table]:
    return [table for table in found if table is not None]


def _scores(analysis: Analysis, prefix: str = "") -> Picture:
    return Picture(
        f"{prefix}scores",
        figures.scores(analysis),
        f"{TITLES[analysis.key]} of every method on the test set.",
        f"Bars are {100 * analysis.confidence:g} % intervals, the band is that of the k-mer baseline: what lies in it "
        "is no better than counts of short words. Methods share their test sequences, so that a difference can be sure "
        "though the bars overlap; the table of differences says which are.",
    )


def _level(analysis: Analysis, level: str) -> list[Section]:
    """The classes of one level: of the best method, and of the baseline where there is room."""
    data, place = analysis.data, analysis.data.levels.index(level)
    best = analysis.ranked()[0]
    baseline = data.method(BASELINE)
    shown = [best, *([baseline] if baseline is not None and baseline is not best else [])]
    more = f" The {MOST_CLASSES - 1} most frequent classes, and the others together."
    pictures = [
        Picture(
            f"confusion_{place}",
            confusions(data, shown, level),
            f"What is taken for what: “{level}”.",
            "Each row is a true class, coloured by the share of it that was predicted as each class; what is right "
            "lies on the diagonal."
            + (" Classes stand in the order of the tree." if data.has_paths else "")
            + (more if len(data.classes[level]) > MOST_CLASSES else ""),
        ),
    ]
    confused = _filled([tables.confused_pairs(analysis, level, best)])
    if len(data.classes[level]) >= FEWEST_CLASSES:
        picture = Picture(
            f"support_{place}",
            figures.f1_and_supports(analysis, level),
            f"F1 and frequency of each class of “{level}”.",
            "A dot is a class. ρ is Spearman's correlation with its interval over classes; where it is positive, what "
            "is rare is told worse.",
        )
        pictures.append(picture)
        confused.append(tables.support_table(analysis, level))
    calibrated = figures.calibration(analysis, level)
    if calibrated is not None:
        told = "Dots are bins of the probability of the predicted class, larger with more rows. Below the dotted line "
        picture = Picture(
            f"calibration_{place}",
            calibrated,
            f"How far probabilities can be trusted: “{level}”.",
            told + "a method is too sure, above it not sure enough; error: the expected calibration error.",
        )
        pictures.append(picture)
    return [
        Section(f"Level “{level}”" if data.has_paths else f"Classes of “{level}”", confused, pictures),
        Section(
            f"Every class of “{level}”", [tables.class_rows(analysis, level, m) for m in shown], level=3, folded=True
        ),
    ]


def _numbers(analysis: Analysis, column: str) -> Section:
    picture = Picture(
        f"numbers_{analysis.data.levels.index(column)}",
        figures.predicted_numbers(analysis, column),
        f"Measured against predicted “{column}”.",
        "A dot is a test sequence, of many sequences a hexagon is brighter with more of them.",
    )
    return Section(f"“{column}”", pictures=[picture])


def _agreement(analysis: Analysis) -> Section:
    data = analysis.data
    picture = Picture(
        "agreement",
        figures.agreement(data),
        f"Which {data.row_noun}s methods share: Jaccard similarity.",
        f"Of the {data.row_noun}s that at least one of two methods tells right, the share that both do. Two good "
        "methods with a low value know different things, and may gain from each other.",
    )
    found = [tables.jaccard_table(analysis, level) for level in data.levels]
    return Section("Agreement of methods", found, [picture])


def _training(analysis: Analysis) -> list[Section]:
    methods = analysis.data.methods
    curves = figures.learning_curves(analysis.data)
    pictures = []
    if curves is not None:
        picture = Picture(
            "learning_curves",
            curves,
            "Loss during training.",
            "Where validation rises while the loss of the train batches falls, a method learns its examples by heart; "
            "the dashed line is the epoch whose weights are kept.",
        )
        pictures.append(picture)
    notes = [f"{method.title}: {note}" for method in methods for note in method.detail("notes") or []]
    return [Section("Training", [tables.method_table(methods)], pictures, notes)]


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    data = analysis.data
    kinds = {"classification": "classes of sequences", "regression": "numbers", PER_BASE: "classes of bases"}
    facts = [("Task", kinds.get(data.task, data.task)), ("Labels", ", ".join(data.levels))]
    facts += [(title, _words(data.about[key])) for key, title in _FACTS.items() if key in data.about]
    resampled = plural(analysis.units(analysis.main_level), data.unit_noun)
    return [*facts, ("Resampled", f"{resampled}, {analysis.samples:,} times")]


def _words(value: Any) -> str:
    """A setting or counts as a person reads them."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_words(item)}" for key, item in value.items())
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)
