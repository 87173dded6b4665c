from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from Bio.Data import CodonTable
from Bio.Seq import Seq

from evaluation.per_base.codons import CodonErrors, CodonTally, find_codons
from evaluation.per_base.genetic_code import (
    CODONS,
    EFFECTS,
    amino_acids,
    most_frequent_code,
    substitutions,
    tree_distances,
)
from evaluation.per_base.stream import Chunk
from workflow.artifacts import InputError

Maker = Callable[..., Chunk]
FORWARD, BACKWARD = [9, 10, 11], [11, 10, 9]


def letters(text: str) -> np.ndarray:
    return np.array(["ACGT".index(letter) for letter in text], np.uint8)


def certain_but(codes: np.ndarray, row: int, given: dict[str, float]) -> np.ndarray:
    """Certain of every base but one."""
    with np.errstate(divide="ignore"):
        logprobs = np.log(np.eye(4))[codes]
        logprobs[row] = np.log([given.get(base, 0.0) for base in "ACGT"])
    return logprobs.astype(np.float32)


def rows(result: CodonErrors, reading: str, model: str) -> pd.DataFrame:
    table = result.table
    return table[(table["reading"] == reading) & (table["model"] == model)].set_index("position")


# ---------------------------------------------------------------- the genetic code


def test_distances_of_the_original() -> None:
    # Computed by the code of HELM, where the original does not set a codon's distance to itself to the largest.
    distance = tree_distances(1)
    expected = {"GTT": 0, "GTC": 1, "GCT": 2, "ATG": 3, "TAA": 3}
    assert {codon: distance[CODONS.index("GTT"), CODONS.index(codon)] for codon in expected} == expected
    assert distance[CODONS.index("TAA"), CODONS.index("TAG")] == 2
    assert distance[CODONS.index("ATG"), CODONS.index("TAA")] == 3
    assert np.bincount(distance.ravel()).tolist() == [64, 174, 3372, 486]


@pytest.mark.parametrize("code", [1, 2, 11])
def test_distances_are_levels_to_the_common_ancestor(code: int) -> None:
    table = CodonTable.unambiguous_dna_by_id[code]

    def path(codon: str) -> list[str]:
        if codon == "ATG":
            return ["root", "start", codon, codon, codon]
        if codon in table.stop_codons:
            return ["root", "stop", "stop", codon, codon]
        return ["root", "amino acids", table.forward_table[codon], codon, codon]

    distance = tree_distances(code)
    for one, first in enumerate(CODONS):
        for other, second in enumerate(CODONS):
            common = sum(a == b for a, b in zip(path(first), path(second), strict=True))
            # Depth of the deepest leaf's parent, so that two codons of an amino acid are 1 apart.
            levels = 0 if first == second else 4 - common
            if {path(first)[1], path(second)[1]} == {"stop"} and first != second:
                levels = 2
            assert distance[one, other] == levels


@pytest.mark.parametrize("code", [1, 2, 11])
def test_effects_agree_with_translation(code: int) -> None:
    effect, distance = substitutions(code)
    for number, codon in enumerate(CODONS):
        for place in range(3):
            for base in range(4):
                changed = codon[:place] + "ACGT"[base] + codon[place + 1 :]
                before, after = (str(Seq(word).translate(table=code)) for word in (codon, changed))
                found = effect[number, place, base]
                if changed == codon:
                    assert (found, distance[number, place, base]) == (-1, 0)
                    continue
                name = "synonymous" if before == after else "missense"
                name = "nonsense" if after == "*" != before else "stop_loss" if before == "*" != after else name
                assert EFFECTS[found] == name


def test_numbers_of_substitutions_in_the_standard_code() -> None:
    # Of the 549 substitutions of the 61 codons that code, 134 are synonymous, 392 missense and 23 nonsense
    # (Graur & Li 2000, Fundamentals of Molecular Evolution, ch. 1).
    effect, _ = substitutions(1)
    sense = effect[amino_acids(1) != "*"]
    assert [int((sense == place).sum()) for place in range(3)] == [134, 392, 23]


def test_genetic_code_of_an_annotation() -> None:
    table = pd.DataFrame({"type": ["CDS"] * 3 + ["gene"] * 4, "transl_table": [11, 11, 1, 2, 2, 2, 2]}, dtype=object)
    table["transl_table"] = table["transl_table"].astype("Int8")
    assert most_frequent_code(table) == 11
    unnamed = pd.DataFrame({"type": "CDS", "transl_table": [None] * 3}).astype({"transl_table": "Int8"})
    assert most_frequent_code(pd.concat([table, unnamed])) == 1
    assert most_frequent_code(table[table["type"] == "gene"]) == 1
    assert amino_acids(2)[CODONS.index("TGA")] == "W"
    with pytest.raises(InputError, match="transl_table 99, which is none of NCBI's"):
        CodonTally(("base",), 99)


# ---------------------------------------------------------------- finding codons


def found(classes: list[int], text: str, lengths: list[int] | None = None, unscored: int | None = None) -> list[str]:
    scored = np.ones(len(text), bool)
    if unscored is not None:
        scored[unscored] = False
    starts = np.concatenate([[0], np.cumsum(lengths or [len(text)])])
    parts = find_codons(np.array(classes, np.uint8), letters(text), scored, starts)
    return [
        f"{first}{'+-'[against]}{CODONS[codon]}/{window}" for first, codon, against, window in zip(*parts, strict=True)
    ]


def test_codons_on_both_strands() -> None:
    assert found([*FORWARD, 3, *BACKWARD], "GCTAAGC") == ["0+GCT/0", "4-GCT/0"]
    assert found([*FORWARD, *FORWARD], "ATGTAA") == ["0+ATG/0", "3+TAA/0"]
    assert found([*BACKWARD, *BACKWARD], "TTACAT") == ["0-TAA/0", "3-ATG/0"]


@pytest.mark.parametrize("classes", [FORWARD, BACKWARD])
def test_codons_at_borders(classes: list[int]) -> None:
    assert len(found(classes * 2, "ACGTAC")) == 2
    assert len(found(classes * 2, "ACGTAC", lengths=[3, 3])) == 2
    assert len(found(classes * 2, "ACGTAC", lengths=[2, 4])) == 1
    assert len(found(classes * 2, "ACGTAC", lengths=[4, 2])) == 1
    assert len(found(classes * 2, "ACGTAC", unscored=0)) == 1
    assert len(found(classes * 2, "ACGTAC", unscored=5)) == 1
    assert found(classes[:2], "AC") == []
    assert found([*classes[1:], 3, classes[0]], "ACGT") == []  # interrupted by an intron


# ---------------------------------------------------------------- the tally


def measured(make_chunk: Maker, text: str, classes: list[int], logprobs: dict[str, np.ndarray]) -> CodonErrors:
    tally = CodonTally(tuple(logprobs), 1)
    tally.add(make_chunk(letters(text), [len(text)], logprobs, np.array(classes, np.uint8)), np.zeros(1, np.int64))
    return tally.result(20, 0.95, 0)


def test_a_uniform_guess_is_what_is_expected(make_chunk: Maker) -> None:
    text = "ATGGCTAGATAA"
    uniform = {"base": np.full((12, 4), np.log(0.25), np.float32)}
    result = measured(make_chunk, text, FORWARD * 4, uniform)
    found, expected = rows(result, "along", "base"), rows(result, "along", "uniform")
    pd.testing.assert_frame_equal(found.drop(columns="model"), expected.drop(columns="model"), atol=1e-6)
    assert found["error_mass"].tolist() == pytest.approx([2.25, 0.75, 0.75, 0.75])
    # Of 36 substitutions: none of ATG; the 3 of the third base of GCT; CGA and AGG of AGA; TAG and TGA of TAA.
    assert found["synonymous"][0] == pytest.approx(7 / 36)
    assert found["synonymous"][[1, 2, 3]].tolist() == pytest.approx([1 / 12, 1 / 12, 5 / 12])
    assert found["synonymous_ratio"].tolist() == pytest.approx([1] * 4)
    assert found["codons"].tolist() == [4] * 4
    assert rows(result, "against", "base")["codons"].tolist() == [0] * 4


def test_a_certain_model_makes_no_error(make_chunk: Maker) -> None:
    codes = letters("GCTGCT")
    result = measured(make_chunk, "GCTGCT", FORWARD * 2, {"base": certain_but(codes, 0, {"G": 1.0})})
    of_base = rows(result, "along", "base")
    assert of_base["error_mass"].tolist() == [0] * 4
    assert of_base[["synonymous", "severity", "synonymous_ratio"]].isna().all(axis=None)


@pytest.mark.parametrize("given", [{"T": 0.4, "A": 0.6}, {"T": 0.4, "C": 0.1, "G": 0.5}])
def test_error_on_a_fourfold_site(make_chunk: Maker, given: dict[str, float]) -> None:
    of_base = rows(
        measured(make_chunk, "GCT", FORWARD, {"base": certain_but(letters("GCT"), 2, given)}), "along", "base"
    )
    assert of_base["error_mass"].tolist() == pytest.approx([0.6, 0, 0, 0.6])
    assert of_base["synonymous"][3] == pytest.approx(1)
    assert of_base["severity"][0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "row", "given", "position", "effect", "severity"),
    [
        ("TGG", 2, {"A": 1.0}, 3, "nonsense", 3),  # Trp to stop
        ("TAA", 0, {"C": 1.0}, 1, "stop_loss", 3),  # stop to Gln
        ("TAA", 1, {"G": 1.0}, 2, "synonymous", 2),  # stop to stop
        ("GTT", 1, {"C": 1.0}, 2, "missense", 2),  # Val to Ala
        ("ATG", 0, {"C": 1.0}, 1, "missense", 3),  # start to Leu
        ("CTG", 0, {"A": 0.5, "T": 0.5}, 1, "missense", 2),  # Leu to start, or to Leu
    ],
)
def test_every_effect_on_both_strands(
    make_chunk: Maker, text: str, row: int, given: dict[str, float], position: int, effect: str, severity: float
) -> None:
    share = 0.5 if len(given) > 1 else 1
    along = measured(make_chunk, text, FORWARD, {"base": certain_but(letters(text), row, given)})
    complement = str(Seq(text).reverse_complement())
    turned = {str(Seq(base).complement()): value for base, value in given.items()}
    backwards = certain_but(letters(complement), 2 - row, turned)
    against = measured(make_chunk, complement, BACKWARD, {"base": backwards})
    for result, reading in ((along, "along"), (against, "against")):
        of_base = rows(result, reading, "base")
        assert of_base[effect][position] == pytest.approx(share)
        assert of_base["error_mass"].to_numpy()[[0, position]] == pytest.approx([1, 1])
        assert of_base["severity"][0] == pytest.approx(severity)


def test_probabilities_are_renormalised(make_chunk: Maker) -> None:
    codes = letters("GCT")
    half = certain_but(codes, 2, {"T": 0.25, "A": 0.25})
    of_base = rows(measured(make_chunk, "GCT", FORWARD, {"base": half}), "along", "base")
    assert of_base["error_mass"][0] == pytest.approx(0.5)


def test_agrees_with_counting_one_by_one(make_chunk: Maker) -> None:
    generator = np.random.default_rng(0)
    size = 900
    codes = generator.integers(0, 4, size).astype(np.uint8)
    strand = np.repeat(generator.integers(0, 2, size // 3), 3)
    classes = np.where(strand, np.tile(BACKWARD, size // 3), np.tile(FORWARD, size // 3)).astype(np.uint8)
    probabilities = generator.dirichlet(np.ones(4), size)
    half = np.log(probabilities).astype(np.float16)
    logprobs = {"base": half, "markov": half.astype(np.float32)}
    lengths = [300, 300, 300]
    tally = CodonTally(("base", "markov"), 11)
    tally.add(make_chunk(codes, lengths, logprobs, classes), np.arange(3))
    result = tally.result(100, 0.95, 0)
    share = np.exp(half.astype(float))
    share /= share.sum(axis=1, keepdims=True)
    distance = tree_distances(11)
    for against, reading in enumerate(("along", "against")):
        total, synonymous, severity = np.zeros(3), np.zeros(3), np.zeros(3)
        for first in np.flatnonzero(strand == against)[::3]:
            word = "".join("ACGT"[code] for code in codes[first : first + 3])
            codon = str(Seq(word).reverse_complement()) if against else word
            for row in range(3):
                for base in set(range(4)) - {int(codes[first + row])}:
                    changed = word[:row] + "ACGT"[base] + word[row + 1 :]
                    changed = str(Seq(changed).reverse_complement()) if against else changed
                    position = 2 - row if against else row
                    mass = share[first + row, base]
                    total[position] += mass
                    same = Seq(changed).translate(table=11) == Seq(codon).translate(table=11)
                    synonymous[position] += mass * same
                    severity[position] += mass * distance[CODONS.index(codon), CODONS.index(changed)]
        for model in ("base", "markov"):
            of_model = rows(result, reading, model)
            assert of_model["error_mass"][[1, 2, 3]].to_numpy() * of_model["codons"][0] == pytest.approx(
                total, rel=1e-5
            )
            assert of_model["synonymous"][[1, 2, 3]].to_numpy() == pytest.approx(synonymous / total, rel=1e-5)
            assert of_model["synonymous"][0] == pytest.approx(synonymous.sum() / total.sum(), rel=1e-5)
            assert of_model["severity"][[1, 2, 3]].to_numpy() == pytest.approx(severity / total, rel=1e-5)
            assert (of_model["severity_low"] <= of_model["severity"]).all()


def test_a_model_that_spares_the_protein_is_told_from_one_that_does_not(make_chunk: Maker) -> None:
    generator = np.random.default_rng(1)
    size, windows = 3000, 20
    codes = generator.integers(0, 4, size).astype(np.uint8)
    classes = np.tile(FORWARD, size // 3).astype(np.uint8)
    blind = np.log(generator.dirichlet(np.ones(4), size)).astype(np.float32)
    effect, _ = substitutions(1)
    codons = codes.reshape(-1, 3) @ np.array([16, 4, 1])
    knowing = blind + 0.3 * (effect[codons].reshape(-1, 4) <= 0)
    knowing -= np.log(np.exp(knowing).sum(axis=1, keepdims=True))
    tally = CodonTally(("base", "adapted"), 1)
    piece = make_chunk(codes, [size // windows] * windows, {"base": blind, "adapted": knowing}, classes)
    tally.add(piece, np.arange(windows))
    result = tally.result(300, 0.95, 0)
    base, adapted = rows(result, "along", "base"), rows(result, "along", "adapted")
    assert base["synonymous_ratio_low"][0] < 1 < base["synonymous_ratio_high"][0]
    assert adapted["synonymous_ratio_low"][0] > 1
    assert adapted["severity_ratio_high"][0] < 1


def test_nothing_without_a_class_track(make_chunk: Maker) -> None:
    tally = CodonTally(("base",), 1)
    piece = make_chunk(letters("ATG"), [3], {"base": np.full((3, 4), np.log(0.25), np.float32)})
    tally.add(piece, np.zeros(1, np.int64))
    result = tally.result(20, 0.95, 0)
    assert result.empty
    assert result.table["synonymous"].isna().all()
