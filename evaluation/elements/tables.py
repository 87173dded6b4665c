"""Tables of the elements and of the mutants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evaluation.elements.contrasts import CONTROLS, FEATURES, LIKELIHOODS, Elements
from evaluation.elements.region import RegionMap
from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, plural
from evaluation.statistics.bootstrap import Interval
from workflow.artifacts import BASES

_MUTANTS_SHOWN = 10


def auroc_table(elements: Elements, labels: Mapping[str, str]) -> Table:
    """AUROC of every model and baseline, and its differences."""
    rows = []
    for model in (*LIKELIHOODS, *FEATURES):
        found = [contrast.areas.auroc.get(model) for contrast in elements.contrasts.values()]
        if any(found):
            rows.append([labels[model], *(_cell(area) for area in found)])
    for first, second in elements.compared_pairs():
        found = [contrast.areas.differences.get((first, second)) for contrast in elements.contrasts.values()]
        rows.append([f"{labels[first]} − {labels[second]}", *(_cell(area, signed=True) for area in found)])
    caption = (
        "AUROC of the scores, and paired differences of AUROC: how often an element has the higher score than a "
        "control of another family, ties counting one half. The k-mer regression is trained on labels and tested out "
        "of fold; the models have seen no labels."
    )
    return Table(caption, ["score", *(f"elements against {name}" for name in CONTROLS.values())], rows)


def differences_table(elements: Elements, labels: Mapping[str, str]) -> Table:
    """Elements against their own controls, in nats per base."""
    rows = [
        [
            labels[model],
            *(_cell(contrast.differences[model], signed=True) for contrast in elements.contrasts.values()),
        ]
        for model in elements.models
    ]
    caption = (
        f"How much more likely elements are than their controls: mean log-likelihood of an element − that of its own "
        f"controls, in nats per base, over {plural(elements.elements, 'element')}; positive means more likely."
    )
    return Table(caption, ["model", *(f"elements − {name}" for name in CONTROLS.values())], rows)


def mutants_table(region: RegionMap, model: str, labels: Mapping[str, str]) -> Table:
    """The mutants that matter most to a model."""
    deltas = region.deltas[model]
    order = np.argsort(np.where(np.isfinite(deltas), -np.abs(deltas), np.inf), axis=None, kind="stable")
    shown = min(_MUTANTS_SHOWN, int(np.isfinite(deltas).sum()))
    rows = []
    for place in order[:shown].tolist():
        base, column = divmod(place, deltas.shape[1])
        changes = [number(values[base, column], 3, signed=True) for values in region.deltas.values()]
        rows.append([count(region.start + base), f"{region.sequence[base]} → {BASES[column]}", *changes])
    caption = (
        f"The {shown} mutants that change the likelihood most ({labels[model]}): change of the whole "
        "region's log-likelihood, in nats; positions are 0-based on the forward strand."
    )
    return Table(caption, ["position", "mutant", *(labels[name] for name in region.deltas)], rows)


def _cell(value: Interval | None, signed: bool = False) -> str:
    return MISSING if value is None or np.isnan(value.estimate) else bracketed(value, signed)
