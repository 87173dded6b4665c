"""What a method said of the test sequences, as the evaluation reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workflow.classification.decoding import consistent_path
from workflow.classification.predictions import Prediction
from workflow.labels import LabelEncoding, LabelledSet
from workflow.labels.encoding import UNKNOWN, UNKNOWN_LETTER

TEST = "test.parquet"


def write_prediction(
    folder: Path, test: LabelledSet, encoding: LabelEncoding, prediction: Prediction, *, task: str, decoding: str
) -> None:
    """Write `test.parquet` and, by level, `probabilities.<level>.npy`.

    The table has an id and `true.` and `predicted.` of each level; beside them `independent.` of classes, and the
    `position` (from 0) of bases.

    Parameters
    ----------
    test : LabelledSet
        The test sequences alone.
    decoding : str
        `path`: predictions lie on the most probable consistent path; `independent`: each level by itself. A method
        that chose labels of its own keeps them.
    """
    if task == "regression":
        values = prediction.values  # noqa: PD011 (no DataFrame)
        assert values is not None
        table = _numbers(test, values)
    else:
        alone = np.column_stack([of_level.argmax(axis=1) for of_level in prediction.probabilities])
        chosen = prediction.codes
        if chosen is None and decoding == "path":
            chosen = consistent_path(prediction.probabilities, encoding.parent_codes())
        chosen = alone if chosen is None else chosen
        table = (_bases if task == "per_base" else _sequences)(test, encoding, chosen, alone)
        for level, of_level in zip(encoding.levels, prediction.probabilities, strict=True):
            np.save(folder / f"probabilities.{level}.npy", of_level.astype(np.float32), allow_pickle=False)
    table.to_parquet(folder / TEST, index=False)


def _sequences(test: LabelledSet, encoding: LabelEncoding, chosen: np.ndarray, alone: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"id": test.ids})
    for number, level in enumerate(encoding.levels):
        table[f"true.{level}"] = pd.array(test.labels[level].tolist(), dtype="string")
        table[f"predicted.{level}"] = _named(chosen[:, number], encoding.classes[level])
        table[f"independent.{level}"] = _named(alone[:, number], encoding.classes[level])
    return table


def _bases(test: LabelledSet, encoding: LabelEncoding, chosen: np.ndarray, alone: np.ndarray) -> pd.DataFrame:
    lengths = np.array([len(sequence) for sequence in test.sequences], np.int64)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    table = pd.DataFrame(
        {"id": np.repeat(np.array(test.ids, object), lengths), "position": np.arange(lengths.sum()) - starts}
    )
    for number, level in enumerate(encoding.levels):
        texts = (
            text if isinstance(text, str) else UNKNOWN_LETTER * length
            for text, length in zip(test.labels[level], lengths.tolist(), strict=True)
        )
        letters = [None if letter == UNKNOWN_LETTER else letter for text in texts for letter in text]
        table[f"true.{level}"] = pd.array(letters, dtype="string")
        table[f"predicted.{level}"] = _named(chosen[:, number], encoding.classes[level])
        table[f"independent.{level}"] = _named(alone[:, number], encoding.classes[level])
    return table


def _numbers(test: LabelledSet, values: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"id": test.ids})
    for number, column in enumerate(test.labels.columns):
        table[f"true.{column}"] = test.labels[column].to_numpy(np.float64)
        table[f"predicted.{column}"] = values[:, number].astype(np.float64)
    return table


def _named(codes: np.ndarray, classes: tuple[str, ...]) -> pd.api.extensions.ExtensionArray:
    """Names of classes; NA where a path ends before the level."""
    return pd.array([None if code == UNKNOWN else classes[code] for code in codes.tolist()], dtype="string")
