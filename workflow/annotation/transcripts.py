"""Which transcript each exon and CDS belongs to, and which gene each transcript, with the missing ones derived.

A transcript or gene is known by its key: an identifier, or, for a row that has none, the number of
identifiers plus the row.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.annotation.features import Features, Kind
from workflow.errors import InputError

_PARTS = (Kind.EXON, Kind.CDS, Kind.UTR, Kind.STOP)
_DEEPEST = 32


def row_of(features: Features, keys: np.ndarray) -> np.ndarray:
    """First row of each key, -1 where no row carries it."""
    named = len(features.names)
    rows = keys.astype(np.int64) - named
    is_name = keys < named
    rows[is_name] = features.first_row[keys[is_name]]
    return rows


def kind_of_key(features: Features, keys: np.ndarray) -> np.ndarray:
    """Kind of what carries each key."""
    rows = row_of(features, keys)
    kinds = np.full(len(keys), Kind.MISSING, np.int8)
    kinds[rows >= 0] = features.kind[rows[rows >= 0]]
    return kinds


def own_keys(features: Features, rows: np.ndarray) -> np.ndarray:
    """Key of each of some rows."""
    identifier = features.identifier[rows]
    keys: np.ndarray = np.where(identifier >= 0, identifier, len(features.names) + rows)
    return keys


def assign_parts(features: Features) -> pd.DataFrame:
    """Parts of transcripts by the transcript's key.

    Returns
    -------
    DataFrame
        key, row, kind; in the order of the file. Kind is EXON, CDS, UTR or STOP, or TRANSCRIPT for the rows of
        the transcript itself.
    """
    kind_of_parent = kind_of_key(features, features.parent)
    is_used = np.isin(features.kind[features.child], _PARTS)
    is_used &= ~np.isin(kind_of_parent, (Kind.PROTEIN, *_PARTS))
    is_used &= (kind_of_parent != Kind.MISSING) | _is_only_parent(features.child, kind_of_parent, is_used)
    rows, keys = features.child[is_used].astype(np.int64), features.parent[is_used].astype(np.int64)
    under_gene = kind_of_parent[is_used] == Kind.GENE
    if under_gene.any():
        kept = _place_under_genes(features, rows, keys, under_gene)
        rows, keys = rows[kept], keys[kept]
    has_parent = np.zeros(len(features), bool)
    has_parent[rows] = True
    has_parent[features.child[is_used]] = True
    orphans = np.flatnonzero((features.kind == Kind.CDS) & ~has_parent)
    transcripts = _rows_of_transcripts(features, keys)
    parts = pd.DataFrame(
        {
            "key": np.concatenate([keys, own_keys(features, orphans), own_keys(features, transcripts)]),
            "row": np.concatenate([rows, orphans, transcripts]),
        }
    )
    parts = parts.astype("int32")
    parts["kind"] = features.kind[parts["row"].to_numpy()]
    parts.loc[len(rows) + len(orphans) :, "kind"] = Kind.TRANSCRIPT
    return parts.sort_values("row", kind="stable", ignore_index=True)


def _is_only_parent(child: np.ndarray, kind_of_parent: np.ndarray, is_used: np.ndarray) -> np.ndarray:
    """Whether a missing parent stands for a transcript: the first one of a part of which no parent is in the file."""
    found = child[is_used & (kind_of_parent != Kind.MISSING)]
    stands = is_used & (kind_of_parent == Kind.MISSING)
    stands[stands] = ~np.isin(child[stands], found)
    stands[stands] = np.diff(child[stands], prepend=-1) != 0
    only: np.ndarray = stands
    return only


def _rows_of_transcripts(features: Features, keys: np.ndarray) -> np.ndarray:
    """Rows of transcripts by type, and of whatever else holds exons or CDS."""
    holds_parts = np.zeros(len(features.names), bool)
    holds_parts[keys[keys < len(features.names)]] = True
    is_holder = (features.kind == Kind.OTHER) & (features.identifier >= 0)
    is_holder[is_holder] = holds_parts[features.identifier[is_holder]]
    return np.flatnonzero((features.kind == Kind.TRANSCRIPT) | is_holder)


def _place_under_genes(features: Features, rows: np.ndarray, keys: np.ndarray, under_gene: np.ndarray) -> np.ndarray:
    """Give parts that lie directly under a gene a transcript, in place; returns which parts are kept.

    A CDS gets the gene's mRNA that covers it, else a transcript with the CDS's id, else with the gene's.
    Exons go to the gene's only CDS, or where there is none make a transcript with the gene's id; beside proper
    transcripts, or several CDS, they are annotation of the gene and left out.
    """
    genes = keys.copy()
    is_cds = under_gene & (features.kind[rows] == Kind.CDS)
    named = is_cds & (features.identifier[rows] >= 0)
    keys[named] = features.identifier[rows[named]]
    target = np.arange(len(features.names), dtype=np.int64)
    derived = pd.DataFrame({"gene": genes[is_cds], "key": keys[is_cds]}).drop_duplicates()
    target[derived["gene"].to_numpy()] = derived["key"].to_numpy()
    target[derived.loc[derived["gene"].duplicated(), "gene"].to_numpy()] = -1
    siblings = _transcripts_of_genes(features)
    target[siblings["gene"].to_numpy()] = -1
    _give_to_siblings(features, rows, keys, genes, is_cds, siblings)
    loose = under_gene & ~is_cds
    keys[loose] = target[genes[loose]]
    kept: np.ndarray = keys >= 0
    return kept


def _transcripts_of_genes(features: Features) -> pd.DataFrame:
    """Pairs of a gene and a transcript right under it: gene, key, row."""
    is_pair = (features.kind[features.child] == Kind.TRANSCRIPT) & (kind_of_key(features, features.parent) == Kind.GENE)
    rows = features.child[is_pair].astype(np.int64)
    return pd.DataFrame({"gene": features.parent[is_pair], "key": own_keys(features, rows), "row": rows})


def _give_to_siblings(
    features: Features,
    rows: np.ndarray,
    keys: np.ndarray,
    genes: np.ndarray,
    is_cds: np.ndarray,
    siblings: pd.DataFrame,
) -> None:
    """Give each CDS under a gene to the first mRNA of the gene whose exons cover it, one CDS to an mRNA."""
    may_code = np.array([name.startswith("mRNA") or name == "transcript" for name in features.types], bool)
    taken = keys[(features.kind[rows] == Kind.CDS) & ~is_cds]
    free = siblings[may_code[features.type[siblings["row"].to_numpy()]] & ~siblings["key"].isin(taken)]
    is_wanted = is_cds & np.isin(genes, free["gene"].to_numpy())
    if not is_wanted.any():
        return
    cds = _located(features, rows[is_wanted]).assign(gene=genes[is_wanted], cds=keys[is_wanted])
    is_exon = (features.kind[rows] == Kind.EXON) & np.isin(keys, free["key"].to_numpy())
    exons = _located(features, rows[is_exon]).assign(key=keys[is_exon])
    whole = free[~free["key"].isin(exons["key"])]
    exons = pd.concat([exons, _located(features, whole["row"].to_numpy()).assign(key=whole["key"].to_numpy())])
    pairs = cds.merge(free[["gene", "key"]].drop_duplicates(), on="gene").merge(exons, on="key", suffixes=("", "_exon"))
    covered = pairs[(pairs["start_exon"] <= pairs["start"]) & (pairs["end"] <= pairs["end_exon"])]
    counts = covered.drop_duplicates(["row", "key"]).groupby(["cds", "key"], sort=False).size()
    parts = cds.groupby("cds").size()
    fits = counts[counts.to_numpy() == parts.reindex(counts.index.get_level_values("cds")).to_numpy()]
    chosen = fits.index.to_frame(index=False).drop_duplicates("cds").drop_duplicates("key")
    new_key = dict(zip(chosen["cds"].tolist(), chosen["key"].tolist(), strict=True))
    keys[is_wanted] = [new_key.get(key, key) for key in keys[is_wanted].tolist()]


def _located(features: Features, rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"row": rows, "start": features.start[rows], "end": features.end[rows]})


def climb_to_genes(features: Features, keys: np.ndarray) -> np.ndarray:
    """Key of the gene of each transcript: the first gene among its ancestors, else the topmost transcript.

    Raises
    ------
    InputError
        A feature is its own ancestor.
    """
    parent_of_row = np.full(len(features), -1, np.int64)
    is_step = np.isin(kind_of_key(features, features.parent), (Kind.GENE, Kind.TRANSCRIPT, Kind.MISSING))
    parent_of_row[features.child[is_step][::-1]] = features.parent[is_step][::-1]  # the first parent stays
    keys = keys.copy()
    climbing = np.arange(len(keys))
    for _ in range(_DEEPEST):
        rows = row_of(features, keys[climbing])
        goes_on = (rows >= 0) & (kind_of_key(features, keys[climbing]) != Kind.GENE)
        goes_on[goes_on] = parent_of_row[rows[goes_on]] >= 0
        climbing = climbing[goes_on]
        if not climbing.size:
            return keys
        keys[climbing] = parent_of_row[rows[goes_on]]
    name = features.names[int(keys[climbing[0]])].as_py()
    raise InputError(f"the annotation's feature {name} is its own ancestor; mend its Parent attribute")
