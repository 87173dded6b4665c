from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evaluation.generation.complexity import measure_complexity
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import Samples
from tests.evaluation.generation.conftest import random_dna

Measure = Callable[[str], dict[str, float]]


@pytest.fixture
def measure(make_samples: Callable[..., Samples], resampling: Resampling) -> Measure:
    def measured(sequence: str) -> dict[str, float]:
        found = measure_complexity(make_samples({"base": [[sequence]]}), resampling)
        return {name: interval.estimate for name, interval in found.means["base"].items()}

    return measured


def test_homopolymers(measure: Measure) -> None:
    found = measure("ACGT" * 10 + "A" * 8 + "CG" * 10 + "TTTTTTT" + "NNNNNNNNN")
    assert found["longest_run"] == 8
    assert found["in_runs"] == pytest.approx(8 / 75)
    # An A before the run is part of it; case does not matter; other letters end a run.
    assert measure("CAaaaN" + "A" * 5)["longest_run"] == 5
    assert np.isnan(measure("NNNN")["longest_run"])


def test_dust_closed_forms(measure: Measure) -> None:
    # All 62 triplets of a window are the same: 62 · 61 / 2 / 61.
    found = measure("A" * 200)
    assert found["dust"] == pytest.approx(31) and found["low_complexity"] == 1
    # Two triplets take turns, 31 times each: 2 · 31 · 30 / 2 / 61.
    assert measure("AC" * 100)["dust"] == pytest.approx(930 / 61)
    # No triplet twice.
    assert measure("AACCGGTTAG")["dust"] == 0
    # Random bases: 62 · 61 / 2 pairs, one of 64 alike, over 61.
    random = measure(random_dna(20_000, 3, (0.25,) * 4))
    assert random["dust"] == pytest.approx(62 / 128, rel=0.05) and random["low_complexity"] == 0


def test_windows_begin_at_every_half_and_leave_out_other_letters(measure: Measure) -> None:
    # Windows at 0, 32, 64: the first is simple, the second half so.
    simple = "A" * 64 + random_dna(64, 1, (0.25,) * 4)
    assert measure(simple)["low_complexity"] == pytest.approx(2 / 3)
    assert measure("N" + "A" * 128)["dust"] == pytest.approx(31)
    assert np.isnan(measure("N" * 100)["dust"]) and np.isnan(measure("ACGT")["dust"])
