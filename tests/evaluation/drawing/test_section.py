from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.drawing import style
from evaluation.drawing.section import ranking_section, window_section
from evaluation.page.layout import Section
from evaluation.per_base.scores import WindowScores
from workflow.artifacts import InputError, PerBaseScores, PerBaseWriter

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 3", "uniform": "uniform guess"}
LENGTH = 60
#: Start, strand; the third window does not follow the second.
WINDOWS = [(0, "+"), (60, "-"), (200, "+")]


class Uniform:
    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def write_model(folder: Path, seed: int, joined: int) -> PerBaseScores:
    """Random predictions; window 2 lacks `joined` bases of its span."""
    index = pd.DataFrame(WINDOWS, columns=["start", "strand"]).assign(seqid="s")
    index["end"] = index["start"] + LENGTH
    index["sequence_id"] = [f"w{row}" for row in range(3)]
    index["length"] = LENGTH
    index.loc[2, "length"] -= joined
    folder.mkdir()
    writer = PerBaseWriter(folder, index)
    generator = np.random.default_rng(seed)
    for row, length in enumerate(index["length"]):
        logprobs = np.log(generator.dirichlet(np.ones(4), length))
        writer.write(row, logprobs.astype(np.float16), np.full(length, ord("C"), np.uint8))
    writer.close()
    return PerBaseScores(folder)


def section(folder: Path, wanted: str | None = None, gains: tuple[float, ...] = (1, -9, 2), joined: int = 0) -> Section:
    predictions = {model: write_model(folder / model, seed, joined) for seed, model in enumerate(("base", "adapted"))}
    pd.DataFrame({"seqid": ["s"], "length": [300]}).to_parquet(folder / "sequences.parquet")
    columns = ["seqid", "type", "start", "end", "strand", "id", "parent", "name"]
    genes = pd.DataFrame([("s", "gene", 10, 100, "-", "g", None, "abc")], columns=columns)
    genes.to_parquet(folder / "annotation.parquet")
    table = pd.DataFrame({"sequence_id": ["w0", "w1", "w2"], "bases": 10, "nll_base": 20.0, "nll_markov": 20.0})
    scores = WindowScores(table.assign(nll_adapted=20 - np.array(gains)), ("base", "adapted", "markov"), 0, 0, 0)
    with style.applied():
        return window_section(folder, predictions, {"markov": Uniform()}, scores, LABELS, wanted, 20)


def test_the_window_with_the_largest_change_is_drawn(tmp_path: Path) -> None:
    found = section(tmp_path)
    assert [picture.name for picture in found.pictures] == ["heatmap", "predictive_logo", "entropy", "region"]
    assert "middle 20 bases of w1 (the window in which adapted and base differ most)" in found.pictures[0].title
    heatmap, logo, entropy, region = (picture.figure for picture in found.pictures)
    # Positions within the window: 20 of 60 bases, in its middle.
    assert heatmap.axes[0].images[0].get_extent()[:2] == [19.5, 39.5]
    assert len(logo.axes) == 4
    # The same bases on the genome, read from the other end.
    band = entropy.axes[0].patches[0].get_window_extent().transformed(entropy.axes[0].transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((79.5, 99.5))
    assert entropy.axes[1].get_xlim() == (59.5, 119.5)
    # Its neighbour belongs to the region, the window after the gap does not.
    assert region.axes[0].images[0].get_extent()[:2] == [-0.5, 119.5]
    assert "abc" in [text.get_text() for axes in region.axes for text in axes.texts]


def test_the_users_window_is_drawn(tmp_path: Path) -> None:
    found = section(tmp_path, wanted="w2")
    assert "of w2 (chosen by the user)" in found.pictures[0].title
    assert found.pictures[3].figure.axes[0].images[0].get_extent()[:2] == [199.5, 259.5]


def test_a_window_that_joins_exons_has_no_surroundings(tmp_path: Path) -> None:
    found = section(tmp_path, wanted="w2", joined=7)
    assert [picture.name for picture in found.pictures] == ["heatmap", "predictive_logo"]
    assert "w2 joins exons" in found.remarks[0]


def test_an_unknown_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"heatmap_window=w7 is no scored window; they are named like w0"):
        section(tmp_path, wanted="w7")


def test_ranking_takes_the_gc_of_the_windows_that_were_scored(tmp_path: Path) -> None:
    store = write_model(tmp_path / "base", 0, 0)
    table = pd.DataFrame({"sequence_id": ["w2", "w0"], "bases": 10, "nll_base": 20.0, "nll_markov": [21.0, 22.0]})
    with style.applied():
        found = ranking_section(store, WindowScores(table, ("base", "markov"), 0, 0, 0), LABELS)
    assert [picture.name for picture in found.pictures] == ["ranking", "composition"]
    # All bases are C.
    places = found.pictures[1].figure.axes[0].collections[0].get_offsets()[:, 0]
    assert places.tolist() == [1, 1]
