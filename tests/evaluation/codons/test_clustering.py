from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from evaluation.codons.cluster_scores import SCORES, Points
from evaluation.codons.clustering import Clustering, cluster, read, scores, standardised
from evaluation.codons.clustering import Representation as Points64
from evaluation.per_base.genetic_code import CODONS, amino_acids
from workflow.artifacts import InputError, write_json

ACIDS = amino_acids(1)
SENSE = np.flatnonzero(ACIDS != "*")


def by_acid(noise: float, seed: int = 0, width: int = 16) -> np.ndarray:
    """(64, width) states: a place for each amino acid, and noise."""
    rng = np.random.default_rng(seed)
    places = {acid: rng.normal(size=width) for acid in sorted(set(ACIDS))}
    return np.array([places[acid] for acid in ACIDS]) + noise * rng.normal(size=(64, width))


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states, groups = rng.normal(size=(40, 5)), 6
    # Coinciding points, and a group of one.
    states[10:14] = states[3]
    labels = np.concatenate([np.arange(groups), rng.integers(1, groups, 34)])
    clusters = np.concatenate([np.arange(4), rng.integers(0, 4, 36)])
    expected = [
        metrics.silhouette_score(states, labels),
        metrics.davies_bouldin_score(states, labels),
        metrics.calinski_harabasz_score(states, labels),
        metrics.adjusted_rand_score(labels, clusters),
        metrics.normalized_mutual_info_score(labels, clusters),
    ]
    np.testing.assert_allclose(Points(states, clusters).scores(labels), expected, rtol=1e-9, atol=1e-12)
    assert Points(states, labels).scores(labels)[3:] == pytest.approx([1, 1])


def test_groups_that_are_points() -> None:
    labels = np.repeat(np.arange(3), 4)
    states = np.eye(3)[labels]
    found = Points(states, labels).scores(labels)
    with np.errstate(all="ignore"):
        expected = [metrics.silhouette_score(states, labels), metrics.davies_bouldin_score(states, labels)]
    assert found[:3].tolist() == [*expected, 1.0]


def test_groups_with_the_same_centre_do_not_count() -> None:
    # As in scikit-learn, where the centres are equal to the last bit; here rounding parts them.
    states = np.array([[0.1, 0.3], [0.5, 0.7], [0.2, 0.1], [0.4, 0.9], [5.0, 5.0], [6.0, 5.0]])
    labels = np.array([0, 0, 1, 1, 2, 2])
    found = Points(states, labels).scores(labels)[SCORES.index("davies_bouldin")]
    assert found < 1


def of(found: Clustering, name: str, kind: str = "mean") -> pd.DataFrame:
    table = found.table
    return table[(table["representation"] == name) & (table["kind"] == kind)].set_index("score")


def measured(states: np.ndarray) -> Clustering:
    counts = pd.DataFrame({"codon": CODONS, "n": 5})
    return cluster([Points64("adapted", "blocks.1", "mean", np.arange(64), states)], counts, 1, 0)


def test_amino_acids_are_found_where_they_are_and_not_in_noise() -> None:
    planted, noise = (of(measured(by_acid(spread)), "adapted") for spread in (0.05, 50.0))
    assert planted["points"].iloc[0] == 61 and planted["amino_acids"].iloc[0] == 20
    assert planted.loc["silhouette", "value"] > 0.7 > 0 > planted.loc["silhouette", "chance_high"]
    assert planted.loc["ari", "value"] > 0.9 and abs(planted.loc["ari", "chance"]) < 0.02
    assert planted.loc["davies_bouldin", "value"] < planted.loc["davies_bouldin", "chance_low"]
    assert (planted["p_value"] == 1 / 200).all()
    assert (noise["p_value"] > 0.01).all()
    inside = noise["value"].between(noise["chance_low"], noise["chance_high"])
    assert inside.sum() >= 4


def test_chance_deals_amino_acids_to_codons_and_not_to_occurrences() -> None:
    # Every codon is a place of its own: occurrences of one codon lie together whatever it codes for.
    rng = np.random.default_rng(1)
    codon = np.repeat(SENSE, 6)
    states = rng.normal(size=(64, 20))[codon] + 0.01 * rng.normal(size=(len(codon), 20))
    found = {row["score"]: row for row in scores(codon, standardised(states), ACIDS, 0)}
    assert found["silhouette"]["p_value"] > 0.05
    assert found["silhouette"]["chance"] > -0.2


def test_undefined_scores_are_no_numbers() -> None:
    # Stop codons are left out, and codons that do not occur; one amino acid is no grouping.
    states = np.full((64, 4), np.nan)
    states[[CODONS.index(codon) for codon in ("GCA", "GCC", "TAA")]] = 1.0, 2.0, 3.0, 4.0
    found = of(measured(states), "adapted")
    assert found["points"].iloc[0] == 2 and found["value"].isna().all() and list(found.index) == list(SCORES)
    # A layer that says the same of every codon has no dimension left.
    collapsed = of(measured(np.ones((64, 4))), "adapted")
    assert collapsed["points"].iloc[0] == 61 and collapsed[["value", "p_value"]].isna().all(axis=None)


def test_projection_keeps_distances_of_a_plane() -> None:
    rng = np.random.default_rng(2)
    plane = rng.normal(size=(64, 2))
    found = measured(plane @ np.array([[1.0, 0.0], [0.0, 1.0]])).points
    assert found["share1"].iloc[0] + found["share2"].iloc[0] == pytest.approx(1)
    states = standardised(plane[SENSE])
    between = np.linalg.norm(states[:, None] - states, axis=2)
    drawn = found[["pc1", "pc2"]].to_numpy()
    np.testing.assert_allclose(np.linalg.norm(drawn[:, None] - drawn, axis=2), between, atol=1e-9)
    assert found["codon"].tolist() == [CODONS[place] for place in SENSE]


def test_constant_dimensions_do_not_count() -> None:
    states = np.column_stack([np.arange(4.0), np.full(4, 1e9)])
    assert standardised(states).shape == (4, 1)
    assert standardised(states)[:, 0].std() == pytest.approx(1)


def write_codons(folder: Path, means: np.ndarray) -> None:
    folder.mkdir(parents=True)
    sampled = np.repeat(np.arange(64), 3)
    np.save(folder / "codons.npy", means[:, None].astype(np.float32))
    np.save(folder / "codon_sample.npy", means[sampled][:, None].astype(np.float32))
    pd.DataFrame({"codon": CODONS, "n": 7}).to_parquet(folder / "codons.parquet")
    pd.DataFrame({"codon": np.array(CODONS)[sampled]}).to_parquet(folder / "codon_sample.parquet")


def test_what_the_stage_wrote_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "embed"
    write_codons(folder, by_acid(0.3))
    write_codons(folder / "untrained", by_acid(9.0))
    write_json(folder / "embeddings.json", {"layers": [{"number": 2, "name": "blocks.2"}], "model": "base"})
    found = read(folder, 1, 0)
    assert found is not None
    assert found.table["representation"].unique().tolist() == ["base", "untrained", "letters"]
    assert of(found, "base").loc["silhouette", "value"] > of(found, "untrained").loc["silhouette", "value"]
    # The letters' own score, by scikit-learn.
    letters = np.array([np.eye(4)[["ACGT".index(base) for base in codon]].ravel() for codon in CODONS])[SENSE]
    expected = metrics.silhouette_score(standardised(letters), ACIDS[SENSE])
    assert of(found, "letters").loc["silhouette", "value"] == pytest.approx(expected)
    assert found.table.equals(read(folder, 1, 0).table)  # type: ignore[union-attr]
    (folder / "codon_sample.npy").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"codon_sample\.npy is damaged"):
        read(folder, 1, 0)
    (folder / "codon_sample.npy").unlink()
    with pytest.raises(InputError, match=r"codon_sample\.npy does not exist: run stage=embed"):
        read(folder, 1, 0)
    assert read(tmp_path, 1, 0) is None
