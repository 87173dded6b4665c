"""Tables of the report: as text for the page, and ranked windows for the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from evaluation.experiment.measured import Experiment
from evaluation.generation.summary import Generation
from evaluation.page.text import MISSING, bracketed, count, number
from evaluation.per_base.comparison import Comparison
from evaluation.per_base.scores import WindowScores
from evaluation.statistics.bootstrap import Interval

_SHOWN_AT_EACH_END = 10
#: Letters. Six columns of such words fit on the page.
_LONGEST_WORD = 24


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes
    ----------
    caption : str
    columns : list of str
    rows : list of list of str
    words : int
        The first so many columns are words (aligned left), the others numbers (aligned right).
    fired : set of int
        Rows set in bold.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    words: int = 1
    fired: set[int] = field(default_factory=set)

    @staticmethod
    def may_break(cell: str) -> bool:
        """Whether a cell holds a word, such as a sequence's name, that would widen the table beyond the page."""
        return max(map(len, cell.split()), default=0) > _LONGEST_WORD


def models_table(comparison: Comparison, labels: Mapping[str, str], outside: Mapping[str, float]) -> Table:
    """Every model beside a uniform guess."""
    rows = [
        [
            labels[row["model"]],
            _nll_cell(row),
            number(row["bits"]),
            number(row["perplexity"], 2),
            number(100 * row["accuracy"], 1) + " %",
            f"{outside[row['model']]:.1e}" if row["model"] in outside else MISSING,
        ]
        for row in comparison.models_table().to_dict("records")
    ]
    caption = (
        "Mean negative log-likelihood (NLL) of the observed bases; lower is better. Perplexity is e to the NLL: the "
        "number of equally probable bases that the model hesitates between. Accuracy: the most probable base is the "
        "observed one. Outside ACGT: probability given to other tokens than A, C, G, T."
    )
    columns = ["model", "NLL, nats/base", "bits/base", "perplexity", "accuracy", "outside ACGT"]
    return Table(caption, columns, rows)


def differences_table(comparison: Comparison, labels: Mapping[str, str]) -> Table:
    """Paired differences."""
    rows = [
        [
            f"{labels[d.model]} over {labels[d.reference]}",
            bracketed(d.gain, signed=True),
            number(d.effect_size, 2, signed=True),
            number(100 * d.share_better, 0) + " %",
        ]
        for d in comparison.differences
    ]
    caption = (
        "Paired differences over the same bases: NLL of the second − NLL of the first, so that positive means that "
        "the first explains more. d: mean of the windows' differences / their standard deviation (Cohen's d of "
        "paired differences; 0.2 is small, 0.8 large). Better in: share of the windows."
    )
    return Table(caption, ["model over reference", "gain, nats/base", "d", "better in"], rows)


def gates_table(gates: pd.DataFrame) -> Table:
    """Every gate, those that fired first and in bold."""
    rows = [
        [gate["stage"], gate["name"], "passed" if gate["passed"] else "FIRED"]
        + [str(gate[key]) for key in ("saw", "limit", "why")]
        for gate in gates.to_dict("records")
    ]
    fired = {place for place, passed in enumerate(gates["passed"]) if not passed}
    caption = "Gates: checks that a number means something. Those that fired come first."
    return Table(caption, ["stage", "gate", "result", "saw", "limit", "why it matters"], rows, words=6, fired=fired)


def ranked_windows(scores: WindowScores) -> pd.DataFrame:
    """All windows by gain, the largest first.

    The gain is that of the adapted model over the base model or, in a run that lacks one of them, of the other
    over the Markov model. Columns: rank, sequence_id, seqid, start, end (0-based half-open), strand, bases, and for
    each model `nll_<model>` (nats per base) and `accuracy_<model>`; gain (nats per base).
    """
    table = scores.table[["sequence_id", "seqid", "start", "end", "strand", "bases"]].copy()
    for model in scores.models:
        table[f"nll_{model}"] = scores.per_base(model)
        table[f"accuracy_{model}"] = scores.table[f"correct_{model}"] / scores.table["bases"]
    table["gain"] = scores.gain(*scores.main_pair)
    table = table.sort_values(["gain", "sequence_id"], ascending=[False, True], ignore_index=True)
    table.insert(0, "rank", table.index + 1)
    return table


def windows_table(scores: WindowScores, labels: Mapping[str, str]) -> Table:
    """Both ends of the ranking; all of it when it is short."""
    ranked = ranked_windows(scores)
    shown = ranked
    if len(ranked) > 2 * _SHOWN_AT_EACH_END:
        shown = pd.concat([ranked.head(_SHOWN_AT_EACH_END), ranked.tail(_SHOWN_AT_EACH_END)])
    rows = [
        [
            str(row["sequence_id"]),
            count(row["rank"]),
            count(row["bases"]),
            *(number(row[f"nll_{model}"]) for model in scores.models),
            number(row["gain"], 4, signed=True),
        ]
        for row in shown.to_dict("records")
    ]
    which = "All windows" if len(shown) == len(ranked) else f"Both ends of the {len(ranked):,} windows"
    over = " over ".join(labels[model] for model in scores.main_pair)
    caption = (
        f"{which}, ranked by gain ({over}): each model's NLL, and the gain, in nats per base. Windows are named by "
        "their 0-based half-open coordinates; tables/windows.csv has them all."
    )
    columns = ["window", "rank", "bases", *(labels[model] for model in scores.models), "gain"]
    return Table(caption, columns, rows)


def experiment_table(experiment: Experiment, labels: Mapping[str, str]) -> Table:
    """Correlations with the measured value."""
    rows = [
        [labels[model], bracketed(experiment.pearson[model]), bracketed(experiment.spearman[model])]
        for model in experiment.pearson
    ]
    caption = (
        f"Correlation of the mean log-likelihood with “{experiment.value_name}” over {len(experiment.table):,} rows; "
        f"{experiment.unmatched:,} rows name no scored window and {experiment.missing:,} have no value."
    )
    return Table(caption, ["model", "Pearson", "Spearman"], rows)


def generation_table(generation: Generation, labels: Mapping[str, str]) -> Table:
    """Summary of each group of sequences."""
    rows = [
        [
            labels[row["group"]],
            count(row["sequences"]),
            number(row["length_mean"], 0),
            number(100 * row["gc_mean"], 1) + " %",
            number(100 * row["gc_sd"], 1) + " %",
            number(row["kmer_distance"]),
        ]
        for row in generation.summary.to_dict("records")
    ]
    caption = (
        "Generated sequences beside the genome's. k-mer distance: Jensen–Shannon distance of the 3-mer spectrum to "
        "the genome's, 0 (same) to 1; the row of the genome's random fragments, one for each that a model wrote, "
        "shows the distance that sampling alone gives."
    )
    return Table(caption, ["sequences", "number", "mean length, bp", "GC", "sd of GC", "k-mer distance"], rows)


def _nll_cell(row: Mapping[Any, Any]) -> str:
    if row["model"] == "uniform":
        return number(row["nll"])
    return bracketed(Interval(row["nll"], row["nll_low"], row["nll_high"]))
