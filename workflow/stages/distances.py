"""How far a variant moves what a model makes of its surroundings: distances between embeddings of its two windows.

A causal model sees at a base only what stands before it. The place of a variant is therefore read twice: forward up to
and with the allele, and as reverse complement up to and with it, so that both sides are known and the allele is seen by
both. The mean is over all positions of the window, read on both strands. The vectors of the two strands are joined.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from workflow.backends import ModelFiles, SequenceSet
from workflow.console import track
from workflow.genome.alphabet import reverse_complement
from workflow.stages.context import StageContext

#: What is compared, and the pooling of `embed.pooling` that it takes.
POOLED = {"place": "last", "mean": "mean"}


class _Readings:
    """What is read of each variant: its reference and its alternative, each on one strand or both.

    Of `place`, only up to and with the allele, in the direction of reading.
    """

    def __init__(
        self, variants: pd.DataFrame, windows: Mapping[str, np.ndarray], reference: Sequence[str], both: bool
    ) -> None:
        self._windows, self._reference = windows, reference
        self._strands = "+-" if both else "+"
        self._names = variants["variant_id"].tolist()
        self._alleles = list(zip(variants["ref"], variants["alt"], strict=True))
        self._cuts = (variants["start"] - variants["window_start"]).to_numpy(np.int64)

    @property
    def of_each(self) -> int:
        """Sequences of a variant: the first half of them with the reference allele."""
        return 2 * len(self._strands)

    def __len__(self) -> int:
        return self.of_each * len(self._names)

    def sequence(self, number: int, place: bool) -> np.ndarray:
        """Bases of a reading, (length,) uint8."""
        row, within = divmod(number, self.of_each)
        which, strand = divmod(within, len(self._strands))
        bases = self._windows[self._names[row] if which else self._reference[row]]
        cut, size = int(self._cuts[row]), len(self._alleles[row][which])
        if self._strands[strand] == "+":
            return bases[: cut + size] if place else bases
        return np.ascontiguousarray(reverse_complement(bases[cut:] if place else bases))


def distances(
    context: StageContext, variants: pd.DataFrame, windows: Mapping[str, np.ndarray], reference: Sequence[str]
) -> pd.DataFrame:
    """Distances between the embeddings of reference and alternative, by every model of the run.

    Parameters
    ----------
    context : StageContext
        `variants.layer` says whose output is compared.
    variants : DataFrame
        variant_id, start, window_start, ref, alt.
    windows : mapping
        Bases of the alternative windows by variant_id, and of the reference windows by their names.
    reference : sequence of str
        Name of the reference window of each variant.

    Returns
    -------
    DataFrame
        In the order of `variants`: `l2_<what>_<model>`, Euclidean, and `cosine_<what>_<model>`, 1 − the cosine of the
        angle between the two; <what> is `place` or `mean`.
    """
    readings = _Readings(variants, windows, reference, context.config.variants.reverse_complement)
    found: dict[str, np.ndarray] = {}
    for model, files in context.models().items():
        for what in POOLED:
            l2, cosine = np.empty(len(variants)), np.empty(len(variants))
            vectors = _vectors(context, files, readings, what)
            for row in range(len(variants)):
                joined = np.concatenate([next(vectors) for _ in range(readings.of_each)]).astype(float)
                before, after = np.split(joined, 2)
                l2[row] = np.linalg.norm(after - before)
                cosine[row] = 1 - after @ before / (np.linalg.norm(after) * np.linalg.norm(before))
            # A backend tidies up behind its last vector when it is asked for one more.
            assert next(vectors, None) is None
            found |= {f"l2_{what}_{model}": l2, f"cosine_{what}_{model}": np.maximum(cosine, 0)}
    return pd.DataFrame(found)


def _vectors(context: StageContext, files: ModelFiles, readings: _Readings, what: str) -> Iterator[np.ndarray]:
    """The embedding of each reading, (width,), in order; equal ones are computed once, and kept until the last."""
    config, place = context.config, what == "place"
    contents = [hashlib.sha256(readings.sequence(at, place).tobytes()).digest() for at in range(len(readings))]
    last = {content: at for at, content in enumerate(contents)}
    first = {content: at for at, content in reversed(list(enumerate(contents)))}
    unique = sorted(first.values())
    texts = SequenceSet(
        [f"sequence_{number}" for number in range(len(unique))],
        np.array([len(readings.sequence(at, place)) for at in unique], np.int64),
        lambda number: readings.sequence(unique[number], place),
    )
    asked = replace(config, embed=replace(config.embed, layers=[config.variants.layer], pooling=POOLED[what]))
    embedded = context.backend().embed(asked, files, texts)
    rows = (row[0] for part in embedded for row in part)
    results = iter(track(rows, f"embeddings of variants ({what}), {files.name} model", len(unique), "sequences"))
    kept: dict[bytes, np.ndarray] = {}
    for at, content in enumerate(contents):
        if first[content] == at:
            kept[content] = next(results)
        yield kept[content]
        if last[content] == at:
            del kept[content]
    assert next(results, None) is None
