from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.baselines import sketches
from evaluation.baselines.sketches import Stretch, TrainSketch
from tests.evaluation.baselines.conftest import Prepared, mutated, random_dna
from workflow.artifacts import InputError

COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")
TILE = 512


def ascii_of(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


@pytest.fixture
def genome() -> dict[str, str]:
    return {"one": random_dna(20_000, 1), "two": random_dna(5_000, 2)}


@pytest.fixture
def sketch(prepared: Prepared, genome: dict[str, str]) -> TrainSketch:
    regions = [("one", 1_000, 9_000, "train"), ("one", 9_000, 12_000, "val"), ("one", 12_000, 20_000, "train")]
    return TrainSketch.of_train(prepared(genome, [*regions, ("two", 0, 5_000, "train")]), TILE)


def reverse_complement(text: str) -> str:
    return text.translate(COMPLEMENT)[::-1]


@pytest.mark.parametrize("turn", [str, reverse_complement, str.lower])
@pytest.mark.parametrize(
    ("seqid", "start"), [("one", 1_000), ("one", 3_333), ("one", 8_488), ("one", 19_488), ("two", 0)]
)
def test_a_copy_of_train_is_found_on_either_strand(
    sketch: TrainSketch, genome: dict[str, str], seqid: str, start: int, turn: type[str]
) -> None:
    found = sketch.nearest(ascii_of(turn(genome[seqid][start : start + TILE])))
    assert found is not None and found.seqid == seqid
    assert found.start <= start and start + TILE <= found.end
    assert found.end - found.start <= 2 * TILE
    assert sketch.read(found).tobytes().decode() == genome[seqid][found.start : found.end]


def test_a_copy_with_differences_is_found(sketch: TrainSketch, genome: dict[str, str]) -> None:
    found = sketch.nearest(ascii_of(mutated(genome["two"][2_000:4_000], 0.05, seed=3)))
    assert found is not None and found.seqid == "two" and found.start <= 3_000 <= found.end


def test_of_two_places_the_one_that_shares_more_is_taken(sketch: TrainSketch, genome: dict[str, str]) -> None:
    mixed = genome["one"][15_000:15_150] + genome["two"][1_100:1_500]
    found = sketch.nearest(ascii_of(mixed))
    assert found == Stretch("two", 1_024, 2_048)


def test_what_train_does_not_hold_is_not_found(sketch: TrainSketch, genome: dict[str, str]) -> None:
    assert sketch.nearest(ascii_of(genome["one"][9_500:11_500])) is None
    assert sketch.nearest(ascii_of("N" * 1000)) is None
    assert sketch.nearest(ascii_of("")) is None


def test_regions_do_not_run_into_each_other(prepared: Prepared) -> None:
    text = random_dna(4 * TILE, 4)
    regions = [("c", 0, TILE, "train"), ("c", TILE, 2 * TILE, "val"), ("c", 2 * TILE, 4 * TILE - 7, "train")]
    sketch = TrainSketch.of_train(prepared({"c": text}, regions), TILE)
    assert sketch.stretches == 3
    assert sketch.nearest(ascii_of(text[:TILE])) == Stretch("c", 0, TILE)
    assert sketch.nearest(ascii_of(text[2 * TILE : 3 * TILE])) == Stretch("c", 2 * TILE, 4 * TILE - 7)


def test_samples_are_one_in_so_many_and_the_same_on_both_strands() -> None:
    text = random_dna(200_000, 5)
    hashes, places = sketches._sample(ascii_of(text), 16)
    assert len(hashes) == pytest.approx(200_000 / 16, rel=0.05)
    turned, turned_places = sketches._sample(ascii_of(reverse_complement(text)), 16)
    np.testing.assert_array_equal(hashes, turned[::-1])
    np.testing.assert_array_equal(places, len(text) - 21 - turned_places[::-1])
    every, at = sketches._sample(ascii_of(text[:50] + "N" + text[51:100]), 1)
    assert at.tolist() == [*range(30), *range(51, 80)] and len(set(every.tolist())) == 59


def test_a_repeat_that_is_sampled_too_often_fits(prepared: Prepared) -> None:
    unit = next(
        unit
        for unit in (random_dna(30, seed) for seed in range(5000))
        if len(set(sketches._sample(ascii_of(unit * 2), 16)[0].tolist())) > 4
    )
    hashes, _ = sketches._sample(ascii_of(unit * 1000), 16)
    assert len(hashes) > 2 * 30_000 // 16 + 1000
    sketch = TrainSketch.of_train(prepared({"c": unit * 1000}, [("c", 0, 30_000, "train")]), TILE)
    assert sketch.nearest(ascii_of(unit * 10)) == Stretch("c", 0, 2 * TILE)


def test_missing_regions_and_files(prepared: Prepared, tmp_path: Path) -> None:
    folder = prepared({"c": "ACGT" * 100}, [("c", 0, 400, "val")])
    with pytest.raises(InputError, match=r"split\.parquet has no train region to copy from"):
        TrainSketch.of_train(folder, TILE)
    (folder / "split.parquet").unlink()
    with pytest.raises(InputError, match=r"split\.parquet does not exist"):
        TrainSketch.of_train(folder, TILE)
