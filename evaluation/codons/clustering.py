"""Do codons of the same amino acid lie together among a model's states?

The 64 codons are taken by their mean state, and a sample of them by the states of single occurrences. Amino acids as
the truth are scored as clusters by silhouette (Rousseeuw 1987), Davies–Bouldin (1979; less is better) and
Caliński–Harabasz (1974), and k-means with as many clusters as there are amino acids is compared with them by the
adjusted Rand index (Hubert & Arabie 1985) and the normalised mutual information. Stop codons are left out, and every
dimension has mean 0 and variance 1, so that no few large ones decide.

Two things stand beside each score. One is what the same states score when the amino acids are dealt anew to the codons,
with as many codons for each (`chance`). The other is what is had for nothing: synonymous codons mostly share their
first two letters, so that any code of the letters puts them together. `letters` is such a code, one of four for each of
the three bases; and a model with random weights, where the run has one, is `untrained`. A model has learnt synonymy as
far as it is above these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from evaluation.codons.cluster_scores import LESS_IS_BETTER, SCORES, Points
from evaluation.per_base.genetic_code import CODONS, amino_acids
from workflow.artifacts import InputError, read_json, read_table

#: Dealings of the amino acids to the codons that `chance` is the mean of.
PERMUTATIONS = 199
_STARTS = 10
# Below this share of the largest one a dimension is constant but for rounding.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Representation:
    """Codons as points.

    Attributes
    ----------
    name, layer : str
        `adapted`, `base`, `untrained` or `letters`; and the layer of a model, empty for letters.
    kind : str
        `mean` of all occurrences, or `occurrence`: single ones.
    codon : ndarray, (n,) int64
        Place of each point's codon in `CODONS`.
    states : ndarray, (n, dimensions) float32
    """

    name: str
    layer: str
    kind: str
    codon: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Clustering:
    """How well amino acids are told apart.

    Attributes
    ----------
    table : DataFrame
        One row a representation and score (of `SCORES`): representation, layer, kind, points, amino_acids, score,
        value, chance, chance_low and chance_high (median and central 95 % of the dealings), p_value (share of the
        dealings, the real one included, that are as good). NaN where there are fewer than two amino acids or no more
        points than these, or where all states are the same.
    points : DataFrame
        One row a representation of kind `mean` and codon: representation, layer, codon, amino_acid, pc1, pc2 (principal
        components), share1, share2 (of the variance).
    counts : DataFrame
        codon, n: occurrences that the means are of.
    genetic_code : int
    """

    table: pd.DataFrame
    points: pd.DataFrame
    counts: pd.DataFrame
    genetic_code: int


def read(folder: Path, genetic_code: int, seed: int) -> Clustering | None:
    """Score what the stage `embed` wrote of codons; None where it wrote of something else.

    Parameters
    ----------
    folder : Path
        Folder of the stage `embed`.
    genetic_code : int
        NCBI's number of the translation table.
    seed : int
        Of k-means and of the dealings.

    Raises
    ------
    InputError
        A file is missing or damaged, or there is no such translation table.
    """
    if not (folder / "codons.npy").exists():
        return None
    found = list(_representations(folder))
    counts = read_table(folder / "codons.parquet", ["codon", "n"])
    return cluster([*found, *_letters(found)], counts, genetic_code, seed)


def cluster(found: list[Representation], counts: pd.DataFrame, genetic_code: int, seed: int) -> Clustering:
    """Score representations; see `Clustering`."""
    amino = amino_acids(genetic_code)
    rows, points = [], []
    for one in found:
        sense = (amino[one.codon] != "*") & np.isfinite(one.states).all(axis=1)
        codon, states = one.codon[sense], standardised(one.states[sense])
        keys = {"representation": one.name, "layer": one.layer, "kind": one.kind, "points": len(codon)}
        keys["amino_acids"] = len(set(amino[codon]))
        rows += [keys | score for score in scores(codon, states, amino, seed)]
        if one.kind == "mean":
            points.append(_projected(one, codon, states, amino))
    return Clustering(pd.DataFrame(rows), pd.concat(points, ignore_index=True), counts, genetic_code)


def scores(
    codon: np.ndarray, states: np.ndarray, amino: np.ndarray, seed: int, permutations: int = PERMUTATIONS
) -> Iterator[dict[str, object]]:
    """Each score of amino acids as clusters, beside those of amino acids dealt anew to the codons.

    Parameters
    ----------
    codon : ndarray, (n,) int64
    states : ndarray, (n, dimensions)
    amino : ndarray, (64,) of str
        Amino acid of each codon.
    seed, permutations : int

    Yields
    ------
    dict
        score, value, chance, chance_low, chance_high, p_value.
    """
    generator = np.random.default_rng(seed)
    used = np.unique(codon)
    acid_of = pd.factorize(amino[used])[0]
    classes, place = int(acid_of.max(initial=-1)) + 1, np.searchsorted(used, codon)
    if not (2 <= classes < len(codon) and states.shape[1]):
        for score in SCORES:
            yield {"score": score} | dict.fromkeys(("value", "chance", "chance_low", "chance_high", "p_value"), np.nan)
        return
    clusters = KMeans(classes, n_init=_STARTS, random_state=seed).fit_predict(states)
    points = Points(states, clusters.astype(np.int64))
    real = points.scores(acid_of[place])
    dealt = np.array([points.scores(generator.permutation(acid_of)[place]) for _ in range(permutations)])
    low, high = np.quantile(dealt, [0.025, 0.975], axis=0)
    for row, score in enumerate(SCORES):
        better = dealt[:, row] <= real[row] if score in LESS_IS_BETTER else dealt[:, row] >= real[row]
        yield {
            "score": score,
            "value": real[row],
            "chance": float(np.median(dealt[:, row])),
            "chance_low": low[row],
            "chance_high": high[row],
            "p_value": (1 + np.count_nonzero(better)) / (1 + permutations),
        }


def standardised(states: np.ndarray) -> np.ndarray:
    """Dimensions (n, d) with mean 0 and variance 1; those that are constant are left out."""
    states = states.astype(np.float64)
    centred = states - states.mean(axis=0) if len(states) else states
    spread = centred.std(axis=0) if len(states) else np.zeros(states.shape[1])
    varied = spread > _LEAST_SPREAD * spread.max(initial=0)
    scaled: np.ndarray = centred[:, varied] / spread[varied]
    return scaled


def _projected(one: Representation, codon: np.ndarray, states: np.ndarray, amino: np.ndarray) -> pd.DataFrame:
    """Principal components; the longest loading of each points to the right, so that signs are fixed."""
    places, shares = np.zeros((len(codon), 2)), np.zeros(2)
    if min(states.shape) > 1:
        left, sizes, right = np.linalg.svd(states, full_matrices=False)
        signs = np.sign(right[np.arange(2), np.abs(right[:2]).argmax(axis=1)])
        places, shares = left[:, :2] * sizes[:2] * signs, sizes[:2] ** 2 / (sizes**2).sum()
    return pd.DataFrame(
        {
            "representation": one.name,
            "layer": one.layer,
            "codon": np.array(CODONS)[codon],
            "amino_acid": amino[codon],
            "pc1": places[:, 0],
            "pc2": places[:, 1],
            "share1": shares[0],
            "share2": shares[1],
        }
    )


def _representations(folder: Path) -> Iterator[Representation]:
    """The model's codons and, where there is one, those of the untrained model, by layer."""
    told = read_json(folder / "embeddings.json")
    for place, name in ((folder, str(told["model"])), (folder / "untrained", "untrained")):
        if not (place / "codons.npy").exists():
            continue
        means, sample = (_open(place / file) for file in ("codons.npy", "codon_sample.npy"))
        names = read_table(place / "codon_sample.parquet", ["codon"])["codon"]
        sampled = np.array([CODONS.index(codon) for codon in names], np.int64)
        for row, layer in enumerate(one["name"] for one in told["layers"]):
            yield Representation(name, layer, "mean", np.arange(len(CODONS)), means[:, row])
            yield Representation(name, layer, "occurrence", sampled, sample[:, row])


def _letters(found: list[Representation]) -> Iterator[Representation]:
    """The codons of the first means, and of the first occurrences, by their letters."""
    code = np.eye(4)[np.arange(len(CODONS))[:, None] // np.array([16, 4, 1]) % 4].reshape(len(CODONS), 12)
    for one in (next(one for one in found if one.kind == kind) for kind in ("mean", "occurrence")):
        known = np.isfinite(one.states).all(axis=1)
        yield Representation("letters", "", one.kind, one.codon[known], code[one.codon[known]])


def _open(path: Path) -> np.ndarray:
    if not path.exists():
        raise InputError(f"{path} does not exist: run stage=embed again with force=true")
    try:
        states: np.ndarray = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is damaged: {error}; run stage=embed again with force=true") from None
    return states
