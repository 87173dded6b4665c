from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.drawing import style
from evaluation.forgetting.changes import analyse
from evaluation.forgetting.figures import changes_by_organism
from evaluation.forgetting.section import section
from workflow.artifacts import InputError, PerBaseWriter

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 0", "uniform": "uniform guess"}


class Uniform:
    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def write(folder: Path, probability: dict[str, float], seed: int = 0, records: int = 4) -> None:
    """Every observed base of an organism has the same probability."""
    index = pd.DataFrame(
        [
            (f"{name}|r:{start}-{start + 1024}(+)", f"{name}|r", start, start + 1024, "+", 1024)
            for name in probability
            for start in range(0, records * 1024, 1024)
        ],
        columns=["sequence_id", "seqid", "start", "end", "strand", "length"],
    )
    folder.mkdir(parents=True)
    writer = PerBaseWriter(folder, index)
    generator = np.random.default_rng(seed)
    for row, seqid in enumerate(index["seqid"]):
        p = probability[seqid.split("|")[0]]
        codes = generator.integers(0, 4, 1024)
        logprobs = np.full((1024, 4), np.log((1 - p) / 3))
        logprobs[np.arange(1024), codes] = np.log(p)
        logprobs[0] = np.nan
        bases = np.frombuffer(b"ACGT", np.uint8)[codes].copy()
        bases[5] = ord("N")
        writer.write(row, logprobs, bases)
    writer.close()


def settings(limit: float = 0.05) -> dict[str, float]:
    return {"samples": 200, "confidence": 0.95, "seed": 1, "limit": limit}


def test_known_changes(tmp_path: Path) -> None:
    write(tmp_path / "base", {"Homo_sapiens": 0.3, "Mus": 0.25})
    write(tmp_path / "adapted", {"Homo_sapiens": 0.27, "Mus": 0.26})
    found = analyse(tmp_path, Uniform(), "Zea mays", **settings())
    assert found is not None
    human, mouse = found.changes["Homo sapiens"], found.changes["Mus"]
    assert human.estimate == pytest.approx(np.log(0.3 / 0.27), abs=1e-3)
    assert human.low <= human.estimate <= human.high
    assert mouse.estimate == pytest.approx(-np.log(0.26 / 0.25), abs=1e-3)
    table = found.organisms.set_index("organism")
    assert table.loc["Homo sapiens", "bases"] == 4 * (1024 - 2)
    assert table["nll_markov"].to_numpy() == pytest.approx(np.log(4), abs=1e-6)
    (check,) = found.checks()
    assert check["name"] == "forgetting" and not check["passed"]
    assert str(check["saw"]).startswith("+0.105 [") and "on Homo sapiens" in str(check["saw"])
    assert found.sentences == ["forgetting on Homo sapiens +8.8 % [+8.8, +8.8]"]
    assert analyse(tmp_path, Uniform(), None, **settings(0.2)).checks()[0]["passed"]  # type: ignore[union-attr]


def test_the_own_organism_is_no_other_one(tmp_path: Path) -> None:
    write(tmp_path / "base", {"Homo_sapiens": 0.3, "Mus": 0.25})
    found = analyse(tmp_path, Uniform(), "homo sapiens, blood", **settings())
    assert found is not None and found.organisms["organism"].tolist() == ["Mus"]
    assert found.changes == {} and found.checks() == [] and found.sentences == []
    with style.applied():
        assert section(found, LABELS).tables[0].rows[0][-1] == "–"
    only = tmp_path / "only"
    write(only / "base", {"Mus": 0.3})
    with pytest.raises(InputError, match=r"all sequences are of Mus itself: give others with predict\.forgetting"):
        analyse(only, Uniform(), "Mus", **settings())


def test_nothing_scored_and_different_sequences(tmp_path: Path) -> None:
    assert analyse(tmp_path, Uniform(), None, **settings()) is None
    write(tmp_path / "base", {"Mus": 0.3})
    write(tmp_path / "adapted", {"Mus": 0.3}, seed=2)
    with pytest.raises(InputError, match="hold different windows"):
        analyse(tmp_path, Uniform(), None, **settings())


def test_the_figure_shows_the_numbers(tmp_path: Path) -> None:
    write(tmp_path / "base", {"Homo_sapiens": 0.3, "a_$_name": 0.25})
    write(tmp_path / "adapted", {"Homo_sapiens": 0.27, "a_$_name": 0.26})
    found = analyse(tmp_path, Uniform(), None, **settings())
    assert found is not None
    with style.applied():
        figure = changes_by_organism(found, LABELS)
        levels, changes = figure.axes
        base = np.asarray(levels.collections[0].get_offsets())[:, 0]
        assert base == pytest.approx(found.organisms["nll_base"].to_numpy())
        assert changes.collections[0].get_offsets()[0, 0] == pytest.approx(found.changes["Homo sapiens"].estimate)
        figure.savefig(tmp_path / "figure.png")


def test_no_forgetting_is_claimed_that_the_interval_does_not_support(tmp_path: Path) -> None:
    for name, probability in {"few": 0.27, "equal": 0.3}.items():
        folder = tmp_path / name
        write(folder / "base", {"Mus": 0.3}, records=1)
        write(folder / "adapted", {"Mus": probability}, records=1)
    few, equal = (analyse(tmp_path / name, Uniform(), None, **settings()) for name in ("few", "equal"))
    assert few is not None and equal is not None
    assert few.sentences == ["no forgetting could be shown on Mus (+8.8 % [no interval])"]
    assert equal.sentences == ["no forgetting could be shown on Mus (0.0 % [no interval])"]


def test_probability_0_is_told_and_not_left_out(tmp_path: Path) -> None:
    write(tmp_path / "base", {"Mus": 0.3})
    write(tmp_path / "adapted", {"Mus": 0.3})
    logprobs = np.load(tmp_path / "adapted" / "logprobs.npy", mmap_mode="r+")
    logprobs[7] = -np.inf
    logprobs.flush()
    with pytest.raises(InputError, match="has probability 0"):
        analyse(tmp_path, Uniform(), None, **settings())


def test_an_organism_without_a_scored_base_is_left_out(tmp_path: Path) -> None:
    for model in ("base", "adapted"):
        write(tmp_path / model, {"Mus": 0.3, "Zea": 0.3})
        bases = np.load(tmp_path / model / "bases.npy", mmap_mode="r+")
        bases[4 * 1024 :] = ord("N")
        bases.flush()
    found = analyse(tmp_path, Uniform(), None, **settings())
    assert found is not None and found.organisms["organism"].tolist() == ["Mus"] == list(found.changes)
    with pytest.raises(InputError, match="no base of another organism could be scored"):
        analyse(tmp_path, Uniform(), "Mus", **settings())
