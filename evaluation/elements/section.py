"""What the page says of the regulatory elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluation.elements.contrasts import CONTROLS, FEATURES, Elements
from evaluation.elements.figures import auroc_forest, matching, score_violins
from evaluation.elements.maps import CLOSE_BASES, MOST_STEPS, close_map, wide_map
from evaluation.elements.region import RegionMap
from evaluation.elements.tables import auroc_table, differences_table, mutants_table
from evaluation.page.layout import Picture, Section
from evaluation.page.text import bracketed, number, plural
from evaluation.statistics.bootstrap import Interval

#: What the baselines are called that no other section has.
_NAMES = {"kmer": "k-mers, logistic regression", "gc": "GC share alone"}
_FEW_FAMILIES = 20


def section(elements: Elements, labels: Mapping[str, str]) -> Section:
    """The section of the page.

    Parameters
    ----------
    elements : Elements
    labels : mapping
        Words for `base`, `adapted` and `markov`.
    """
    labels = {**_NAMES, **labels}
    pictures = [
        Picture(
            "elements_auroc",
            auroc_forest(elements, labels),
            "How well a score tells elements from background and from shuffled copies.",
            "Points are the area under the ROC curve (AUROC), lines its interval; the dotted line at 0.5 is guessing. "
            "Right of it, elements have the higher scores, left of it the lower ones: the model then finds them less "
            "likely. Only what exceeds every baseline is knowledge that counting k-mers does not give.",
        ),
        Picture(
            "elements_scores",
            score_violins(elements, labels),
            "Scores of the three sets: mean log-likelihood of each sequence's bases.",
            "Higher is more likely. Violins show the distribution, bars the quartiles, dots in them the median; the "
            "numbers of sequences stand beneath.",
        ),
        Picture(
            "elements_matching",
            matching(elements),
            "Each element beside its background fragment.",
            "Points on the diagonal are matched exactly. Lengths are always equal; a panel is left out where all "
            "elements have one length, or no base is soft-masked.",
        ),
    ]
    tables = [auroc_table(elements, labels), differences_table(elements, labels)]
    if elements.region is not None:
        pictures += _region_pictures(elements.region, elements.main_model, labels)
        tables.append(mutants_table(elements.region, elements.main_model, labels))
    return Section("Regulatory elements", tables, pictures, remarks(elements, labels), _lines(elements))


def metrics(elements: Elements) -> dict[str, Any]:
    """Numbers for metrics.json."""
    return {
        "elements": elements.elements,
        "families": elements.families,
        "contrasts": {
            control: {
                "controls": contrast.controls,
                "auroc": {model: vars(area) for model, area in contrast.areas.auroc.items()},
                "auroc_differences": {
                    f"{first}_minus_{second}": vars(contrast.areas.differences[first, second])
                    for first, second in elements.compared_pairs()
                    if (first, second) in contrast.areas.differences
                },
                "score_differences": {model: vars(gain) for model, gain in contrast.differences.items()},
            }
            for control, contrast in elements.contrasts.items()
        },
        "matching": {
            name: {"mean_difference": mean, "worst_difference": worst}
            for name, (mean, worst) in elements.match_quality().items()
        },
        "region": None if elements.region is None else _region_metrics(elements.region),
    }


def _region_metrics(region: RegionMap) -> dict[str, Any]:
    return {
        "seqid": region.seqid,
        "start": region.region[0],
        "end": region.region[1],
        "mutated_bases": len(region.sequence),
        "mean_change": {model: float(np.nanmean(deltas)) for model, deltas in region.deltas.items()},
    }


# ---------------------------------------------------------------- words


def remarks(elements: Elements, labels: Mapping[str, str]) -> list[str]:
    """What the numbers allow to be said; parameters as of `section`."""
    labels = {**_NAMES, **labels}
    said = [_statement(elements, control, labels) for control in CONTROLS]
    said.append(
        "A likelihood is no classifier: it tells elements from shuffled copies by what is in them beyond "
        "dinucleotides, and from background by anything in which the two differ. An AUROC below 0.5 means that the "
        "model finds elements less likely."
    )
    if elements.families < _FEW_FAMILIES:
        said.append(
            f"There are {plural(elements.families, 'independent family', 'independent families')} of elements: too few "
            "to say much."
        )
    if any("kmer" not in contrast.areas.auroc for contrast in elements.contrasts.values()):
        said.append("There are too few elements to train the k-mer baseline.")
    return said


def _statement(elements: Elements, control: str, labels: Mapping[str, str]) -> str:
    """What the main model's AUROC allows to be said."""
    model, areas = elements.main_model, elements.contrasts[control].areas
    area = areas.auroc[model]
    saw = f"{_capital(labels[model])}, elements against {CONTROLS[control]}: AUROC {bracketed(area)}, "
    side = Interval(area.estimate - 0.5, area.low - 0.5, area.high - 0.5).sign
    if side == 0:
        return saw + "which does not show that it tells them apart."
    words = "elements are more likely" if side > 0 else "elements are less likely"
    beaten: list[str] = []
    not_beaten: list[str] = []
    for baseline in ("markov", *FEATURES):
        if (model, baseline) in areas.differences:
            better = areas.differences[model, baseline].sign > 0
            (beaten if better else not_beaten).append(labels[baseline])
    if side < 0 or not not_beaten:
        return saw + words + (f"; better than {_listed(beaten)}." if side > 0 and beaten else ".")
    return saw + words + f"; not shown to be better than {_listed(not_beaten)}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lines(elements: Elements) -> list[tuple[str, str]]:
    (gc_mean, gc_worst), (masked_mean, masked_worst) = elements.match_quality().values()
    table = elements.table
    background = table[table["set"] == "background"]
    lengths = table.loc[table["set"] == "element", "length"]
    span = f"{lengths.min():,}" if lengths.min() == lengths.max() else f"{lengths.min():,} to {lengths.max():,}"
    loose = int(background["in_promoter"].sum())
    where = "outside of elements and CDS" + (
        f"; {plural(loose, 'fragment')} of {len(background):,} within 1,000 bases before a gene, for want of others"
        if loose
        else ", and of the 1,000 bases before genes"
    )
    return [
        (
            "Elements",
            f"{plural(elements.elements, 'element')} of {span} bp in "
            f"{plural(elements.families, 'family', 'families')} of near-identical sequences, each of which "
            "counts as one observation",
        ),
        (
            "Background",
            f"one fragment of the genome for each, {where}; GC differs by {number(gc_mean, 4, signed=True)} on average "
            f"and {number(gc_worst, 3)} at most, soft-masked share by {number(masked_mean, 4, signed=True)} and "
            f"{number(masked_worst, 3)}",
        ),
        (
            "Shuffled copies",
            f"{plural(int((table['set'] == 'shuffled').sum()), 'copy', 'copies')} with the same dinucleotide counts, "
            "first and last base",
        ),
    ]


# ---------------------------------------------------------------- region


def _region_pictures(region: RegionMap, model: str, labels: Mapping[str, str]) -> list[Picture]:
    whole = f"{region.seqid}:{region.region[0]:,}–{region.region[1]:,}"
    strands = "both strands" if region.strands == 2 else "the forward strand"
    closer = region.strongest(model, CLOSE_BASES)
    end = closer.start + len(closer.sequence)
    chosen = "" if len(closer.sequence) == len(region.sequence) else " where mutants matter most"
    close = Picture(
        "elements_mutants_close",
        close_map(closer, labels),
        f"Mutants and expectation in {region.seqid}:{closer.start:,}–{end:,}{chosen}.",
        f"Above, each cell is the region {whole} with one base replaced: blue where it becomes less likely, orange "
        f"where more, grey with a dot where the base is the region's own (mean of {strands}). Below the observed "
        "bases, letters as tall as their probability times the information of the prediction: 0 bits is no idea, 2 "
        "bits is certainty.",
    )
    if not chosen:
        return [close]
    wide = Picture(
        "elements_mutants",
        wide_map(region, labels),
        f"Mutants of the middle {len(region.sequence):,} bases of {whole}.",
        "Cells as in the figure below, the region's own bases white. Lines are the mean change by the three mutants "
        f"of a base, in steps of {_step(region)}: valleys are bases that the model counts on.",
    )
    return [wide, close]


def _step(region: RegionMap) -> str:
    return plural(-(-len(region.sequence) // MOST_STEPS), "base")
