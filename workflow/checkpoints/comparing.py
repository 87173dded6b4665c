"""Two checkpoints of any formats against one another: tensor by tensor, and by what they say of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from workflow.checkpoints.architecture import stored_architecture
from workflow.checkpoints.formats import open_checkpoint
from workflow.checkpoints.reading import Weights, load_model, read_weights
from workflow.errors import InputError
from workflow.striped_hyena.config import ModelConfig
from workflow.striped_hyena.scoring import score_sequences

_BATCH_TOKENS = 8192


@dataclass(frozen=True)
class TensorDifference:
    """Largest absolute difference of a tensor, and the largest absolute number in the first checkpoint."""

    name: str
    difference: float
    largest: float
    dtypes: tuple[str, str]


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints.

    Attributes
    ----------
    tensors : list of TensorDifference
        Every tensor, the most different first.
    nll : tuple of float, optional
        Mean negative log-likelihood of each, in nats per base.
    largest_logprob_difference : float, optional
        Of any observed base, in nats.
    """

    tensors: list[TensorDifference]
    nll: tuple[float, float] | None = None
    largest_logprob_difference: float | None = None

    @property
    def identical(self) -> bool:
        """Whether all numbers are equal."""
        return all(tensor.difference == 0 for tensor in self.tensors)


def compare(
    a: Path, b: Path, config: ModelConfig | None = None, sequences: Mapping[str, np.ndarray] | None = None
) -> Comparison:
    """Compare two checkpoints of the same architecture.

    Parameters
    ----------
    a, b : Path
        Of any format.
    config : ModelConfig, optional
        The architecture, where neither says it.
    sequences : mapping, optional
        Name → (length,) uint8 ASCII; both models score them in float32.

    Raises
    ------
    InputError
        A checkpoint cannot be read, or the architectures differ.
    """
    config = config or stored_architecture(open_checkpoint(a)) or stored_architecture(open_checkpoint(b))
    first, second = read_weights(a, config), read_weights(b, config)
    if first.config != second.config:
        raise InputError(f"{a} and {b} are of different architectures")
    tensors = sorted(_differences(first, second), key=lambda tensor: -tensor.difference)
    if not sequences:
        return Comparison(tensors)
    scores = [_logprobs(path, first.config, sequences) for path in (a, b)]
    bases = sum(map(len, scores[0]))
    if not bases:
        raise InputError("the sequences hold no A, C, G or T to compare the checkpoints by")
    nll = -sum(float(x.sum()) for x in scores[0]) / bases, -sum(float(x.sum()) for x in scores[1]) / bases
    return Comparison(tensors, nll, max(float(np.abs(x - y).max()) for x, y in zip(*scores, strict=True)))


def _differences(first: Weights, second: Weights) -> list[TensorDifference]:
    found = []
    for name in first.tensors:
        x, y = first.tensors[name], second.tensors[name]
        difference = float((x.float() - y.float()).abs().max())
        dtypes = tuple(str(tensor.dtype).removeprefix("torch.") for tensor in (x, y))
        found.append(TensorDifference(name, difference, float(x.float().abs().max()), (dtypes[0], dtypes[1])))
    return found


def _logprobs(path: Path, config: ModelConfig, sequences: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Log-probabilities of the observed bases A, C, G, T, sequence by sequence."""
    model = load_model(path, config).float().to("cuda" if torch.cuda.is_available() else "cpu")
    observed = []
    for sequence, score in zip(
        sequences.values(), score_sequences(model, sequences.values(), batch_tokens=_BATCH_TOKENS), strict=True
    ):
        column = np.full(256, -1)
        column[list(b"ACGTacgt")] = [0, 1, 2, 3, 0, 1, 2, 3]
        columns = column[sequence]
        observed.append(score.logprobs[np.arange(len(sequence)), columns][columns >= 0].astype(np.float64))
    return observed
