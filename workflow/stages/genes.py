"""Genes whose beginning is a prompt: the table that `infer.genes` names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workflow.errors import InputError

_NEEDED = ("gene", "reference_protein", "genomic_sequence")
_WITHOUT_INTRONS = {"prokaryota", "bacteria", "archaea"}


def read_genes(path: Path, share: float) -> pd.DataFrame:
    """Read genes for completion, in the form of the Evo 2 authors' tables.

    A CSV with the columns gene, reference_protein and genomic_sequence, in the direction of transcription; organism,
    domain and cds_start are optional. Where `cds_start` says at which base (0-based) the first codon begins, the
    sequence holds the whole gene, and its prompt is what comes before, and `share` of what follows. Without it the
    whole sequence is the prompt, and nothing is known of what follows but the protein. Introns are looked for unless
    `domain` is Prokaryota, Bacteria or Archaea.

    Parameters
    ----------
    path : Path
    share : float
        Share of a gene, from its first codon on, that is given.

    Returns
    -------
    DataFrame
        gene, organism ("" where unknown), reference_protein (without stop), genomic_sequence (upper case),
        prompt_length (bases), spliced.

    Raises
    ------
    InputError
        The file is no CSV, or lacks a column; a row has no name or one that is taken, its DNA or its protein holds
        other letters, or its `cds_start` lies outside of the sequence.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = "is empty" if isinstance(error, pd.errors.EmptyDataError) else f"is no CSV: {error}"
        raise InputError(f"{path} {reason}") from None
    missing = [column for column in _NEEDED if column not in table]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}: a table of genes needs {', '.join(_NEEDED)}")
    rows = [_read_row(row, f"{path}, row {number}", share) for number, (_, row) in enumerate(table.iterrows(), 2)]
    genes = pd.DataFrame(rows)
    if genes.empty:
        raise InputError(f"{path} holds no gene")
    taken = genes["gene"].duplicated().to_numpy()
    if taken.any():
        row = int(taken.argmax())
        raise InputError(f"{path}, row {row + 2}: the gene {genes['gene'].iloc[row]} stands there already; rename one")
    return genes


def _read_row(row: pd.Series, place: str, share: float) -> dict[str, object]:
    sequence = row["genomic_sequence"].strip().upper()
    protein = row["reference_protein"].strip().upper().removesuffix("*")
    if not row["gene"].strip():
        raise InputError(f"{place}: the gene has no name")
    if not sequence or set(sequence) - set("ACGT"):
        raise InputError(f"{place}: genomic_sequence must hold A, C, G, T, and no other letters")
    if not protein.isalpha():
        raise InputError(
            f"{place}: reference_protein must hold letters of amino acids, and nothing else but a * at its end"
        )
    return {
        "gene": row["gene"].strip(),
        "organism": row.get("organism", "").strip(),
        "reference_protein": protein,
        "genomic_sequence": sequence,
        "prompt_length": _prompt_length(row.get("cds_start", "").strip(), len(sequence), place, share),
        "spliced": row.get("domain", "").strip().lower() not in _WITHOUT_INTRONS,
    }


def _prompt_length(cds_start: str, length: int, place: str, share: float) -> int:
    if not cds_start:
        return length
    if not cds_start.isdecimal() or int(cds_start) >= length:
        raise InputError(f"{place}: cds_start={cds_start} is no position in the {length:,} bases of genomic_sequence")
    return int(cds_start) + int(share * (length - int(cds_start)))
