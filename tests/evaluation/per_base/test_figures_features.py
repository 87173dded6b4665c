from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from evaluation.drawing import style
from evaluation.per_base import figures_features as figures
from evaluation.per_base.around import KINDS, REACH, READINGS, Around
from evaluation.per_base.codons import MEASURES, POSITIONS, CodonErrors
from evaluation.per_base.periodicity import FREQUENCIES, Periodicity
from evaluation.per_base.similarity import BIN_NAMES, Similarity

MODELS = ("base", "adapted", "markov")
LABELS = {"uniform": "uniform guess", "base": "base", "adapted": "adapted", "markov": "Markov order 12"}


def crossed(**levels: object) -> pd.DataFrame:
    return pd.MultiIndex.from_product(levels.values(), names=list(levels)).to_frame(index=False)


def filled(table: pd.DataFrame, *measures: str, interval: bool = True) -> pd.DataFrame:
    """Values from 1 to 2 with an interval of ± 0.1."""
    for place, measure in enumerate(measures):
        table[measure] = 1 + np.random.default_rng(place).random(len(table))
        width = 0.1 if interval else np.nan
        table[f"{measure}_low"], table[f"{measure}_high"] = table[measure] - width, table[measure] + width
    return table


def around(sites: dict[str, tuple[int, int]], interval: bool = True) -> Around:
    table = crossed(kind=KINDS, reading=READINGS, offset=np.arange(-REACH, REACH + 1), model=MODELS)
    number = crossed(kind=KINDS, reading=READINGS)
    number["sites"] = [sites.get(kind, (0, 0))[READINGS.index(reading)] for kind, reading in number.to_numpy()]
    table = filled(table.merge(number).rename(columns={"sites": "n"}), "nll", "entropy", interval=interval)
    table.loc[table["n"] == 0, table.columns.str.startswith(("nll", "entropy"))] = np.nan
    return Around(table, number, 0)


def require_drawn(figure: Figure) -> None:
    """Laid out and drawn without a complaint, and no wider than a page."""
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] <= style.PAGE_WIDTH


@pytest.fixture(autouse=True)
def applied_style() -> object:
    with style.applied():
        yield


def test_around_has_a_row_for_each_kind_that_is_met() -> None:
    figure = figures.around(around(dict.fromkeys(KINDS, (12345, 11))), "nll", LABELS)
    assert len(figure.axes) == 10
    assert figure.axes[0].get_title(loc="left").endswith("\n12,345 sites")
    require_drawn(figure)
    few = figures.around(around({"donor": (1, 0)}, interval=False), "entropy", LABELS)
    assert [axes.get_title(loc="left") for axes in few.axes] == [
        "donor, read along the gene\n1 site",
        "donor, read against the gene\n0 sites",
    ]
    assert few.axes[1].texts[0].get_text() == "no such site in the scored windows"
    require_drawn(few)


def test_around_shows_every_curve_in_full() -> None:
    found = around({"tss": (3, 3)})
    found.table.loc[found.table["offset"] == 5, "nll_high"] = 50.0  # one band far too wide
    found.table.loc[(found.table["offset"] == 7) & (found.table["n"] > 0), "nll"] = 4.0
    figure = figures.around(found, "nll", LABELS)
    low, high = figure.axes[0].get_ylim()
    assert low < 1 and 4 < high < 6
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["uniform guess", "base", "adapted", "Markov order 12"]


@pytest.mark.parametrize("readings", [READINGS, ("against",)])
def test_periodicity(readings: tuple[str, ...]) -> None:
    spectrum = filled(crossed(reading=READINGS, model=MODELS, frequency=FREQUENCIES[1:]).assign(segments=9), "power")
    positions = filled(crossed(reading=READINGS, model=MODELS, position=[1, 2, 3]).assign(n=3), "nll")
    positions["n"] *= positions["reading"].isin(readings)
    spectrum.loc[~spectrum["reading"].isin(readings), ["power", "power_low", "power_high"]] = np.nan
    figure = figures.periodicity(Periodicity(spectrum, positions), LABELS)
    assert len(figure.axes) == 2 * len(readings)
    assert figure.axes[0].get_yscale() == "log"
    require_drawn(figure)


def test_periodicity_without_any_spectrum() -> None:
    spectrum = crossed(reading=READINGS, model=MODELS, frequency=FREQUENCIES[1:]).assign(segments=0)
    spectrum[["power", "power_low", "power_high"]] = np.nan
    positions = filled(crossed(reading=READINGS, model=MODELS, position=[1, 2, 3]).assign(n=3), "nll", interval=False)
    require_drawn(figures.periodicity(Periodicity(spectrum, positions), LABELS))


def test_codon_errors_hide_a_ratio_to_nearly_nothing() -> None:
    table = filled(
        crossed(reading=READINGS, position=POSITIONS, model=("uniform", *MODELS)).assign(codons=9), *MEASURES
    )
    table.loc[(table["position"] == 2) & (table["model"] == "uniform"), "synonymous"] = 0.001
    figure = figures.codon_errors(CodonErrors(table, 1), LABELS)
    synonymous, severity = figure.axes[:2]
    shown = [[len(bars.lines[0].get_xdata()) for bars in axes.containers] for axes in (synonymous, severity)]
    assert shown == [[3, 3, 3], [4, 4, 4]]
    require_drawn(figure)


def test_codon_errors_in_one_direction() -> None:
    table = filled(crossed(reading=READINGS, position=POSITIONS, model=("uniform", *MODELS)), *MEASURES, interval=False)
    table["codons"] = np.where(table["reading"] == "along", 12, 0)
    assert len(figures.codon_errors(CodonErrors(table, 1), LABELS).axes) == 2


@pytest.mark.parametrize("bins", [BIN_NAMES, ("0", "50–100"), ("10–20",)])
def test_similarity(bins: tuple[str, ...]) -> None:
    table = filled(crossed(bin=bins, model=MODELS), "nll", "gain", interval=len(bins) > 1)
    table = table.assign(windows=1_234_567, bases=10, containment=0.1)
    figure = figures.similarity(Similarity(table, pd.DataFrame(), "adapted", "base", 9, 0, 0), LABELS)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [f"{name}\n1,235k" for name in bins]
    # The reference has no gain over itself.
    assert len(figure.axes[0].containers) == 3 and len(figure.axes[1].containers) == 2
    require_drawn(figure)
