"""Scores of variants that were made elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workflow.config import VariantsConfig
from workflow.errors import InputError
from workflow.tables import numbers, read_user_table

_ID_COLUMNS = ("variant_id", "id")
#: Scores that the report makes itself.
_BASELINES = ("markov", "kmer")


def read_scores(path: Path, variants: pd.Series[str], config: VariantsConfig) -> tuple[pd.DataFrame, list[str]]:
    """Scores by model, in the order of the variants.

    Parameters
    ----------
    path : Path
        Table with a column `variant_id` or `id` (`chromosome:position:ref:alt`), or with the four columns that
        `config` names; every other column of numbers is a model, higher where the alternative is more likely. Columns
        that `config` names are none.
    variants : Series
        variant_id of the variants.

    Returns
    -------
    scores : DataFrame
        A column a model, float64, NaN where the table has none; the index of `variants`.
    ignored : list of str
        Columns of text.

    Raises
    ------
    InputError
        The table has no ids, no column of numbers, a variant twice, or none of the variants; or a model has the name of
        a baseline.
    """
    table = read_user_table(path, "variants.scores")
    ids = _ids(table, path, config)
    if (again := ids.duplicated()).any():
        raise InputError(f"{path}, row {ids.index[again][0]}: {ids[again].iloc[0]} is there more than once; keep one")
    found = ids.isin(set(variants))
    if not found.any():
        raise InputError(
            f"{path}: none of its {len(ids):,} variants, such as {ids.iloc[0]}, is in variants.table, which has "
            f"{variants.iloc[0]}"
        )
    scores: dict[str, np.ndarray] = {}
    ignored = []
    for column in (name for name in table.columns if name not in _described(config)):
        try:
            values = numbers(table, column, path)
        except InputError:
            ignored.append(column)
            continue
        if np.isfinite(values[found]).any():
            if column in _BASELINES:
                raise InputError(f"{path}: the report has a baseline of its own called {column}; rename the column")
            scores[column] = values
    if not scores:
        raise InputError(f"{path} has no column of numbers for the scores; it has {', '.join(table.columns)}")
    return pd.DataFrame(scores, index=ids).reindex(variants).set_axis(variants.index), ignored


def _place_columns(config: VariantsConfig) -> list[str]:
    return [config.chromosome_column, config.position_column, config.ref_column, config.alt_column]


def _described(config: VariantsConfig) -> set[str | None]:
    """Columns that say which variant it is, or what is known of it: their numbers are nobody's scores."""
    known = (config.label_column, config.score_column, config.consequence_column)
    return {*_ID_COLUMNS, *_place_columns(config), *known}


def _ids(table: pd.DataFrame, path: Path, config: VariantsConfig) -> pd.Series[str]:
    """The variant_id of each row."""
    for name in _ID_COLUMNS:
        if name in table.columns:
            return table[name].fillna("").astype(str)
    columns = _place_columns(config)
    if missing := [name for name in columns if name not in table.columns]:
        raise InputError(
            f"{path} has no column {missing[0]}, and no column {_ID_COLUMNS[0]} either; it has "
            f"{', '.join(table.columns)}: say which variant a row means"
        )
    chromosome, position, ref, alt = (table[name].fillna("").astype(str) for name in columns)
    return chromosome + ":" + position + ":" + ref.str.upper() + ":" + alt.str.upper()
