"""What the section `embed` of the configuration means for the model of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflow.config import Config
from workflow.embeddings.layers import layer_numbers
from workflow.errors import InputError
from workflow.preflight.shapes import shape_of

if TYPE_CHECKING:
    from workflow.striped_hyena.stretches import Reader


@dataclass(frozen=True)
class EmbeddingPlan:
    """How sequences are embedded.

    Attributes
    ----------
    layers : tuple of int
        From 0.
    of_layers : int
        Layers that the model has.
    width : int
        Of its hidden states.
    reader : Reader
    """

    layers: tuple[int, ...]
    of_layers: int
    width: int
    reader: Reader

    @property
    def row_shape(self) -> tuple[int, int]:
        """Layers, and the numbers of each, of one row of the embeddings."""
        return len(self.layers), self.width * self.reader.readings

    @property
    def is_per_base(self) -> bool:
        """Whether each position has a row of its own."""
        return self.reader.pooling == "all"


def plan_embedding(config: Config) -> EmbeddingPlan:
    """Layers and reader of a run.

    Raises
    ------
    InputError
        There is no such layer, the overlap leaves nothing of a chunk, or PyTorch is not installed.
    """
    shape = shape_of(config.model)
    if shape is None:
        raise InputError("stage=embed needs PyTorch, which is not installed here: pip install 'evo2-adaptation[local]'")
    from workflow.striped_hyena.stretches import Reader

    asked = config.embed
    chunk = asked.chunk_of(config.model.context_length)
    overlap = chunk // 4 if asked.overlap is None else asked.overlap
    if overlap >= chunk:
        raise InputError(f"embed.overlap={overlap} leaves nothing of embed.chunk={chunk}: give fewer")
    layers = tuple(layer_numbers(asked.layers, len(shape.pattern)))
    return EmbeddingPlan(layers, len(shape.pattern), shape.width, Reader(asked.pooling, chunk, overlap, asked.position))
