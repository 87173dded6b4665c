from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.elements.conftest import Surround
from workflow.annotation.classes import BaseClass
from workflow.elements.background import Surroundings, composition, match_background
from workflow.errors import InputError


def mixed(length: int, seed: int) -> str:
    """Bases whose GC and case change from stretch to stretch."""
    generator = np.random.default_rng(seed)
    text = []
    for _ in range(length // 200):
        strong = generator.uniform(0.2, 0.7)
        piece = "".join(
            generator.choice(list("ACGT"), 200, p=[(1 - strong) / 2, strong / 2, strong / 2, (1 - strong) / 2])
        )
        text.append(piece.lower() if generator.random() < 0.4 else piece)
    return "".join(text)


def table(rows: list[tuple[str, int, int, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seqid", "start", "end", "strand"])


def described(elements: pd.DataFrame, where: Surroundings) -> pd.DataFrame:
    shares = [composition(where.genome.fetch(row.seqid, row.start, row.end)) for row in elements.itertuples()]
    return elements.assign(gc=[gc for gc, _ in shares], soft_masked=[masked for _, masked in shares])


def test_composition_counts_bases_of_either_case() -> None:
    assert composition(np.frombuffer(b"ACgtNN", np.uint8)) == (0.5, pytest.approx(1 / 3))
    gc, masked = composition(np.frombuffer(b"NNnn", np.uint8))
    assert np.isnan(gc) and masked == 0.5


def test_fragments_match_and_keep_out_of_what_is_forbidden(surround: Surround) -> None:
    sequences = {"a": mixed(40_000, 1), "b": mixed(20_000, 2) + "N" * 500 + mixed(20_000, 3)}
    elements = table(
        [("a", 400 * row, 400 * row + 100, "+-"[row % 2]) for row in range(40)]
        + [("b", 500 * row, 500 * row + 150, "+") for row in range(20)]
    )
    regions = table([("a", 0, 30_000, "+"), ("b", 0, 40_500, "+")])
    classes = [
        ("a", 18_000, 22_000, BaseClass.CDS_1),
        ("b", 15_000, 17_000, BaseClass.PROMOTER),
        ("b", 12_000, 13_000, BaseClass.INTRON),
    ]
    where = surround(sequences, elements, regions, classes)
    wanted = described(elements, where)
    found = match_background(wanted, where, seed=1)
    assert found["pair"].tolist() == list(range(60))
    length = (elements["end"] - elements["start"]).to_numpy()
    assert (found["end"] - found["start"] == length).all() and (found["strand"] == elements["strand"]).all()
    got = described(found, where)
    assert np.abs(got["gc"] - wanted["gc"]).max() <= 0.08 + 1e-9
    assert np.abs(got["gc"] - wanted["gc"]).mean() < 0.01
    assert np.abs(got["soft_masked"] - wanted["soft_masked"]).mean() < 0.02
    assert not found["in_promoter"].any()
    taken = {name: np.zeros(len(bases), int) for name, bases in sequences.items()}
    for row in [*elements.itertuples(), *found.itertuples()]:
        taken[row.seqid][row.start : row.end] += 1
    for row in found.itertuples():
        assert taken[row.seqid][row.start : row.end].max() == 1
        assert b"N" not in where.genome.fetch(row.seqid, row.start, row.end).tobytes()
    assert not taken["a"][18_000:22_000].any() and not taken["a"][30_000:].any()
    assert not taken["b"][15_000:17_000].any()


def test_fragments_may_touch_but_not_enter_elements_and_forbidden_bases(surround: Surround) -> None:
    elements = table([("a", 50, 60, "+")])
    # One place is left: 10 bases between the element and the coding sequence.
    where = surround(
        {"a": "AC" * 50}, elements, classes=[("a", 70, 100, BaseClass.CDS_0), ("a", 0, 50, BaseClass.CDS_2)]
    )
    found = match_background(described(elements, where), where, seed=0)
    assert found[["start", "end"]].to_numpy().tolist() == [[60, 70]]


def test_promoters_are_allowed_where_nothing_else_is_left(surround: Surround) -> None:
    elements = table([("a", 0, 20, "-")])
    where = surround({"a": "ACGT" * 50}, elements, classes=[("a", 20, 200, BaseClass.PROMOTER)])
    found = match_background(described(elements, where), where, seed=0)
    assert found["in_promoter"].tolist() == [True] and found["start"][0] >= 20
    where = surround({"a": "ACGT" * 50}, elements, classes=[("a", 20, 190, BaseClass.PROMOTER)])
    (start,) = match_background(described(elements, where), where, seed=0)["start"]
    assert 20 <= start <= 180  # the ten bases beyond the promoter are too few


def test_fragments_do_not_reach_from_one_sequence_into_the_next(surround: Surround) -> None:
    elements = table([("c", 0, 60, "+")])
    sequences = {"a": "ACGT" * 12, "b": "ACGT" * 16, "c": "ACGT" * 15}
    where = surround(sequences, elements)
    for seed in range(5):
        found = match_background(described(elements, where), where, seed)
        assert found["seqid"].tolist() == ["b"] and found["end"][0] <= 64


def test_a_seed_gives_the_same_fragments_again(surround: Surround) -> None:
    elements = table([("a", 300 * row, 300 * row + 80, "+") for row in range(20)])
    where = surround({"a": mixed(20_000, 4)}, elements)
    wanted = described(elements, where)
    first, again, other = (match_background(wanted, where, seed)["start"].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_elements_that_nothing_is_like_are_left_out(surround: Surround) -> None:
    elements = table([("a", 0, 50, "+"), ("a", 50, 100, "+"), ("a", 100, 150, "+")])
    where = surround({"a": "G" * 50 + "AC" * 500}, elements)
    assert match_background(described(elements, where), where, seed=0)["pair"].tolist() == [1, 2]


def test_a_genome_without_anything_alike_is_refused(surround: Surround) -> None:
    elements = table([("a", 0, 50, "+")])
    where = surround({"a": "G" * 50 + "A" * 500}, elements)
    with pytest.raises(InputError, match=r"only 0 of 1 elements have a fragment like them.* set elements.split=any"):
        match_background(described(elements, where), where, seed=0)
