"""The genetic code as a tree: what the substitution of a base does, and how far it goes.

The tree is root → start, amino acids, stop; amino acids → each amino acid; and these → codons. The distance from one
codon to another is the number of levels up to their lowest common ancestor: 1 to a synonymous codon, 2 to another amino
acid or from stop to stop, 3 to or from stop and the start codon ATG. It is the tree that the mRNA language model HELM
trains with, where a codon's distance to itself is 0.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from Bio.Data import CodonTable

from workflow.artifacts import BASES, InputError

#: What a substitution does; stop to stop is synonymous.
EFFECTS = ("synonymous", "missense", "nonsense", "stop_loss")
#: Codons in the order of base-4 numbers, A C G T.
CODONS = tuple(a + b + c for a in BASES for b in BASES for c in BASES)
_START, _STOP = "ATG", "*"
_STANDARD = 1


def most_frequent_code(annotation: pd.DataFrame) -> int:
    """NCBI's number of the translation table of most coding parts; those that name none have 1, the standard code.

    NCBI's files name a table where it is another than the standard one: of a genome with its mitochondrion, only the
    few genes of that do.

    Parameters
    ----------
    annotation : DataFrame
        type, transl_table; `prepare/annotation.parquet`.
    """
    tables = annotation.loc[annotation["type"] == "CDS", "transl_table"].fillna(_STANDARD)
    return int(tables.mode().iloc[0]) if len(tables) else _STANDARD


def amino_acids(genetic_code: int) -> np.ndarray:
    """(64,) amino acid of each of `CODONS` as a letter, `*` for stop.

    Raises
    ------
    InputError
        NCBI has no such translation table.
    """
    table = CodonTable.unambiguous_dna_by_id.get(genetic_code)
    if table is None:
        raise InputError(
            f"the annotation names transl_table {genetic_code}, which is none of NCBI's: mend it in the genome's GFF3 "
            "or GenBank file and run stage=prepare again"
        )
    return np.array([_STOP if codon in table.stop_codons else table.forward_table[codon] for codon in CODONS])


def tree_distances(genetic_code: int) -> np.ndarray:
    """(64, 64) levels from a codon up to its lowest common ancestor with another, 0 to itself.

    ATG stands alone under `start`, whatever else the code makes of it; the other codons stand under their amino acid,
    or under `stop`.
    """
    amino = amino_acids(genetic_code)
    branch = np.where(amino == _STOP, "stop", "amino acids")
    branch[CODONS.index(_START)] = "start"
    is_same_branch = branch[:, None] == branch
    is_same_amino = is_same_branch & (amino[:, None] == amino) & (branch == "amino acids")
    distances: np.ndarray = 3 - is_same_branch.astype(np.int64) - is_same_amino
    np.fill_diagonal(distances, 0)
    return distances


def substitutions(genetic_code: int) -> tuple[np.ndarray, np.ndarray]:
    """What each base at each position of each codon would do.

    Returns
    -------
    effect : ndarray, (64, 3, 4) int64
        Place in `EFFECTS`; −1 for the codon's own base.
    distance : ndarray, (64, 3, 4) int64
        In the codon tree, from the codon to the one that results.
    """
    codon = np.arange(64)[:, None, None]
    place_value = np.array([16, 4, 1])[:, None]
    own = codon // place_value % 4
    result = codon + (np.arange(4) - own) * place_value
    amino = amino_acids(genetic_code)
    before, after = amino[codon], amino[result]
    effect = np.select(
        [result == codon, before == after, after == _STOP, before == _STOP],
        [-1, EFFECTS.index("synonymous"), EFFECTS.index("nonsense"), EFFECTS.index("stop_loss")],
        EFFECTS.index("missense"),
    )
    return effect, tree_distances(genetic_code)[codon, result]
