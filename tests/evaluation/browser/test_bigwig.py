from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from evaluation.browser import bigwig
from evaluation.browser.folder import BrowserFiles
from workflow.artifacts import InputError

Make = Callable[..., BrowserFiles]
Entries = list[tuple[int, int, float]]


def entries(path: Path, seqid: str) -> Entries:
    with pyBigWig.open(str(path)) as track:
        return list(track.intervals(seqid) or [])


def nll(seqid: str, positions: list[int] | range, model: str = "adapted") -> float:
    """As tests/evaluation/browser/conftest.py has it."""
    offset = 0.5 + (0.5 if model == "base" else 0) + (0.25 if seqid == "chr10" else 0)
    return float(np.mean([position % 64 / 32 for position in positions])) + offset


@pytest.mark.parametrize(("strand", "first", "unknown"), [("+", 13, 20), ("-", 34, 27)])
def test_single_bases_stand_where_they_were_predicted(
    make_browser: Make, strand: str, first: int, unknown: int
) -> None:
    files = make_browser([("chr2", 13, 35, strand)], bin_size=1)
    scored = [position for position in range(13, 35) if position not in (first, unknown)]
    assert entries(files.tracks["nll_adapted"], "chr2") == [(p, p + 1, nll("chr2", [p])) for p in scored]
    assert entries(files.tracks["gain"], "chr2") == [(p, p + 1, 0.5) for p in scored]


def test_bins_end_at_multiples_and_at_the_borders_of_windows(make_browser: Make) -> None:
    files = make_browser([("chr2", 13, 35, "+"), ("chr2", 35, 48, "+")])
    found = entries(files.tracks["nll_base"], "chr2")
    assert [entry[:2] for entry in found] == [(13, 20), (20, 30), (30, 35), (35, 40), (40, 48)]
    expected = [range(14, 20), range(21, 30), range(30, 35), range(36, 40), [40, 41, 43, 44, 45, 46, 47]]
    assert [entry[2] for entry in found] == pytest.approx([nll("chr2", part, "base") for part in expected])


def test_reverse_windows_have_the_same_bins(make_browser: Make) -> None:
    found = entries(make_browser([("chr2", 13, 35, "-")]).tracks["nll_base"], "chr2")
    assert [entry[:2] for entry in found] == [(13, 20), (20, 30), (30, 35)]
    expected = [range(13, 20), [p for p in range(20, 30) if p != 27], range(30, 34)]
    assert [entry[2] for entry in found] == pytest.approx([nll("chr2", part, "base") for part in expected])


def test_sequences_and_windows_need_no_order(make_browser: Make) -> None:
    windows = [("chr10", 500, 520, "+"), ("chr2", 100, 140, "-"), ("chr10", 0, 20, "+"), ("chr2", 0, 20, "+")]
    files = make_browser(windows)
    with pyBigWig.open(str(files.tracks["nll_markov"])) as track:
        assert list(track.chroms()) == ["chr2", "chr10", "empty"]
        assert track.chroms() == {"chr2": 300, "chr10": 900, "empty": 50}
    assert [e[:2] for e in entries(files.tracks["gain"], "chr2")] == [
        (0, 10), (10, 20), (100, 110), (110, 120), (120, 130), (130, 140),
    ]  # fmt: skip
    assert [e[:2] for e in entries(files.tracks["gain"], "chr10")] == [(0, 10), (10, 20), (500, 510), (510, 520)]
    assert entries(files.tracks["gain"], "empty") == []


def test_the_first_of_overlapping_windows_counts(make_browser: Make) -> None:
    files = make_browser([("chr2", 25, 60, "+"), ("chr2", 0, 35, "+"), ("chr2", 10, 20, "-")], bin_size=10)
    found = entries(files.tracks["nll_base"], "chr2")
    assert [entry[:2] for entry in found] == [(0, 10), (10, 20), (20, 30), (30, 35), (35, 40), (40, 50), (50, 60)]
    assert found[3][2] == pytest.approx(nll("chr2", range(30, 35), "base"))


def test_windows_that_join_exons_are_left_out(make_browser: Make) -> None:
    files = make_browser([("chr2", 0, 20, "+"), ("chr2", 40, 80, "+"), ("chr2", 100, 110, "+")], spliced=(1,))
    assert [e[:2] for e in entries(files.tracks["gain"], "chr2")] == [(0, 10), (10, 20), (100, 110)]


def test_nothing_but_joined_exons_makes_empty_tracks(make_browser: Make) -> None:
    files = make_browser([("chr2", 40, 80, "+")], spliced=(0,))
    assert entries(files.tracks["gain"], "chr2") == []


def test_a_bin_without_a_scored_base_has_no_entry(make_browser: Make) -> None:
    found = entries(make_browser([("chr2", 9, 20, "+")], bin_size=10).tracks["gain"], "chr2")
    assert [entry[:2] for entry in found] == [(10, 20)]


def test_tracks_of_each_kind(make_browser: Make) -> None:
    files = make_browser([("chr10", 880, 900, "+")])
    names = ["gain", "nll_base", "nll_adapted", "nll_markov", "entropy_base", "entropy_adapted"]
    assert list(files.tracks) == names
    assert entries(files.tracks["nll_markov"], "chr10")[0][2] == pytest.approx(np.log(4))
    assert 0 < entries(files.tracks["entropy_base"], "chr10")[0][2] < 2
    assert not list(files.folder.glob(".*"))


def test_a_run_of_one_model_has_no_gain(make_browser: Make) -> None:
    files = make_browser([("chr2", 0, 20, "+")], models=("adapted",))
    assert list(files.tracks) == ["nll_adapted", "nll_markov", "entropy_adapted"]


def test_many_pieces_make_the_same_file(make_browser: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigwig, "_PIECE_BINS", 3)
    files = make_browser([("chr2", start, start + 30, "+") for start in range(0, 300, 30)], bin_size=4)
    found = entries(files.tracks["nll_base"], "chr2")
    assert [entry[0] for entry in found] == sorted({*range(0, 300, 4), *range(0, 300, 30)})
    assert found[-1][:2] == (296, 300)


@pytest.mark.parametrize("window", [("chr3", 0, 10, "+"), ("chr2", 290, 301, "+")])
def test_windows_outside_of_the_genome_are_refused(make_browser: Make, window: tuple[str, int, int, str]) -> None:
    with pytest.raises(
        InputError, match=rf"window 0 of the predictions, {window[0]}:{window[1]}-{window[2]}, lies out"
    ):
        make_browser([window])


def test_a_large_genome_has_wider_bins(make_browser: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigwig, "_MOST_BINS", 6)
    files = make_browser([("chr2", 0, 300, "+")], bin_size=20)
    assert files.bin_size == 60
    assert [entry[:2] for entry in entries(files.tracks["gain"], "chr2")] == [(p, p + 60) for p in range(0, 300, 60)]
