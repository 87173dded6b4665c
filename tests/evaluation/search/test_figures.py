from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from evaluation.drawing import style
from evaluation.search import figures_history, figures_parallel, figures_settings, figures_values
from evaluation.search.looks import beyond, shown_range
from evaluation.search.noise import noise
from evaluation.search.reading import Study, read_study

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, write: Make) -> Study:
    return read_study(write(tmp_path_factory.mktemp("study") / "made", trials=40))


def dots(figure: Figure, label: str, panel: int = 0) -> np.ndarray:
    """Places of the dots of one kind."""
    for artist in figure.axes[panel].collections:
        if artist.get_label() == label and isinstance(artist, PathCollection):
            return np.asarray(np.ma.filled(artist.get_offsets(), np.nan))
    return np.empty((0, 2))


def test_an_axis_shows_all_that_is_good_and_no_outlier() -> None:
    values = np.array([1.20, 1.21, 1.22, 1.23, 1.24, 1.25, 1.26, 1.27, 1.28, 9.0, np.nan])
    low, high = shown_range(values, 1)
    assert low < 1.20 < 1.28 < high < 1.5
    assert beyond(values, 1) == 1
    # Where higher is better, 9 is the best and everything is shown.
    assert beyond(values, -1) == 0
    low, high = shown_range(-values, -1)
    assert -1.5 < low < -1.28 and high > -1.20


@pytest.mark.parametrize("values", [[], [np.nan], [1.2], [0.0, 0.0], [1.0] * 9 + [5.0]])
def test_an_axis_has_a_length_whatever_it_shows(values: list[float]) -> None:
    low, high = shown_range(np.array(values, float), 1)
    assert high > low
    if values == [1.0] * 9 + [5.0]:
        assert high > 5


def test_history_marks_every_trial_once(study: Study) -> None:
    figure = figures_history.history(study)
    complete = dots(figure, "complete")
    np.testing.assert_allclose(complete[:, 1], study.values[:, 0])
    for state in ("pruned", "failed"):
        assert sorted(dots(figure, state)[:, 0]) == np.flatnonzero(study.in_state(state)).tolist()
    best = study.best(0)
    assert best is not None
    np.testing.assert_allclose(dots(figure, "best"), [[best, study.values[best, 0]]])
    # What has no value is marked at the worse end: the upper one here.
    assert dots(figure, "pruned")[:, 1].min() > 0.9


def test_history_marks_what_has_no_value_below_where_higher_is_better(make_study: Make) -> None:
    figure = figures_history.history(read_study(make_study(trials=40, objectives=3)))
    assert dots(figure, "failed", panel=2)[:, 1].max() < 0.15


def test_curves_of_all_trials_and_nothing_without(study: Study) -> None:
    figure = figures_history.curves(study)
    assert figure is not None
    lines = [artist for artist in figure.axes[0].collections if isinstance(artist, LineCollection)]
    shown = sum(len(artist.get_segments()) for artist in lines)
    assert shown == int((study.in_state("complete") | study.in_state("pruned")).sum())
    assert figures_history.curves(replace(study, intermediate=study.intermediate.iloc[:0])) is None


def test_costs_add_up(study: Study) -> None:
    figure = figures_history.costs(study)
    assert figure is not None
    widths = [bar.get_width() for bar in figure.axes[1].patches]  # type: ignore[attr-defined]
    hours = study.trials["gpu_hours"].to_numpy(float)
    assert widths == pytest.approx([np.nansum(hours[study.in_state(s)]) for s in ("complete", "pruned", "failed")])
    unknown = study.trials.assign(gpu_hours=np.nan)
    without = figures_history.costs(replace(study, trials=unknown))
    assert without is not None and without.axes[1].get_xlabel() == "hours together"
    assert figures_history.costs(replace(study, trials=unknown.assign(seconds=np.nan))) is None


def test_importances_are_sorted_and_those_that_cannot_be_told_are_a_dash(study: Study) -> None:
    figure = figures_settings.importances(study)
    assert figure is not None
    axes = figure.axes[0]
    shares = study.importances["val_loss_nonrepeat"]
    widths = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert widths == pytest.approx([*sorted(shares.values(), reverse=True), 0, 0])
    assert [label.get_text() for label in axes.get_yticklabels()][-2:] == ["rank", "dropout"]
    assert [text.get_text() for text in axes.texts] == ["–", "–"]
    assert figures_settings.importances(replace(study, importances={"val_loss_nonrepeat": {}})) is None


def test_slices_show_active_complete_trials(study: Study) -> None:
    figure = figures_settings.slices(study, 0)
    assert figure is not None
    for axes, setting in zip(figure.axes, study.settings, strict=False):
        first = axes.collections[0]
        assert isinstance(first, PathCollection)
        offsets = np.asarray(first.get_offsets())
        shown = np.isfinite(setting.places) & np.isfinite(study.values[:, 0])
        assert len(offsets) == shown.sum()
        # Spread sideways by less than half the way to the next category.
        assert np.abs(offsets[:, 0] - setting.places[shown]).max() < (1e-12 if setting.choices is None else 0.5)
    assert figure.axes[0].get_xscale() == "log"
    rank = figure.axes[[setting.name for setting in study.settings].index("rank")]
    assert "inactive in" in rank.get_xlabel()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (2, 16, [2, 5, 10]),
        (2, 128, [2, 10, 50]),
        (1e-4, 1e-3, [1e-4, 2e-4, 5e-4, 1e-3]),
        (3, 4, [3, 4]),
        (2, 3, [2, 3]),
    ],
)
def test_round_numbers_of_a_short_logarithmic_axis(low: float, high: float, expected: list[float]) -> None:
    assert figures_settings.round_numbers(low, high) == expected


def test_parallel_lines_pass_below_what_is_inactive(study: Study) -> None:
    figure = figures_parallel.parallel(study)
    assert figure is not None
    lines = next(artist for artist in figure.axes[0].collections if isinstance(artist, LineCollection))
    heights = np.array([segment[:, 1] for segment in lines.get_segments()])
    complete = study.in_state("complete")
    assert len(heights) == complete.sum()
    rank = [setting.name for setting in study.settings].index("rank")
    assert (heights[:, rank] < 0).sum() == np.isnan(study.settings[rank].places[complete]).sum()
    # The best is drawn last: on top.
    assert heights[-1, -1] == heights[:, -1].min()
    assert "inactive" in [text.get_text() for text in figure.axes[0].texts]


def test_the_pareto_front_is_whole_even_where_its_ends_are_far(make_study: Make) -> None:
    study = read_study(make_study(trials=12, objectives=2, states={}))
    values = np.column_stack([np.linspace(1, 2, 12), np.linspace(2, 1, 12)])
    values[-1] = [50, 0.5]
    figure = figures_values.pareto(replace(study, values=values))
    assert figure is not None
    np.testing.assert_allclose(np.sort(dots(figure, "Pareto front"), axis=0), np.sort(values, axis=0))
    assert figure.axes[0].get_xlim()[1] > 50


def test_three_objectives_are_shown_in_pairs(make_study: Make) -> None:
    figure = figures_values.pareto(read_study(make_study(trials=12, objectives=3)))
    assert figure is not None and len(figure.axes) == 3


def test_the_noise_of_the_best(study: Study) -> None:
    found = noise(study, 0, 0.95)
    figure = figures_values.seeds(study, [found])
    assert figure is not None and found is not None
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[:3] == ["default configuration", f"trial {study.best(0)} in the search", "trained again, each seed"]
    assert figures_values.seeds(study, [None]) is None


def test_nothing_is_drawn_where_no_trial_is_complete(make_study: Make) -> None:
    study = read_study(make_study(trials=5, objectives=2, states={"failed": 1.0}, repeats=0))
    assert figures_settings.slices(study, 0) is None
    assert figures_parallel.parallel(study) is None
    assert figures_values.pareto(study) is None
    figure = figures_history.history(study)
    assert len(dots(figure, "failed")) == 5
    assert not figure.axes[0].get_yticks().size


def test_a_dollar_sign_and_a_long_name_can_be_drawn(make_study: Make, tmp_path: Path) -> None:
    space = {f"train.{'very_long_' * 12}$x^{place}$": {"low": 0.0, "high": 1.0} for place in range(2)}
    space["train.kind"] = {"choices": ["$a$" * 9, "$b_{$" * 9]}  # type: ignore[dict-item]
    study = read_study(make_study(trials=9, space=space, name="$\\frac$"))
    with style.applied():
        for place, figure in enumerate(
            [figures_settings.slices(study, 0), figures_parallel.parallel(study), figures_settings.importances(study)]
        ):
            assert figure is not None
            style.save(figure, tmp_path / f"{place}.png")
