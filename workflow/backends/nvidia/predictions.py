"""What `predict_evo2` writes, joined to the sequences that it was given and streamed.

Position i of a file predicts token i+1. With a begin token (`--prepend-bos`) token i+1 is base i, so that all
bases are scored; without one the first base is not.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from workflow.artifacts import read_json
from workflow.errors import InputError, ToolError
from workflow.genome.alphabet import BASE_CODE
from workflow.striped_hyena.scoring import SequenceScore
from workflow.striped_hyena.tokens import BASE_IDS

#: `logits`: of every token at every position. `per_token`: log-probability of each token that stands there.
#: `collapsed`: one number a sequence, their sum or mean. `embeddings`: hidden states of one layer.
Kind = Literal["logits", "per_token", "collapsed", "embeddings"]
Collapse = Literal["sum", "mean"]
#: Tokens that a model knows: the published ones, and those that mbridge trains from random weights.
_VOCABULARIES = (512, 256)

_SEQUENCE_INDEX = "seq_idx_map.json"
_LOGITS, _LOGPROBS, _EMBEDDINGS = "token_logits", "log_probs_seqs", "hidden_embeddings"
_RANK = re.compile(r"predictions__rank_(\d+)")
#: Positions that are worked on at a time: 8 MB of logits.
_CHUNK = 4096
#: Files that are open at a time: batches of a few ranks alternate.
_MOST_OPEN = 4
#: Bytes that may be read before the mapped pages are given back.
_MOST_MAPPED = 1 << 25
#: By how much two computations of one sequence may differ, as a share of the largest value: a bfloat16 has 8 bits.
_ROUNDING = 2**-6
#: What PyTorch raises on a damaged file, depending on where the damage is.
_DAMAGE = (
    RuntimeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)
_MEND = "delete the folder and predict again"


class Predictions:
    """The predictions of one run of the tool, of either generation, in whatever files they lie.

    Only indices are read here: values are read row by row, when they are asked for, and checked then.

    Parameters
    ----------
    folder : Path
        The tool's `--output-dir`.
    names, lengths : sequence of str, array_like (n,)
        The records of the FASTA that was scored, in its order; lengths in bases.
    begin_token : bool
        Whether it ran with `--prepend-bos`.
    context_parallel : int
        Ranks that each sequence was spread over.

    Attributes
    ----------
    kind : str
        What the files hold; see `Kind`.
    duplicates : int
        Rows that repeat a sequence with the same values: some samplers fill up the last batch of a rank.

    Raises
    ------
    InputError
        Two records have the same name.
    ToolError
        Files are missing, damaged or of another kind than the others; a sequence is missing, unknown, or
        there twice with different values; or the order of positions cannot be told. Names file or sequence.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        lengths: ArrayLike,
        *,
        begin_token: bool,
        context_parallel: int = 1,
    ) -> None:
        self.folder = folder
        self.names = list(names)
        self.lengths = np.asarray(lengths, np.int64)
        self.begin_token = begin_token
        self._files = _TensorFiles(_prediction_files(folder))
        self.kind: Kind = self._files.kind
        # Of logits with tokens the order is checked against the FASTA.
        in_known_order = self.kind == "collapsed" or (self.kind == "logits" and self._files.holds("tokens"))
        if context_parallel > 1 and not in_known_order:
            raise ToolError(
                f"{folder}: with context parallelism positions are written in shuffled order: predict with "
                "parallel.context=1 (parallel.tensor spreads the model as well)"
            )
        self._places, repeats = _locate(folder, self._files, _indices_of(folder, self.names), self.names)
        self.duplicates = len(repeats)
        for sequence, file, row in repeats:
            self._check_repeat(sequence, file, row)

    # ------------------------------------------------------------ results

    def scores(self, fetch: Callable[[int], np.ndarray]) -> Iterator[SequenceScore]:
        """Per-base scores from logits, in the order of the FASTA.

        The log-probabilities are those among all tokens. Without a begin token the first row is NaN.

        Parameters
        ----------
        fetch : callable
            Gives the bases of record i, (length,) uint8 in either case.

        Raises
        ------
        ToolError
            The positions or tokens of a sequence are not those of the FASTA, or values are not finite.
        """
        self._require("logits")
        for sequence in range(len(self.names)):
            yield self._score(sequence, fetch(sequence))
        self._files.close()

    def observed_logprobs(self) -> Iterator[np.ndarray]:
        """Log-probability of each letter of each record from the per-token mode, (length,) float32, in order.

        Letters other than A, C, G, T are among them. Without a begin token the first is NaN.
        """
        self._require("per_token")
        for sequence, length in enumerate(self.lengths):
            self._check_end(sequence)
            observed = np.full(length, np.nan, np.float32)
            for first, values in self._chunks(sequence):
                observed[first : first + len(values)] = values
            self._check_finite(sequence, observed[self._unscored :])
            yield observed
        self._files.close()

    def sequence_scores(
        self, collapse: Collapse = "mean", fetch: Callable[[int], np.ndarray] | None = None
    ) -> pd.DataFrame:
        """One line a sequence, in the order of the FASTA: sequence_id, n (scored letters), sum and mean in nats.

        Parameters
        ----------
        collapse : str
            What `--log-prob-collapse-option` was, `sum` or `mean`: collapsed files do not tell.
        fetch : callable, optional
            Gives the bases of record i. With them only A, C, G, T count in the per-token mode. The tool itself
            counts every letter.
        """
        if self.kind == "per_token":
            sums, counts = self._summed(fetch)
            means = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
        else:
            counts = self.lengths - self._unscored
            sums, means = self._collapsed(collapse, counts)
        return pd.DataFrame({"sequence_id": self.names, "n": counts, "sum": sums, "mean": means})

    def embeddings(self) -> Iterator[np.ndarray]:
        """Hidden state at each base, (length, width) float32, in the order of the FASTA."""
        self._require("embeddings")
        for sequence, length in enumerate(self.lengths):
            self._check_mask(sequence)
            file, row = self._places[sequence]
            begin = int(self.begin_token)
            states = np.empty((length, self._files.shape(file, _EMBEDDINGS)[-1]), np.float32)
            for first in range(0, length, _CHUNK):
                stop = min(first + _CHUNK, length)
                states[first:stop] = self._files.read(file, _EMBEDDINGS, row, first + begin, stop + begin)
            self._check_finite(sequence, states)
            yield states
        self._files.close()

    # ------------------------------------------------------------ one sequence

    @property
    def _unscored(self) -> int:
        """Bases at the start of each sequence that have no prediction."""
        return 0 if self.begin_token else 1

    def _score(self, sequence: int, bases: np.ndarray) -> SequenceScore:
        length = int(self.lengths[sequence])
        if len(bases) != length:
            raise ValueError(f"{self.names[sequence]} has {len(bases)} bases, not {length} as said before")
        self._check_mask(sequence)
        self._check_tokens(sequence, bases)
        logprobs = np.full((length, 4), np.nan, np.float32)
        for first, logits in self._chunks(sequence):
            values = torch.from_numpy(logits)
            values = values[:, BASE_IDS] - values.logsumexp(-1, keepdim=True)
            logprobs[first : first + len(values)] = values.numpy()
        scored = logprobs[self._unscored :]
        self._check_finite(sequence, scored)
        codes = BASE_CODE[bases[self._unscored :]]
        known = np.flatnonzero(codes < 4)
        outside = 1 - np.exp(scored, dtype=np.float64).sum(-1)
        return SequenceScore(
            logprobs=logprobs,
            n=len(known),
            total=float(scored[known, codes[known]].sum(dtype=np.float64)),
            outside_acgt=float(outside.mean()) if len(outside) else np.nan,
        )

    def _chunks(self, sequence: int, place: tuple[int, int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """The values of scored bases, some at a time, with the base that the first of them predicts."""
        file, row = place or self._places[sequence]
        scored = int(self.lengths[sequence]) - self._unscored
        for first in range(0, scored, _CHUNK):
            stop = min(first + _CHUNK, scored)
            yield first + self._unscored, self._files.read(file, self._files.key, row, first, stop)

    def _summed(self, fetch: Callable[[int], np.ndarray] | None) -> tuple[np.ndarray, np.ndarray]:
        sums, counts = np.zeros(len(self.names)), np.zeros(len(self.names), np.int64)
        for sequence, observed in enumerate(self.observed_logprobs()):
            counted = np.ones(len(observed), bool) if fetch is None else BASE_CODE[fetch(sequence)] < 4
            counted[: self._unscored] = False
            sums[sequence], counts[sequence] = observed[counted].sum(dtype=np.float64), counted.sum()
        return sums, counts

    def _collapsed(self, collapse: Collapse, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._require("collapsed")
        values = np.array([self._files.read(file, _LOGPROBS, row) for file, row in self._places], np.float64)
        self._files.close()
        for sequence in np.flatnonzero(counts > 0).tolist():
            self._check_finite(sequence, values[sequence])
            if values[sequence] == 0:
                self._refuse(sequence, "has a log-probability of 0, as if all of it were padding")
        if collapse == "sum":
            values[counts == 0] = 0
            return values, np.divide(values, counts, out=np.full(len(values), np.nan), where=counts > 0)
        values[counts == 0] = np.nan
        return np.where(counts > 0, values * counts, 0.0), values

    # ------------------------------------------------------------ checks

    def _require(self, kind: Kind) -> None:
        if self.kind != kind:
            raise ToolError(f"{self.folder} holds predictions of the kind {self.kind}, not {kind}: {_MEND}")

    def _refuse(self, sequence: int, fault: str) -> NoReturn:
        path = self._files.paths[self._places[sequence][0]]
        raise ToolError(f"{path}: sequence {self.names[sequence]} {fault}: {_MEND}")

    def _check_finite(self, sequence: int, values: np.ndarray) -> None:
        if not np.isfinite(values).all():
            self._refuse(sequence, "has values that are not finite, as of wrong weights or a wrong precision")

    def _check_mask(self, sequence: int) -> None:
        """The valid positions must be the bases, after the begin token."""
        file, row = self._places[sequence]
        mask = self._files.read(file, "pad_mask", row) != 0
        begin, length = int(self.begin_token), int(self.lengths[sequence])
        if mask[:1].all() == self.begin_token:
            self._refuse(sequence, f"was predicted {'without' if begin else 'with'} a begin token (--prepend-bos)")
        if mask.sum() != length:
            self._refuse(sequence, f"has {mask.sum()} valid positions and {length} bases in the FASTA")
        if not mask[begin : begin + length].all():
            self._refuse(sequence, "has padding between its bases")

    def _check_tokens(self, sequence: int, bases: np.ndarray) -> None:
        """Where the tool says what it read, A, C, G, T must stand where they are in the FASTA."""
        file, row = self._places[sequence]
        if not self._files.holds("tokens"):
            return
        begin = int(self.begin_token)
        tokens = self._files.read(file, "tokens", row, begin, begin + len(bases))
        codes = BASE_CODE[bases]
        known = codes < 4
        if (tokens[known] != BASE_IDS.numpy()[codes[known]]).any():
            self._refuse(sequence, "was predicted from other letters than those of the FASTA")

    def _check_end(self, sequence: int) -> None:
        """Of per-token values: those after the end must be padding, told by a mask or by zeros."""
        file, row = self._places[sequence]
        scored = int(self.lengths[sequence]) - self._unscored
        if self._files.holds("loss_mask"):
            valid = self._files.read(file, "loss_mask", row) != 0
        else:
            valid = self._files.read(file, _LOGPROBS, row) != 0
            # A prediction may be perfect; what counts is where the padding begins.
            valid[:scored] = True
        if len(valid) < scored or valid[scored:].any() or not valid[:scored].all():
            self._refuse(
                sequence,
                f"does not have {scored} scored positions, as its {self.lengths[sequence]} bases "
                f"{'with' if self.begin_token else 'without'} a begin token ask for",
            )

    def _check_repeat(self, sequence: int, file: int, row: int) -> None:
        """A sequence that is there twice must have the same values, but for rounding."""
        for one, other in self._pairs(sequence, (file, row)):
            if one.shape != other.shape or (np.abs(one - other) > _ROUNDING * np.abs(one).max(initial=0)).any():
                self._refuse(sequence, f"is in {self._files.paths[file].name} as well, with other values")

    def _pairs(self, sequence: int, place: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.kind == "collapsed":
            yield self._files.read(*self._at(self._places[sequence])), self._files.read(*self._at(place))
            return
        both = zip(self._chunks(sequence), self._chunks(sequence, place), strict=True)
        yield from ((one, other) for (_, one), (_, other) in both)

    def _at(self, place: tuple[int, int]) -> tuple[int, str, int]:
        return place[0], self._files.key, place[1]


# ---------------------------------------------------------------- files


class _TensorFiles:
    """Memory-mapped prediction files, of which few are open and few bytes are in memory at a time."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self._open: OrderedDict[int, dict[str, Tensor]] = OrderedDict()
        self._mapped = 0
        first = self._tensors(0)
        self.kind, self.key = _kind_of(first, paths[0])
        self._keys = frozenset(first)

    def holds(self, key: str) -> bool:
        """Whether the files have this key, which only one of the generations writes."""
        return key in self._keys

    def indices(self, file: int) -> np.ndarray:
        """`seq_idx` of a file (N,), whose keys and shapes are checked on the way."""
        path, tensors = self.paths[file], self._tensors(file)
        if _kind_of(tensors, path)[0] != self.kind or frozenset(tensors) != self._keys:
            raise ToolError(f"{path} holds other keys than {self.paths[0].name} does: {_MEND}")
        values = tensors[self.key]
        for key in tensors.keys() & {"seq_idx", "pad_mask", "loss_mask", "tokens"}:
            if tensors[key].shape != values.shape[: 1 if key == "seq_idx" else 2]:
                raise ToolError(f"{path} holds {self.key} and {key} of different shapes: {_MEND}")
        width = values.shape[-1]
        if self.kind == "logits" and width not in _VOCABULARIES:
            known = " or ".join(map(str, _VOCABULARIES))
            raise ToolError(f"{path} holds logits of {width} tokens, an Evo 2 model knows {known}: {_MEND}")
        return tensors["seq_idx"].numpy().astype(np.int64)

    def shape(self, file: int, key: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._tensors(file)[key].shape)

    def read(self, file: int, key: str, row: int, start: int | None = None, stop: int | None = None) -> np.ndarray:
        """Copy of a row, or of some of its positions; fewer where it ends before. Floats become float32."""
        if self._mapped > _MOST_MAPPED:
            self.close()
        tensor = self._tensors(file)[key][row]
        tensor = tensor[start:stop] if tensor.ndim else tensor
        values = (tensor.float() if tensor.is_floating_point() else tensor).numpy().copy()
        self._mapped += values.nbytes
        return values

    def close(self) -> None:
        """Give the files back; what is read next opens them again. A network disk keeps open files when deleted."""
        self._open.clear()
        self._mapped = 0

    def _tensors(self, file: int) -> dict[str, Tensor]:
        if file not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)
            self._open[file] = _load(self.paths[file])
        self._open.move_to_end(file)
        return self._open[file]


def _load(path: Path) -> dict[str, Tensor]:
    try:
        # The table of contents stands at the end: what is cut short has none.
        with path.open("rb") as file:
            whole = zipfile.is_zipfile(file)
        content: Any = torch.load(path, map_location="cpu", mmap=True, weights_only=True) if whole else None
    except _DAMAGE as error:
        raise ToolError(f"{path} is damaged ({type(error).__name__}): {_MEND}") from None
    if content is None:
        raise ToolError(f"{path} is cut short, or no file of PyTorch: {_MEND}")
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ToolError(f"{path} does not hold predictions: {_MEND}")
    return content


def _kind_of(tensors: dict[str, Tensor], path: Path) -> tuple[Kind, str]:
    """What a file holds, and the key of it."""
    shapes: dict[tuple[str, int], Kind] = {
        (_LOGITS, 3): "logits",
        (_EMBEDDINGS, 3): "embeddings",
        (_LOGPROBS, 2): "per_token",
        (_LOGPROBS, 1): "collapsed",
    }
    kinds = [(kind, key) for (key, axes), kind in shapes.items() if key in tensors and tensors[key].ndim == axes]
    needed = {"seq_idx", "pad_mask"} if kinds and kinds[0][0] in ("logits", "embeddings") else {"seq_idx"}
    if len(kinds) != 1 or not needed <= tensors.keys():
        raise ToolError(f"{path} does not hold what predictions have, but {', '.join(tensors) or 'nothing'}: {_MEND}")
    return kinds[0]


def _prediction_files(folder: Path) -> list[Path]:
    """All files of all ranks, also in sub-folders."""
    files = sorted(folder.rglob("predictions__rank_*.pt"))
    if not files:
        raise ToolError(f"{folder} holds no predictions (predictions__rank_*.pt): the tool wrote nothing, see its log")
    return files


def _indices_of(folder: Path, names: list[str]) -> np.ndarray:
    """The tool's index of each record (n,), which counts the sorted names."""
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise InputError(f"two sequences are called {twice}: predictions are joined by name, so rename one")
    path = folder / _SEQUENCE_INDEX
    indices = read_json(path)
    numbers = indices.values() if isinstance(indices, dict) else [None]
    if not all(isinstance(number, int) for number in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise ToolError(f"{path} does not number the sequences from 0: {_MEND}")
    for name in names:
        if name not in indices:
            raise ToolError(f"{path} does not know the sequence {name} of the FASTA: {_MEND}")
    if len(indices) != len(names):
        unknown = min(indices.keys() - set(names))
        raise ToolError(f"{path} knows the sequence {unknown}, which is not in the FASTA: {_MEND}")
    return np.array([indices[name] for name in names], np.int64)


def _locate(
    folder: Path, files: _TensorFiles, indices: np.ndarray, names: list[str]
) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """(file, row) of each record, and (record, file, row) of those that are there again."""
    record_of = np.empty(len(indices), np.int64)
    record_of[indices] = np.arange(len(indices))
    places: dict[int, tuple[int, int]] = {}
    repeats = []
    for file, path in enumerate(files.paths):
        for row, index in enumerate(files.indices(file).tolist()):
            if not 0 <= index < len(names):
                raise ToolError(f"{path} holds the unknown sequence number {index} of {len(names)}: {_MEND}")
            record = int(record_of[index])
            if record in places:
                repeats.append((record, file, row))
            places.setdefault(record, (file, row))
    missing = [name for record, name in enumerate(names) if record not in places]
    if missing:
        ranks = sorted({int(match[1]) for path in files.paths if (match := _RANK.match(path.name))})
        raise ToolError(
            f"{folder} lacks the sequence {missing[0]}"
            + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
            + f" of {len(names)}; there are files of rank {', '.join(map(str, ranks))}: {_MEND}"
        )
    return [places[record] for record in range(len(names))], repeats
