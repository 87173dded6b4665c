"""Tables of the per-base scores: as text for the page, and ranked windows for the file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, percent
from evaluation.per_base.calibration import Calibration
from evaluation.per_base.comparison import Comparison, Part
from evaluation.per_base.scores import ALL, UNIFORM_NLL, WindowScores
from evaluation.per_base.strata import Strata
from evaluation.statistics.bootstrap import Interval

_SHOWN_AT_EACH_END = 10
_NATS_PER_BIT = math.log(2)


def models_table(comparison: Comparison, labels: Mapping[str, str], outside: Mapping[str, float]) -> Table:
    """Every model over all bases, beside a uniform guess.

    Parameters
    ----------
    outside : mapping
        Mean probability outside A, C, G, T, by model.
    """
    table = comparison.models_table()
    rows = [
        [
            labels[row["model"]],
            _nll_cell(row),
            number(row["bits"]),
            number(row["perplexity"], 2),
            "25.0 %" if row["model"] == "uniform" else _in_percent(comparison.accuracy[row["model"]]),
            f"{outside[row['model']]:.1e}" if row["model"] in outside else MISSING,
        ]
        for row in table[table["repeats"] == ALL].to_dict("records")
    ]
    caption = (
        "Mean negative log-likelihood (NLL) of the observed bases; lower is better. Perplexity is e to the NLL: the "
        "number of equally probable bases that the model hesitates between. Accuracy: the most probable base is the "
        "observed one. Outside ACGT: probability given to other tokens than A, C, G, T."
    )
    columns = ["model", "NLL, nats/base", "bits/base", "perplexity", "accuracy", "outside ACGT"]
    return Table(caption, columns, rows)


def repeats_table(comparison: Comparison, labels: Mapping[str, str]) -> Table:
    """Every model outside and in soft-masked repeats."""
    parts = {name: part for name, part in comparison.parts.items() if name != ALL}
    rows = []
    for model in ("uniform", *comparison.nll):
        row = [labels[model]]
        for part in parts.values():
            row += (
                [number(UNIFORM_NLL), "25.0 %"]
                if model == "uniform"
                else [bracketed(part.nll[model]), _in_percent(part.accuracy[model])]
            )
        rows.append(row)
    held = ", ".join(f"{count(part.bases)} bases {name}" for name, part in parts.items())
    columns = [f"{what} {name}" for name in parts for what in ("NLL, nats/base,", "accuracy")]
    caption = (
        f"The same apart for soft-masked and other bases ({held}): where most bases are repeats, the mean over all is "
        "theirs."
    )
    return Table(caption, ["model", *columns], rows)


def differences_table(comparison: Comparison, labels: Mapping[str, str]) -> Table:
    """Paired differences, over all bases and by repeats."""
    others = [name for name in comparison.parts if name != ALL]
    rows = [
        [
            f"{labels[d.model]} over {labels[d.reference]}",
            bracketed(d.gain, signed=True),
            number(d.effect_size, 2, signed=True),
            number(100 * comparison.share_better[d.model, d.reference], 0) + " %",
            *(_gain_in(comparison.parts[name], d.model, d.reference) for name in others),
        ]
        for d in comparison.differences
    ]
    caption = (
        "Paired differences over the same bases, in nats per base: NLL of the second − NLL of the first, so that "
        "positive means that the first explains more. d: mean of the differences of blocks of neighbouring windows / "
        "their standard deviation (Cohen's d of paired differences, blocks weighted by their bases; 0.2 is small, 0.8 "
        "large). Better in: share of the windows."
    )
    columns = ["model over reference", "gain", "d", "better in", *(f"gain {name}" for name in others)]
    return Table(caption, columns, rows)


def _gain_in(part: Part, model: str, reference: str) -> str:
    difference = part.difference(model, reference)
    return MISSING if difference is None else bracketed(difference.gain, signed=True)


def average_table(comparison: Comparison, average: Part, labels: Mapping[str, str]) -> Table:
    """Models that were read in both directions."""
    rows = [
        [labels[model], bracketed(comparison.nll[model]), bracketed(nll), number(nll.estimate / _NATS_PER_BIT)]
        for model, nll in average.nll.items()
    ]
    rows += [
        [
            f"{labels[d.model]} over {labels[d.reference]}: gain",
            _gain_in(comparison.parts[ALL], d.model, d.reference),
            bracketed(d.gain, signed=True),
            number(d.gain.estimate / _NATS_PER_BIT, signed=True),
        ]
        for d in average.differences
    ]
    beside = [name for name in ("markov", "copy") if name in comparison.nll]
    rows += [[labels[name], bracketed(comparison.nll[name]), MISSING, MISSING] for name in beside]
    caption = (
        "Mean of both directions: each base is predicted once from the bases before it and once, reading the reverse "
        "complement, from those after it; the average is of the two NLLs of each base. The baselines read forward only."
    )
    columns = ["model", "forward, nats/base", "both directions, nats/base", "bits/base"]
    return Table(caption, columns, rows)


def strata_table(strata: Strata, kind: str, labels: Mapping[str, str]) -> Table:
    """Every stratum of a kind."""
    rows = [
        [
            row["name"],
            row["repeats"],
            count(row["bases"]),
            *(number(row[f"nll_{model}"]) for model in strata.models),
            _interval_cell(row, "gain", signed=True),
            number(row["cohens_d"], 2, signed=True),
            MISSING if pd.isna(row["share_of_gain"]) else number(100 * row["share_of_gain"], 0) + " %",
        ]
        for row in _without_repetition(strata.kind(kind)).to_dict("records")
    ]
    over = " over ".join(labels[model] for model in strata.pair)
    caption = (
        f"By {kind}: NLL of each model and gain ({over}), in nats per base; a uniform guess has {number(UNIFORM_NLL)} "
        "everywhere. d: Cohen's d over blocks. Of the gain: what part of the gain over all bases falls here; the rows "
        f"with “{ALL}” add up to 100 %"
        + (", codon positions being parts of CDS" if kind == "class" else "")
        + ". Where the gain has no interval, too few blocks have such bases. tables/strata.csv has the NLLs' intervals."
    )
    columns = [kind, "which", "bases", *(labels[model] for model in strata.models), "gain", "d", "of the gain"]
    return Table(caption, columns, rows, words=2)


def _without_repetition(table: pd.DataFrame) -> pd.DataFrame:
    """The rows, but for those that hold the same bases as the row of all bases of their stratum."""
    of_all = table.loc[table["repeats"] == ALL].set_index("name")["bases"]
    return table[(table["repeats"] == ALL) | (table["bases"] != table["name"].map(of_all))]


def calibration_table(calibration: Calibration, labels: Mapping[str, str]) -> Table:
    """Calibration errors."""
    rows = [
        [
            labels[model],
            _in_percent(ece, decimals=2),
            number(100 * calibration.chance[model], 2) + " %",
            _in_percent(calibration.overconfidence[model], decimals=2, signed=True),
        ]
        for model, ece in calibration.ece.items()
    ]
    caption = (
        "Calibration. ECE: mean distance of accuracy and confidence over 20 bins of confidence, weighted by their "
        "bases (expected calibration error). By chance: the ECE that a perfectly calibrated model would have with so "
        "many bases; an ECE not well above it says nothing against a model. Overconfidence: mean confidence − accuracy."
    )
    return Table(caption, ["model", "ECE", "ECE by chance", "overconfidence"], rows)


def _in_percent(share: Interval, decimals: int = 1, signed: bool = False) -> str:
    """`39.6 [38.1, 41.3] %`."""
    estimate, low, high = (number(100 * value, decimals, signed) for value in vars(share).values())
    return f"{estimate} [{low}, {high}] %" if share.defined else f"{estimate} %"


def ranked_windows(scores: WindowScores) -> pd.DataFrame:
    """All windows by gain, the largest first.

    The gain is that of the adapted model over the base model or, in a run that lacks one of them, of the other
    over the Markov model. Columns: rank, sequence_id, seqid, start, end (0-based half-open), strand, bases,
    bases_repeat, and for each model `nll_<model>` (nats per base) and `accuracy_<model>`; gain (nats per base).
    """
    columns = ["sequence_id", "seqid", "start", "end", "strand", "bases", "bases_repeat"]
    table = scores.table[columns].copy()
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
            percent(row["bases_repeat"] / row["bases"]),
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
    columns = ["window", "rank", "bases", "in repeats", *(labels[model] for model in scores.models), "gain"]
    return Table(caption, columns, rows)


def _nll_cell(row: Mapping[Any, Any]) -> str:
    return number(row["nll"]) if row["model"] == "uniform" else _interval_cell(row, "nll")


def _interval_cell(row: Mapping[Any, Any], column: str, signed: bool = False) -> str:
    found = Interval(row[column], row[f"{column}_low"], row[f"{column}_high"])
    return bracketed(found, signed) if found.defined else number(found.estimate, signed=signed)
