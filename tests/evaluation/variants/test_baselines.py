from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.statistics.ranking import auroc
from evaluation.variants import baselines
from evaluation.variants.baselines import kmer_scores, markov_deltas
from tests.evaluation.variants.conftest import MarkovOfOrderTwo


def whole_window_delta(markov: MarkovOfOrderTwo, window: str, at: int, ref: str, alt: str) -> float:
    """Δ of a window of any length, both strands, one base after the other."""

    def total(text: str) -> float:
        codes = ["ACGT".index(letter) for letter in text]
        steps = [markov.table[4 * codes[i - 2] + codes[i - 1], codes[i]] for i in range(2, len(codes))]
        return float(np.sum(steps, dtype=float)) + 2 * np.log(0.25)

    def both(text: str) -> float:
        turned = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
        return (total(text) + total(turned)) / 2

    assert window[at : at + len(ref)] == ref
    return both(window[:at] + alt + window[at + len(ref) :]) - both(window)


@pytest.mark.parametrize("chunk", [2, 1000])
def test_markov_delta_is_that_of_any_window(
    markov: MarkovOfOrderTwo, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(baselines, "_CHUNK_SEQUENCES", chunk)
    window = "".join(np.random.default_rng(2).choice(list("ACGT"), 300))
    changes = [(0, 1, "T"), (150, 1, "T"), (151, 4, "T"), (152, 1, "GATTACAGG"), (153, 2, "CA"), (299, 1, "A")]
    rows, expected = [], []
    for at, size, alt in changes:
        ref = window[at : at + size]
        rows.append((window[max(at - 15, 0) : at], ref, alt, window[at + size : at + size + 15]))
        expected.append(whole_window_delta(markov, window, at, ref, alt))
    table = pd.DataFrame(rows, columns=["left_flank", "ref", "alt", "right_flank"])
    np.testing.assert_allclose(markov_deltas(table, markov), expected, atol=1e-5)


def random_variants(rows: int) -> pd.DataFrame:
    generator = np.random.default_rng(4)
    ref = generator.choice(list("ACGT"), rows)
    alt = [generator.choice(list("ACGT".replace(base, ""))) for base in ref]
    flanks = ["".join(letters) for letters in generator.choice(list("ACGT"), (2 * rows, 15))]
    return pd.DataFrame(
        {
            "seqid": "s",
            "position": np.arange(rows) * 40,
            "left_flank": flanks[:rows],
            "ref": ref,
            "alt": alt,
            "right_flank": flanks[rows:],
        }
    )


def test_kmers_learn_the_direction_of_a_substitution() -> None:
    table = random_variants(600)
    positive = ((table["ref"] == "A") & (table["alt"] == "G")).to_numpy()
    table.loc[positive, ["ref", "alt"]] = ["A", "G"]
    found = kmer_scores(table, positive, "label", seed=0)
    assert auroc(found, positive) > 0.97


def test_kmers_learn_values_from_the_allele_and_its_neighbours() -> None:
    table = random_variants(600)
    value = (table["alt"] + table["right_flank"].str[0]).isin(["CG", "TG"]).to_numpy(float)
    found = kmer_scores(table, value, "value", seed=0)
    assert np.corrcoef(found, value)[0, 1] > 0.8
    blind = table["left_flank"].str[-(baselines.KMER_FLANK + 1)].eq("A").to_numpy(float)
    assert np.corrcoef(kmer_scores(table, blind, "value", seed=0), blind)[0, 1] < 0.2


def test_a_stretch_is_predicted_by_others_only() -> None:
    table = random_variants(300).assign(position=np.repeat(np.arange(5) * baselines.STRETCH, 60))
    # A k-mer that is positive in one stretch only cannot be learned from the others.
    marked = table["position"].to_numpy() == 200
    table.loc[marked, ["ref", "alt"]] = ["A", "C"]
    table.loc[~marked & (table["ref"] == "A").to_numpy() & (table["alt"] == "C").to_numpy(), "alt"] = "T"
    positive = marked | (np.arange(300) % 2 == 0)
    found = kmer_scores(table, positive, "label", seed=0)
    assert auroc(found, marked) < 0.8
    assert np.isnan(kmer_scores(table.assign(position=0), positive, "label", seed=0)).all()
