"""From tables of labels to sequences in train, val and test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from workflow.config.checks import require
from workflow.config.classify import ClassifyConfig
from workflow.errors import InputError
from workflow.labels.checks import (
    refuse_contradictions,
    refuse_unseen,
    refuse_without_answer,
    refuse_without_choice,
    refuse_wrong_lengths,
    unseen,
)
from workflow.labels.duplicates import without_duplicates
from workflow.labels.encoding import UNKNOWN, LabelEncoding
from workflow.labels.labelled_set import SPLITS, LabelledSet
from workflow.labels.splitting import divide, divide_rows
from workflow.labels.tables import LabelTable, read_label_table, sequences_by_id

_DEFAULT_SEED = 42
#: Classes named in a sentence.
_MOST_NAMED = 5


def read_labelled(config: ClassifyConfig, seed: int = _DEFAULT_SEED) -> LabelledSet:
    """Read labelled sequences, check them, and divide them.

    The rules: a row without any label is left out; a missing label takes its row out of the loss and the metrics of
    that level alone. A class with one example stays in train. A label of val or test that train lacks is refused or
    ignored as `classify.unseen` says. `classify.split=stratified` divides at random where labels are no classes, and
    a given split without validation takes that from train. With `classify.duplicates=remove`, what stands in a later
    split is removed from the earlier ones.

    Parameters
    ----------
    config : ClassifyConfig
        With `table`.
    seed : int
        Of what is drawn by chance.

    Raises
    ------
    InputError
        The settings do not agree; a table, column, sequence or label cannot be used; the levels contradict each
        other; a split is empty; training holds only one class of a column, or val or test none that it knows.
    """
    _refuse_settings(config)
    tables, notes = _read(config)
    data, where = _joined(tables, config, notes)
    if config.task == "classification":
        refuse_contradictions(data.labels, where)
    elif config.task == "per_base":
        refuse_wrong_lengths(data.labels, data.sequences, where)
    if config.id_column is not None and (repeated := len(data) - len(set(data.ids))):
        data.notes.append(f"{repeated:,} rows share their id with another row; the results tell them apart by row.")
    data = _divided(data, config, seed)
    if config.duplicates == "remove":
        data = without_duplicates(data)
    _refuse_empty(data)
    return _checked(data, config)


def encode(data: LabelledSet, task: str) -> LabelEncoding:
    """The encoding of the labels of train.

    Parameters
    ----------
    data : LabelledSet
    task : str
        `classification` or `per_base`.
    """
    labels = data.labels.iloc[data.of("train")]
    return LabelEncoding.fit_by_base(labels) if task == "per_base" else LabelEncoding.fit(labels)


def _refuse_settings(config: ClassifyConfig) -> None:
    given = config.split == "given"
    require(
        not given or (config.split_column is None) != (config.test_table is None),
        "classify.split=given needs classify.split_column, or a table of its own for the test (classify.test_table)",
    )
    require(
        given or (config.test_table is None and config.validation_table is None),
        "classify.validation_table and classify.test_table are splits of their own: set classify.split=given",
    )
    require(
        config.validation_table is None or config.test_table is not None,
        "classify.validation_table needs classify.test_table beside it",
    )
    require(
        config.split != "group" or config.group_column is not None,
        "classify.split=group needs classify.group_column: the column with what must not be divided",
    )
    require(
        config.sequences is None or config.id_column is not None,
        "classify.sequences needs classify.id_column: the column of the table with the names of its records",
    )
    require(len(set(config.labels)) == len(config.labels), "classify.labels names a column twice")
    require(
        given or (config.test_share > 0 and config.validation_share > 0),
        "classify.test_share and classify.validation_share must be above 0: a result needs both",
    )
    require(
        given or config.validation_share + config.test_share < 1,
        "classify.validation_share and classify.test_share together leave nothing for train",
    )


def _read(config: ClassifyConfig) -> tuple[list[LabelTable], list[str]]:
    assert config.table is not None
    named = {"table": config.table, "validation_table": config.validation_table, "test_table": config.test_table}
    tables = [read_label_table(path, f"classify.{key}", config) for key, path in named.items() if path is not None]
    if config.sequences is None:
        return tables, []
    sequences, unnamed = sequences_by_id(config.sequences, tables)
    tables = [replace(table, sequences=found) for table, found in zip(tables, sequences, strict=True)]
    return tables, [f"{unnamed:,} sequences that no row names were left out."] if unnamed else []


def _joined(
    tables: list[LabelTable], config: ClassifyConfig, notes: list[str]
) -> tuple[LabelledSet, Callable[[int], str]]:
    """The labelled rows of all tables, and where each stands. Rows of given tables have their split already."""
    labels = pd.concat([table.labels for table in tables], ignore_index=True)
    kept = np.flatnonzero(labels.notna().any(axis=1).to_numpy())
    table_of = np.repeat(np.arange(len(tables)), [len(table.rows) for table in tables])
    first = np.cumsum([0, *(len(table.rows) for table in tables)])

    def where_read(place: int) -> str:
        number = int(table_of[place])
        return tables[number].where(place - int(first[number]))

    if not len(kept):
        raise InputError(f"{tables[0].path}: no row has a label in {', '.join(config.labels)} (classify.labels)")
    if empty := len(labels) - len(kept):
        place = int(np.setdiff1d(np.arange(len(labels)), kept)[0])
        notes = [*notes, f"{empty:,} rows without any label were left out (the first: {where_read(place)})."]
    split_of_key = {"classify.table": "train", "classify.validation_table": "val", "classify.test_table": "test"}
    given = [
        np.full(len(table.rows), split_of_key[table.key]) if table.split is None else table.split for table in tables
    ]
    groups = [table.group for table in tables if table.group is not None]
    joined = LabelledSet(
        ids=[name for table in tables for name in table.ids],
        sequences=[sequence for table in tables for sequence in table.sequences],
        labels=labels,
        split=np.concatenate(given).astype(str),
        group=np.concatenate(groups) if groups else None,
        rows=np.concatenate([table.rows for table in tables]),
        notes=notes,
    )
    return joined.take(kept), lambda place: where_read(int(kept[place]))


def _divided(data: LabelledSet, config: ClassifyConfig, seed: int) -> LabelledSet:
    classes = data.labels if config.task == "classification" else data.labels[[]]
    if config.split != "given":
        split, group, notes = divide(classes, data.sequences, data.group, config, seed)
        return replace(data, split=split, group=group, notes=[*data.notes, *notes])
    if "val" in data.split or config.validation_share == 0:
        return data
    train = data.of("train")
    share = config.validation_share
    drawn = divide_rows(classes.iloc[train], share, 0.0, stratified=True, seed=seed)
    split = data.split.astype(object)
    split[train] = drawn
    note = f"The given split names no val: {(drawn == 'val').sum():,} sequences were drawn from train."
    return replace(data, split=split.astype(str), notes=[*data.notes, note])


def _refuse_empty(data: LabelledSet) -> None:
    empty = [split for split, size in data.counts().items() if not size]
    if empty:
        raise InputError(
            f"{' and '.join(empty)} would hold none of the {len(data):,} labelled sequences; bring more, larger "
            f"shares, or rows for each of {', '.join(SPLITS)}"
        )


def _checked(data: LabelledSet, config: ClassifyConfig) -> LabelledSet:
    """Refuse what cannot be learnt, and tell which labels are not."""
    if config.task == "regression":
        train = data.labels.iloc[data.of("train")]
        if constant := [column for column in train.columns if train[column].nunique() < 2]:
            raise InputError(
                f"column {constant[0]}: training holds fewer than two different numbers; leave it out of "
                "classify.labels, or bring others"
            )
        refuse_without_answer(data, lambda places: data.labels.iloc[places].notna().any().to_numpy())
        return data
    encoding = encode(data, config.task)
    refuse_without_choice(encoding)
    if config.task == "per_base":
        refuse_without_answer(data, lambda places: _known_bases(data, encoding, places))
        return data
    missing = unseen(data, encoding)
    if config.unseen == "refuse":
        refuse_unseen(missing)
    refuse_without_answer(data, lambda places: encoding.encode(data.labels.iloc[places]).max(axis=0) > UNKNOWN)
    data = replace(data, notes=[*data.notes, *_untested(data, encoding)])
    if not len(missing):
        return data
    told = [
        f"{len(of_level):,} labels of {split}, {of_level['sequences'].sum():,} sequences, {level}"
        for (split, level), of_level in missing.groupby(["split", "level"], sort=False)
    ]
    note = f"Training lacks {'; '.join(told)}: ignored in the loss, wrong in the test (classify.unseen=ignore)."
    return replace(data, notes=[*data.notes, note])


def _untested(data: LabelledSet, encoding: LabelEncoding) -> Iterator[str]:
    """Sentences on classes that training knows and the test does not ask for."""
    codes = encoding.encode(data.labels.iloc[data.of("test")])
    for place, (level, classes) in enumerate(encoding.classes.items()):
        tested = set(codes[:, place].tolist())
        absent = [name for number, name in enumerate(classes) if number not in tested]
        if not absent:
            continue
        named = ", ".join(absent[:_MOST_NAMED]) + (", …" if len(absent) > _MOST_NAMED else "")
        alone = " It holds one class alone, so that its scores tell nothing." if len(classes) - len(absent) == 1 else ""
        yield (
            f"The test has no sequence of {len(absent):,} of {len(classes):,} classes of {level} ({named}): nothing is "
            f"said of these.{alone}"
        )


def _known_bases(data: LabelledSet, encoding: LabelEncoding, places: np.ndarray) -> np.ndarray:
    """Whether any base of rows has a known label, (levels,) bool."""
    codes = np.concatenate(list(encoding.encode_by_base(data.labels.iloc[places])))
    known: np.ndarray = codes.max(axis=0) > UNKNOWN
    return known
