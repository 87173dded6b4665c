"""Embeddings: hidden states of some layers, pooled over each sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from workflow.striped_hyena.batching import batches
from workflow.striped_hyena.model import StripedHyena2
from workflow.striped_hyena.pooling import pool
from workflow.striped_hyena.stretches import Reader, Stretch
from workflow.striped_hyena.tokens import BEGIN, pad, to_upper

_Cut = tuple[Stretch, np.ndarray]


def embed_sequences(
    model: StripedHyena2,
    sequences: Iterable[np.ndarray],
    *,
    layers: Sequence[int],
    pooling: str,
    batch_tokens: int,
    chunk: int,
    overlap: int,
    position: int | None = None,
) -> Iterator[np.ndarray]:
    """Embed sequences in order; each gets the same vectors alone and in any batch, but for rounding.

    Parameters
    ----------
    model : StripedHyena2
        In the precision and on the device to be used.
    sequences : iterable of ndarray
        (length,) uint8, ASCII in either case; not empty.
    layers : sequence of int
        Numbers from 0: the states are what blocks give, before the final norm.
    pooling, chunk, overlap, position
        As in `Reader`.
    batch_tokens : int
        Most positions of one forward pass, begin tokens and padding included.

    Yields
    ------
    ndarray, float32
        (layers, width), with `both_strands` (layers, 2 · width), with `all` (layers, length, width): one a sequence.
    """
    reader = Reader(pooling, chunk, overlap, position)
    lengths: list[int] = []

    def noted() -> Iterator[np.ndarray]:
        for sequence in sequences:
            lengths.append(len(sequence))
            yield sequence

    rows = embedding_rows(model, noted(), reader, layers=layers, batch_tokens=batch_tokens)
    held: list[np.ndarray] = []
    for part in rows:
        held.append(part)
        if pooling != "all" or sum(map(len, held)) == lengths[0]:
            whole = np.concatenate(held).swapaxes(0, 1)
            yield whole if pooling == "all" else whole[:, 0]
            held.clear()
            lengths.pop(0)


def embedding_rows(
    model: StripedHyena2, sequences: Iterable[np.ndarray], reader: Reader, *, layers: Sequence[int], batch_tokens: int
) -> Iterator[np.ndarray]:
    """As `embed_sequences`, but in rows (rows, layers, width) as `Reader.join` gives them.

    Sequences are grouped by `Reader.tokens` alone: what begins at the border of a group (see `batches`) is computed
    alike, bit for bit, whatever came before it.
    """
    model.eval()
    groups = batches(sequences, batch_tokens, lambda sequence: reader.tokens(len(sequence)))
    return reader.join(part for group in groups for part in _read(model, group, reader, layers, batch_tokens))


def hidden_states(model: StripedHyena2, ids: Tensor, mask: Tensor, layers: Sequence[int]) -> list[Tensor]:
    """Outputs of some blocks, each (B, L, D); those after the last that is wanted are not computed.

    The same as `hidden` of the model's own forward pass.
    """
    found: dict[int, Tensor] = {}
    x = model.embedding_layer(ids)
    for number, block in enumerate(model.blocks[: max(layers) + 1]):
        x = block(x, mask, None)
        if number in layers:
            found[number] = x
    return [found[layer] for layer in layers]


def _read(
    model: StripedHyena2, group: Sequence[np.ndarray], reader: Reader, layers: Sequence[int], batch_tokens: int
) -> Iterator[tuple[Stretch, np.ndarray]]:
    cuts = ((stretch, stretch.of(bases)) for bases in group for stretch in reader.stretches(len(bases)))
    for batch in batches(cuts, batch_tokens, lambda cut: len(cut[1]) + 1):
        parts = _read_batch(model, batch, reader.pooling_of_stretch, layers)
        yield from zip((stretch for stretch, _ in batch), parts, strict=True)


@torch.inference_mode()
def _read_batch(model: StripedHyena2, batch: list[_Cut], pooling: str, layers: Sequence[int]) -> list[np.ndarray]:
    """Of each stretch (layers, width) float32; with `all` (counted, layers, width)."""
    device = model.norm.scale.device
    begin = torch.tensor([BEGIN])
    ids, mask = pad([torch.cat([begin, torch.from_numpy(bases.astype(np.int64))]) for _, bases in batch])
    first = torch.tensor([stretch.first + 1 for stretch, _ in batch])
    counts = mask & (torch.arange(ids.shape[1]) >= first[:, None])
    ids, mask, counts = to_upper(ids).to(device), mask.to(device), counts.to(device)
    states = hidden_states(model, ids, mask, layers)
    if pooling == "all":
        stacked = torch.stack(states, dim=2).float()
        return [stacked[row, counts[row]].cpu().numpy() for row in range(len(batch))]
    pooled = torch.stack([pool(state, counts, pooling) for state in states], dim=1)
    return list(pooled.cpu().numpy())
