"""A probe finds what is there, and does not find what is not; k-mers are judged on the same folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from workflow.embeddings import probe as probing
from workflow.embeddings.probe import Target, advice, kmer_shares, probe, read_target
from workflow.errors import InputError

TABLE = Path("reads.csv")


def target_of(cells: list[str | None], **settings: int) -> Target:
    texts = [bases.tobytes().decode() for bases in random_sequences(len(cells))]
    table = pd.DataFrame({"label": cells, "dna": texts}, index=range(2, 2 + len(cells)), dtype=object)
    return read_target(table, "label", TABLE, settings.get("seed", 0), sequence_column="dna")


def bases(texts: list[str]) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), np.uint8) for text in texts]


def random_sequences(count: int, seed: int = 0) -> list[np.ndarray]:
    letters = np.frombuffer(b"ACGT", np.uint8)
    return list(letters[np.random.default_rng(seed).integers(4, size=(count, 40))])


def test_the_layer_that_knows_a_label_is_found() -> None:
    target = target_of(["a", "b"] * 60)
    random = np.random.default_rng(1)
    embeddings = random.normal(size=(120, 3, 4)).astype(np.float32)
    embeddings[:, 1, 2] += 3 * target.truth
    found = probe(target, embeddings, [0, 4, 6], random_sequences(120), seed=0).set_index("source")
    assert list(found.index) == ["k-mers 1-4", "majority", "layer 0", "layer 4", "layer 6"]
    assert found.at["majority", "mean"] == 0.5
    assert found.at["layer 4", "mean"] > 0.9
    assert found.loc[["k-mers 1-4", "layer 0", "layer 6"], "mean"].between(0.3, 0.7).all()
    # Counts of k-mers are below chance here, and what is below chance is no baseline.
    assert found.at["k-mers 1-4", "mean"] < 0.5
    assert found.at["layer 4", "gain_mean"] == pytest.approx(found.at["layer 4", "mean"] - 0.5)
    told = advice(found.reset_index())
    assert told.startswith("layer 4 of 0..6: balanced accuracy 0.9") and told.endswith(
        f"give {found['mean'].iloc[0]:.2f}"
    )
    again = probe(target, embeddings, [0, 4, 6], random_sequences(120), seed=0).set_index("source")
    pd.testing.assert_frame_equal(found, again)


def test_what_k_mers_know_better_is_told() -> None:
    texts = ["ACGTTTTTTTTT", "ACGGGGGGGGGG"] * 15
    target = target_of(["t", "g"] * 15)
    embeddings = np.random.default_rng(1).normal(size=(30, 1, 2))
    found = probe(target, embeddings, [3], bases(texts), seed=0)
    assert found["mean"][0] == 1.0
    assert advice(found).endswith("k-mer counts give 1.00; no layer is shown to be better than k-mer counts and chance")
    assert advice(found).startswith("layer 3: balanced accuracy 0.")


def test_numbers_are_ranked_by_ridge_regression() -> None:
    random = np.random.default_rng(2)
    features = random.normal(size=(100, 5))
    truth = features @ [3.0, 0, 0, 0, 1]
    target = target_of([f"{value:.6f}" for value in truth])
    assert target.classes == () and target.metric == "Spearman correlation"
    embeddings = np.stack([features, np.zeros((100, 5))], axis=1)
    found = probe(target, embeddings, [0, 1], random_sequences(100), seed=0).set_index("source")
    assert "majority" not in found.index
    assert found.at["layer 0", "mean"] > 0.99
    # A layer that says nothing has no correlation, and the other one is advised.
    assert np.isnan(found.at["layer 1", "mean"])
    assert advice(found.reset_index()).startswith("layer 0 of 0..1: Spearman correlation 1.00")
    assert spearmanr(truth, features[:, 0]).statistic < found.at["layer 0", "mean"]


def test_the_best_of_many_layers_of_noise_is_not_advised() -> None:
    """It is told to be better in 5 % of the cases, as the test says, or in fewer."""
    random = np.random.default_rng(4)
    names, flattered = [f"layer {layer}" for layer in range(30)], 0
    for _ in range(200):
        scores = 0.5 + 0.05 * random.normal(size=(31, 5))
        records = [
            {"source": name, "layer": layer, "metric": "balanced accuracy", "mean": row.mean(), "sd": row.std(ddof=1)}
            | {"gain_mean": (row - scores[0]).mean(), "gain_sd": (row - scores[0]).std(ddof=1)}
            | {"behind_mean": 0.0, "behind_sd": 0.1}
            for layer, (name, row) in enumerate(zip(["k-mers 1-4", *names], scores, strict=True), start=-1)
        ]
        flattered += "shown to be better" not in advice(pd.DataFrame(records))
    assert flattered <= 10


def test_layers_that_are_as_good_are_named() -> None:
    target = target_of(["a", "b"] * 60)
    embeddings = np.random.default_rng(1).normal(size=(120, 3, 4)).astype(np.float32)
    embeddings[:, :2, 2] += 20 * target.truth[:, None]
    found = probe(target, embeddings, [0, 1, 2], random_sequences(120), seed=0)
    assert advice(found).endswith("; not shown to be worse: 1")
    rows = found.set_index("source")
    behind = rows.at["layer 0", "mean"] - rows.at["layer 2", "mean"]
    assert rows.at["layer 2", "behind_mean"] == pytest.approx(behind) and behind > 0.3


def test_copies_are_asked_once(capsys: pytest.CaptureFixture[str]) -> None:
    """What is learned in one fold must not be asked in another."""
    texts = [bases.tobytes().decode() for bases in random_sequences(20)]
    turned = [text.translate(str.maketrans("ACGT", "TGCA"))[::-1].lower() for text in texts[:5]]
    table = pd.DataFrame({"dna": texts + turned + texts[:2], "label": ["a", "b"] * 13 + ["a"]}, dtype=object)
    assert read_target(table, "label", TABLE, 0, sequence_column="dna").rows.tolist() == list(range(20))
    assert "7 rows repeat a sequence, on either strand" in capsys.readouterr().out


def test_rows_that_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    target = target_of(["a"] * 6 + [None, "NA"] + ["rare"] * 4 + ["b"] * 5)
    assert target.classes == ("a", "b")
    assert target.rows.tolist() == [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16]
    assert target.truth.tolist() == [0] * 6 + [1] * 5
    told = capsys.readouterr().out
    assert "2 rows have no label" in told and "1 labels of fewer than 5 sequences" in told
    with pytest.raises(InputError, match=r"reads\.csv, column label: a probe needs two labels of 5 sequences each"):
        target_of(["a"] * 9 + ["b"] * 4)


def test_numbers_with_few_values_are_labels() -> None:
    assert target_of(["0", "1", "2.5"] * 5).classes == ("0", "1", "2.5")
    assert target_of([str(n) for n in range(21)]).truth.tolist() == list(range(21))
    with pytest.raises(InputError, match="two labels"):
        target_of([*map(str, range(21)), "high"])


def test_many_rows_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "MOST", 50)
    one, same, other = (target_of(["a", "b"] * 100, seed=seed) for seed in (0, 0, 1))
    assert len(one.rows) == 50 and (np.diff(one.rows) > 0).all()
    assert one.rows.tolist() == same.rows.tolist() != other.rows.tolist()
    assert one.truth.tolist() == (one.rows % 2).tolist()
    # Labels that the sample all but lost are none.
    assert target_of(["a", "b"] * 97 + ["rare"] * 6).classes == ("a", "b")


def test_k_mer_shares_in_closed_form() -> None:
    shares = kmer_shares(bases(["AACG", "ANAC", "NNNN"]), (1, 2))
    assert shares.shape == (3, 4 + 16)
    np.testing.assert_allclose(shares[0, :4], [0.5, 0.25, 0.25, 0])
    assert {int(column) for column in np.flatnonzero(shares[0, 4:])} == {0, 1, 6}  # AA, AC, CG
    # No k-mer spans an N: of ANAC only AC is left.
    assert np.flatnonzero(shares[1, 4:]).tolist() == [1] and shares[1, 5] == 1
    assert not shares[2].any()
