"""Labelling of sequences by a classifier that was trained before: streamed, so that memory does not grow with them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workflow.classification.decoding import consistent_path
from workflow.classification.examples import Examples
from workflow.classification.folder import TrainedClassifier
from workflow.classification.forward import outputs_of, sequence_data, softmax
from workflow.console import track
from workflow.labels.encoding import UNKNOWN, UNKNOWN_LETTER
from workflow.sequence_files import SequenceRecord

JSON_LINES, CSV = "predictions.jsonl", "predictions.csv"
#: Sequences, and bases, that are labelled together; sorted by length they need little padding.
_POOL_SEQUENCES, _POOL_BASES = 4096, 1 << 24
_DIGITS = 6


@dataclass
class Labelled:
    """What was labelled.

    Attributes
    ----------
    sequences, bases : int
    cut : int
        Sequences of which only the middle was read.
    """

    sequences: int = 0
    bases: int = 0
    cut: int = 0


def label_sequences(
    trained: TrainedClassifier,
    records: Iterable[SequenceRecord],
    out: Path,
    *,
    top_k: int,
    threshold: float,
    batch_tokens: int,
) -> Labelled:
    """Label sequences in order.

    Writes into `out`:

    - `predictions.jsonl`, an object a sequence: its id and, by level, a list of label and probability: the `top_k`
      most probable, of these those whose probability is above `threshold`; possibly none. Each level stands by
      itself here. Of a regression the number of each column; per base a text, one letter a base.
    - `predictions.csv`: the id and, by level, the label and its probability, decoded as the classifier was trained to.
      Where a path of labels ends early, cells are empty. Per base a row each, with its position from 0.

    Parameters
    ----------
    trained : TrainedClassifier
        On the device to be used.
    records : iterable of SequenceRecord
    batch_tokens : int
        Most positions of a forward pass, padding included.
    """
    told = Labelled()
    tell = _TELLS[trained.recipe.task](trained, top_k, threshold)
    columns = [name for level in trained.encoding.levels for name in tell.columns(level)]
    with (out / JSON_LINES).open("w", encoding="utf-8") as lines, (out / CSV).open("w", encoding="utf-8") as table:
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["id", *tell.keys, *columns])
        for pool in _pools(track(records, "labelling", unit="sequences")):
            outputs = _outputs(trained, pool, batch_tokens)
            tell.write(pool, outputs, lines, rows)
            told.sequences += len(pool)
            told.bases += sum(len(record.bases) for record in pool)
            told.cut += sum(len(record.bases) > trained.recipe.max_length for record in pool)
    return told


class _TellClasses:
    """Of each sequence: classes with probabilities."""

    keys: tuple[str, ...] = ()

    def __init__(self, trained: TrainedClassifier, top_k: int, threshold: float) -> None:
        self.trained, self.top_k, self.threshold = trained, top_k, threshold
        self.levels, self.classes = trained.encoding.levels, trained.encoding.classes

    def columns(self, level: str) -> list[str]:
        """Of the table, for a level."""
        return [level, f"{level}_probability"]

    def write(self, pool: list[SequenceRecord], outputs: list[np.ndarray], lines: Any, rows: Any) -> None:
        """Write what the heads say of a pool of sequences."""
        probabilities = softmax(outputs)
        ranked = [
            list(most_probable(of_level, self.classes[level], self.top_k, self.threshold))
            for level, of_level in zip(self.levels, probabilities, strict=True)
        ]
        decoded = list(self._decoded(probabilities))
        for number, record in enumerate(pool):
            by_level = {level: choices[number] for level, choices in zip(self.levels, ranked, strict=True)}
            lines.write(_line({"id": record.id} | by_level))
            rows.writerow([record.id, *decoded[number]])

    def _decoded(self, probabilities: list[np.ndarray]) -> Iterator[list[object]]:
        """Label and probability of each level, by row; empty where the path has none."""
        codes = decode(probabilities, self.trained)
        for number, path in enumerate(codes.tolist()):
            row: list[object] = []
            for level, code, of_level in zip(self.levels, path, probabilities, strict=True):
                known = code != UNKNOWN
                row += [self.classes[level][code], _rounded(of_level[number, code])] if known else ["", ""]
            yield row


class _TellBases(_TellClasses):
    """Of each base: classes with probabilities."""

    keys = ("position",)

    def write(self, pool: list[SequenceRecord], outputs: list[np.ndarray], lines: Any, rows: Any) -> None:
        """Write what the heads say of the bases of a pool of sequences."""
        decoded = self._decoded(softmax(outputs))
        for record in pool:
            texts: dict[str, list[str]] = {level: [] for level in self.levels}
            for position in range(len(record.bases)):
                cells = next(decoded)
                rows.writerow([record.id, position, *cells])
                for place, level in enumerate(self.levels):
                    texts[level].append(str(cells[2 * place]) or UNKNOWN_LETTER)
            lines.write(_line({"id": record.id} | {level: "".join(text) for level, text in texts.items()}))


class _TellNumbers(_TellClasses):
    """Of each sequence: the numbers of a regression."""

    def columns(self, level: str) -> list[str]:
        """Of the table, for a column."""
        return [level]

    def write(self, pool: list[SequenceRecord], outputs: list[np.ndarray], lines: Any, rows: Any) -> None:
        """Write what the heads say of a pool of sequences."""
        values = np.column_stack(outputs) * self.trained.deviation + self.trained.mean
        for record, row in zip(pool, values.tolist(), strict=True):
            rounded = [_rounded(value) for value in row]
            lines.write(_line({"id": record.id} | dict(zip(self.levels, rounded, strict=True))))
            rows.writerow([record.id, *rounded])


_TELLS = {"classification": _TellClasses, "per_base": _TellBases, "regression": _TellNumbers}


def most_probable(
    probabilities: np.ndarray, classes: tuple[str, ...], top_k: int, threshold: float
) -> Iterator[list[dict[str, object]]]:
    """Labels told of each row: the `top_k` most probable first, of these those above `threshold`.

    MicrobeRT's rule. Equal probabilities keep the order of the classes.

    Parameters
    ----------
    probabilities : ndarray, (n, K)
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    chosen = np.take_along_axis(probabilities, order, axis=1)
    for codes, values in zip(order.tolist(), chosen.tolist(), strict=True):
        pairs = zip(codes, values, strict=True)
        yield [{"label": classes[code], "probability": _rounded(value)} for code, value in pairs if value > threshold]


def decode(probabilities: list[np.ndarray], trained: TrainedClassifier) -> np.ndarray:
    """Classes (n, levels) of probabilities by level, as the classifier was trained to be decoded."""
    if trained.recipe.decoding == "path":
        return consistent_path(probabilities, trained.encoding.parent_codes())
    return np.column_stack([of_level.argmax(axis=1) for of_level in probabilities])


def _outputs(trained: TrainedClassifier, pool: list[SequenceRecord], batch_tokens: int) -> list[np.ndarray]:
    sequences = [record.bases.tobytes() for record in pool]
    examples = Examples.of(sequences, [], trained.recipe.max_length, per_base=trained.recipe.per_base)
    return outputs_of(trained.classifier, sequence_data(trained.classifier, examples), batch_tokens)


def _pools(records: Iterable[SequenceRecord]) -> Iterator[list[SequenceRecord]]:
    pool: list[SequenceRecord] = []
    bases = 0
    for record in records:
        pool.append(record)
        bases += len(record.bases)
        if len(pool) >= _POOL_SEQUENCES or bases >= _POOL_BASES:
            yield pool
            pool, bases = [], 0
    if pool:
        yield pool


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
