"""Scores of any sequences by every model of a run, on both strands: what the tasks beside prediction are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workflow.backends import SequenceSet
from workflow.console import track
from workflow.genome.alphabet import reverse_complement
from workflow.preflight import check_context
from workflow.stages.vocabulary import check_mass_outside_acgt

if TYPE_CHECKING:
    from workflow.stages.context import StageContext
    from workflow.striped_hyena.scoring import SequenceScore


@dataclass(frozen=True)
class StrandScore:
    """What a model says of one strand of a sequence.

    Attributes
    ----------
    sequence_id, model : str
    strand : str
        `+` as given, `-` its reverse complement.
    n : int
        Bases A, C, G, T.
    total : float
        Sum of their log-probabilities, nats.
    outside_acgt : float
        Mean probability of other tokens.
    logprobs : ndarray, (length, 4) float32
        Natural log, in the direction of reading.
    """

    sequence_id: str
    model: str
    strand: str
    n: int
    total: float
    outside_acgt: float
    logprobs: np.ndarray


def score_strands(
    context: StageContext, sequences: Mapping[str, np.ndarray], *, both: bool = True, why: str
) -> Iterator[StrandScore]:
    """Score sequences with each model in turn: the forward strand of each, and its reverse complement after it.

    Equal sequences are scored once.

    Parameters
    ----------
    context : StageContext
    sequences : mapping
        ASCII bases, (length,) uint8, by sequence_id; not empty.
    both : bool
        Whether the reverse complement is read as well.
    why : str
        What the sequences are, for the gates and the progress line: `windows of variants`.

    Raises
    ------
    GateError
        The sequences are too short to mean anything, or a model gives much of its probability to other tokens.
    """
    lengths = np.array([len(bases) for bases in sequences.values()], np.int64)
    check_context(context.config, context.gates, lengths, why)
    asked = [
        (name, strand, hashlib.sha256(_read(sequences[name], strand).tobytes()).digest())
        for name in sequences
        for strand in ("+-" if both else "+")
    ]
    last = {content: row for row, (_, _, content) in enumerate(asked)}
    first = {content: row for row, (_, _, content) in reversed(list(enumerate(asked)))}
    unique = sorted(first.values())
    texts = SequenceSet(
        [f"sequence_{number}" for number in range(len(unique))],
        np.array([len(sequences[asked[row][0]]) for row in unique], np.int64),
        lambda place: _read(sequences[asked[unique[place]][0]], asked[unique[place]][1]),
    )
    for model, files in context.models().items():
        scored = context.backend().score(context.config, files, texts)
        results = iter(track(scored, f"{why}, {model} model", len(unique), "sequences"))
        kept: dict[bytes, SequenceScore] = {}
        outside = np.zeros(2)
        for row, (name, strand, content) in enumerate(asked):
            if first[content] == row:
                score = next(results)
                outside += len(score.logprobs) * np.array([score.outside_acgt, 1.0])
            else:
                score = kept[content]
            # A sequence that comes again has this score; it is kept until the last time.
            if last[content] > row:
                kept[content] = score
            else:
                kept.pop(content, None)
            yield StrandScore(name, model, strand, score.n, score.total, score.outside_acgt, score.logprobs)
        finish(results)
        share = float(outside[0] / outside[1])
        saw = f"{share:.2%} of the {model} model's probability on tokens other than A, C, G, T in {why}"
        check_mass_outside_acgt(context.gates, share, saw=saw, subject=model)


def finish(results: Iterator[SequenceScore]) -> None:
    """Let a backend tidy up behind its last score, as a generator does when it is asked for one more."""
    more = next(results, None)
    assert more is None


def _read(bases: np.ndarray, strand: str) -> np.ndarray:
    return bases if strand == "+" else np.ascontiguousarray(reverse_complement(bases))
