"""The part of the report on other organisms."""

from __future__ import annotations

from collections.abc import Mapping

from evaluation.forgetting.changes import Forgetting
from evaluation.forgetting.figures import changes_by_organism
from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number


def section(forgetting: Forgetting, labels: Mapping[str, str]) -> Section:
    """What the models say of other organisms, before and after the adaptation."""
    picture = Picture(
        "forgetting",
        changes_by_organism(forgetting, labels),
        "The models on other organisms.",
        "Left, the NLL of each model; right, how much it changed with its interval: right of 0 the adapted model has "
        f"forgotten, right of the dashed line by more than {number(forgetting.limit, 3)} nats per base. The Markov "
        "model was fitted on the genome of this run.",
    )
    models = [model for model in ("base", "adapted", "markov") if f"nll_{model}" in forgetting.organisms]
    rows = [
        [
            str(row["organism"]),
            count(row["bases"]),
            *(number(row[f"nll_{model}"]) for model in models),
            bracketed(forgetting.changes[row["organism"]], signed=True) if forgetting.changes else MISSING,
        ]
        for row in forgetting.organisms.to_dict("records")
    ]
    caption = (
        "NLL on fixed sequences of other organisms, in nats per base, and its change from the base to the adapted "
        "model; positive means forgotten. Intervals are over blocks of 512 bases of the sequences shown."
    )
    columns = ["organism", "bases", *(labels[model] for model in models), "adapted − base"]
    return Section("Other organisms", [Table(caption, columns, rows)], [picture])
