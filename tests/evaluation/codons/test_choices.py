from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq

from evaluation.codons.choices import ChoiceTally, CodonChoices, synonymous
from evaluation.per_base.classes import ClassTrack, codon_positions
from evaluation.per_base.decoding import blank, decode
from evaluation.per_base.genetic_code import CODONS, tree_distances
from evaluation.per_base.stream import Chunk, PerBase
from workflow.artifacts import InputError


def letters(text: str) -> np.ndarray:
    return np.array(["ACGT".index(letter) for letter in text], np.uint8)


def chunk_of(windows: list[str], said: dict[str, np.ndarray], classes: np.ndarray | None = None) -> Chunk:
    """Windows of coding sequence, with log-probabilities (n, 4) by model."""
    lengths = [len(window) for window in windows]
    codes = letters("".join(windows))
    scored = np.ones(len(codes), bool)
    classes = codon_positions(np.array(lengths)) if classes is None else classes
    models = {}
    for model, logprobs in said.items():
        found = decode(logprobs.astype(np.float32), codes, scored)[0]
        blank(found, scored)
        models[model] = PerBase(*found, logprobs.astype(np.float32))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    no = np.zeros(len(codes), bool)
    return Chunk(slice(0, len(windows)), starts, codes, scored, no, classes, models, {})


def choosing(text: str, sure: float = 0.97) -> np.ndarray:
    """(n, 4) log-probabilities of a model that would write this text."""
    probabilities = np.full((len(text), 4), (1 - sure) / 3)
    probabilities[np.arange(len(text)), letters(text)] = sure
    return np.log(probabilities)


def measured(windows: list[str], said: dict[str, np.ndarray], code: int = 1) -> CodonChoices:
    tally = ChoiceTally(tuple(said), code)
    tally.add(chunk_of(windows, said), np.arange(len(windows)))
    return tally.result(200, 0.95, 1)


def value(result: CodonChoices, model: str, measure: str) -> float:
    return result.interval(model, measure).estimate


def test_each_error_is_told_apart() -> None:
    # Right; third base wrong and synonymous; third base wrong and missense; first base wrong and synonymous (leucine).
    true, chosen = "ATG" + "GCT" + "AAA" + "CTA", "ATG" + "GCC" + "AAC" + "TTA"
    result = measured([true], {"base": choosing(chosen)})
    assert value(result, "base", "third_error") == pytest.approx(2 / 4)
    assert value(result, "base", "third_synonymous") == pytest.approx(1 / 2)
    # Of the three other third bases GCT has 3 synonymous ones and AAA has 1.
    assert value(result, "base", "third_by_chance") == pytest.approx((3 / 3 + 1 / 3) / 2)
    assert value(result, "base", "codon_error") == pytest.approx(3 / 4)
    assert value(result, "base", "codon_synonymous") == pytest.approx(2 / 3)
    # Alanine has 3 synonymous codons among the 63 others, lysine 1, leucine 5.
    assert value(result, "base", "codon_by_chance") == pytest.approx((3 + 1 + 5) / 63 / 3)
    assert value(result, "base", "error_severity") == pytest.approx((1 + 2 + 1) / 3)
    assert value(result, "base", "severity") == pytest.approx((1 + 2 + 1) / 4)
    distance = tree_distances(1)
    by_chance = np.mean([distance[CODONS.index(codon)].sum() / 63 for codon in ("GCT", "AAA", "CTA")])
    assert value(result, "base", "error_severity_by_chance") == pytest.approx(by_chance)


def test_probability_of_third_bases() -> None:
    probabilities = np.full((3, 4), 0.25)
    probabilities[2] = [0.02, 0.08, 0.1, 0.2]  # A, C, G, T: of 0.4 that are on bases
    result = measured(["CAT"], {"base": np.log(probabilities)})
    # CAC is histidine too, CAA and CAG are glutamine.
    assert value(result, "base", "mass_synonymous") == pytest.approx(0.08 / 0.4, rel=1e-5)
    assert value(result, "base", "mass_other") == pytest.approx(0.12 / 0.4, rel=1e-5)
    # The loss is of the probabilities as they are, over the bases of the codon.
    assert value(result, "base", "nll") == pytest.approx(-(2 * np.log(0.25) + np.log(0.2)) / 3, rel=1e-5)


def test_a_guess_that_knows_nothing_is_its_own_expectation() -> None:
    rng = np.random.default_rng(0)
    windows = ["".join(rng.choice(CODONS, 200)) for _ in range(12)]
    flat = np.full((sum(map(len, windows)), 4), np.log(0.25))
    result = measured(windows, {"markov": flat})
    uniform, markov = (result.table[result.table["model"] == name].iloc[0, 1:] for name in ("uniform", "markov"))
    np.testing.assert_allclose(uniform.to_numpy(float), markov.to_numpy(float), rtol=1e-6)
    assert value(result, "uniform", "nll") == pytest.approx(np.log(4))
    assert value(result, "uniform", "third_error") == pytest.approx(0.75)
    assert value(result, "uniform", "codon_error") == pytest.approx(63 / 64)
    for measure in ("third", "codon"):
        observed, expected = (value(result, "uniform", f"{measure}_{kind}") for kind in ("synonymous", "by_chance"))
        assert observed == pytest.approx(expected)
    assert value(result, "uniform", "error_severity") == pytest.approx(
        value(result, "uniform", "error_severity_by_chance")
    )


@pytest.mark.parametrize("code", [1, 3, 11])
def test_synonymous_codons_are_those_that_translate_alike(code: int) -> None:
    same = synonymous(code)
    amino = [str(Seq(codon).translate(table=code)) for codon in CODONS]
    for one in range(64):
        for other in range(64):
            assert same[one, other] == (one != other and amino[one] == amino[other])


def test_only_codons_that_are_read_along_are_counted() -> None:
    cds = 9
    forward, backward = [cds, cds + 1, cds + 2], [cds + 2, cds + 1, cds]
    # The last codon has lost its first base to the end of the window before it.
    classes = np.array(forward + backward + [cds + 1, cds + 2] + forward, np.uint8)
    text = "GCT" + "GCT" + "CA" + "AAA"
    tally = ChoiceTally(["base"], 1)
    tally.add(chunk_of([text[:6], text[6:8], text[8:]], {"base": choosing(text)}, classes), np.arange(3))
    result = tally.result(50, 0.95, 1)
    assert result.table["codons"].tolist() == [2, 2] and result.left_out == 1


def test_joined_windows_are_read_in_frame(tmp_path: Path) -> None:
    import pandas as pd

    (tmp_path / "genome.fa.fai").write_text("s\t40\t3\t40\t41\n")
    np.save(tmp_path / "classes.npy", np.zeros(40, np.uint8))
    columns = ["seqid", "start", "end", "strand", "length"]
    windows = pd.DataFrame([("s", 0, 20, "-", 7), ("s", 5, 9, "+", 4)], columns=columns)
    assert ClassTrack(tmp_path, in_frame=True).of(windows).tolist() == [9, 10, 11, 9, 10, 11, 9, 9, 10, 11, 9]
    assert ClassTrack(tmp_path).of(windows).tolist() == 7 * [13] + 4 * [0]


def test_models_are_compared_pairwise() -> None:
    windows = ["GCTAAACTA" for _ in range(10)]
    said = {
        "base": choosing("GCAAACCTA" * 10),
        "adapted": choosing("GCAAAACTA" * 10, 0.9),
        "markov": choosing("CCCCCCCCC" * 10),
    }
    result = measured(windows, said)
    table = result.differences.set_index(["model", "reference", "measure"])
    assert list(dict.fromkeys(zip(result.differences["model"], result.differences["reference"], strict=True))) == [
        ("adapted", "base"),
        ("adapted", "markov"),
        ("base", "markov"),
    ]
    row = table.loc[("adapted", "base", "severity")]
    # One missense error fewer a window of three codons, in every window: the interval is a point.
    assert row.to_numpy(float) == pytest.approx([-2 / 3, -2 / 3, -2 / 3])


def test_resampling_is_seeded_and_covers_the_estimate() -> None:
    rng = np.random.default_rng(3)
    windows = ["".join(rng.choice(CODONS, 30)) for _ in range(40)]
    text = "".join(
        "".join(rng.choice(CODONS) if rng.random() < 0.5 else w[i : i + 3] for i in range(0, 90, 3)) for w in windows
    )
    results = [measured(windows, {"base": choosing(text)}) for _ in range(2)]
    assert results[0].table.equals(results[1].table)
    found = results[0].interval("base", "codon_error")
    assert found.low < found.estimate < found.high and found.high - found.low < 0.2


def test_nothing_coding_is_no_result() -> None:
    tally = ChoiceTally(["base"], 1)
    tally.add(chunk_of(["ACGTAC"], {"base": choosing("ACGTAC")}, np.zeros(6, np.uint8)), np.zeros(1, int))
    result = tally.result(50, 0.95, 1)
    assert result.empty and np.isnan(value(result, "base", "severity"))


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(InputError, match="transl_table 7"):
        ChoiceTally(["base"], 7)
