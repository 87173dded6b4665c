"""Tables that users write: CSV, TSV or Parquet."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from workflow.errors import InputError
from workflow.genome.files import locate


def read_user_table(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a table as text, with at least the `needed` columns; empty cells are empty strings.

    Row r of a CSV or TSV file stands in line r + 2.

    Raises
    ------
    InputError
        The file cannot be read as a table, has no rows, or lacks a column.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).astype("string").fillna("")
        else:
            separator = "\t" if path.suffix in (".tsv", ".txt", ".tab") else ","
            table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, comment=None)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} cannot be read as a table ({reason}); use CSV, TSV or Parquet") from None
    table.columns = [str(name).strip().lstrip("#") for name in table.columns]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(
            f"{path}, line 1: no column {' and '.join(missing)}; it has {', '.join(table.columns)}, "
            f"needed are {', '.join(needed)}"
        )
    if table.empty:
        raise InputError(f"{path} holds no rows")
    return pd.DataFrame({name: table[name].str.strip() for name in table.columns})


def locate_table(path: str | None) -> Path | None:
    """Find a table that the configuration may name."""
    return None if path is None else locate(path, "the configuration names it")
