"""The tensors of a checkpoint under vortex's names, whatever its format: read and converted one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from workflow.checkpoints import layouts
from workflow.checkpoints.formats import Opened
from workflow.checkpoints.names import (
    EMBEDDING,
    TIED_COPY,
    Correspondence,
    Dialect,
    correspondences,
    find_final_norm,
    is_ignored,
)
from workflow.checkpoints.stores import TensorInfo, TensorTable
from workflow.errors import InputError
from workflow.striped_hyena.config import ATTENTION, ModelConfig
from workflow.striped_hyena.model import Rotary, StripedHyena2

#: Allowed between the rotary frequencies of a file and those of the architecture: bfloat16 rounding.
_FREQUENCY_TOLERANCE = 2**-7


class VortexTable(TensorTable):
    """Tensors under vortex's names, those of the rotary frequencies and of the tied copy left out.

    Parameters
    ----------
    opened : Opened
        A checkpoint of any format but peft's.
    pattern : str
        Layer letters.

    Attributes
    ----------
    infos : dict
        Shape and dtype of each tensor that the file holds in full.
    missing, unknown : list of str
        Names, as the file would spell them, that it lacks, and that belong to nothing.
    """

    def __init__(self, opened: Opened, pattern: str) -> None:
        assert opened.dialect is not None
        self._opened, self.dialect = opened, opened.dialect
        found = {name.removeprefix(opened.prefix): info for name, info in opened.store.infos.items()}
        entries = correspondences(pattern, find_final_norm(found, pattern))
        present = [entry for entry in entries if all(name in found for name in entry.names(self.dialect))]
        expected = {name for entry in entries for name in entry.names(self.dialect)}
        beside = {frequencies(layer) for layer in attention_layers(pattern)} | {TIED_COPY}
        if self.dialect is not Dialect.VORTEX:
            beside = {f"sequential.{len(pattern) + place}.word_embeddings.weight" for place in (3, 4, 5)}
        self.missing = [opened.prefix + name for name in sorted(expected - found.keys())]
        self.unknown = [
            opened.prefix + name
            for name in sorted(found.keys() - expected - beside)
            if not is_ignored(name, self.dialect) and ".adapter." not in name
        ]
        infos: dict[str, TensorInfo] = {}
        self.infos = infos
        self._entries: dict[str, tuple[Correspondence, int]] = {}
        for entry in present:
            infos |= self._describe(entry, found)
        self._latest: tuple[Correspondence, tuple[Tensor, ...]] | None = None

    def _describe(self, entry: Correspondence, found: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
        names = entry.names(self.dialect)
        try:
            tensors = layouts.to_vortex(entry, [found[name].meta() for name in names], self.dialect)
        except (RuntimeError, IndexError):
            shapes = " and ".join(f"{name} {found[name].shape}" for name in names)
            raise InputError(f"checkpoint {self._opened.path}: {shapes} cannot be {entry.vortex[0]}") from None
        self._entries |= {name: (entry, index) for index, name in enumerate(entry.vortex)}
        return {
            name: TensorInfo(tuple(tensor.shape), tensor.dtype)
            for name, tensor in zip(entry.vortex, tensors, strict=True)
        }

    def __getitem__(self, name: str) -> Tensor:
        entry, index = self._entries[name]
        # Both halves of a fused matrix come from one reading.
        if self._latest is None or self._latest[0] is not entry:
            tensors = [self._opened.store.read(self._opened.prefix + part) for part in entry.names(self.dialect)]
            self._latest = entry, layouts.to_vortex(entry, tensors, self.dialect)
        return self._latest[1][index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class ModelTable(TensorTable):
    """Every tensor of a model's state, in its order: a `VortexTable` that is complete and of the right shapes.

    Raises
    ------
    InputError
        A tensor is missing, unknown or of another shape; the output embedding is not the input embedding; or the
        rotary frequencies in the file are those of another architecture.
    """

    def __init__(self, opened: Opened, config: ModelConfig) -> None:
        self._opened, self._config = opened, config
        self._table = VortexTable(opened, config.pattern)
        with torch.device("meta"):
            model = StripedHyena2(config)
        self._shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        self._frequencies = {frequencies(layer) for layer in attention_layers(config.pattern)}
        self._check()
        self.infos = {name: self._frequency_info(name) or self._table.infos[name] for name in self._shapes}

    def _frequency_info(self, name: str) -> TensorInfo | None:
        """Shape and dtype of rotary frequencies: the file's own where it has them."""
        if name not in self._frequencies:
            return None
        return self._opened.store.infos.get(name, TensorInfo((self._config.head_width // 2,), torch.float32))

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._frequencies:
            return self._table[name]
        computed = Rotary(self._config).inv_freq
        if name not in self._opened.store.infos:
            return computed
        stored = self._opened.store.read(name)
        if stored.shape != computed.shape or not torch.allclose(stored.float(), computed, rtol=_FREQUENCY_TOLERANCE):
            raise InputError(
                f"checkpoint {self._opened.path}: {name} is not that of rope_base {self._config.rope_base:g} "
                f"and {self._config.heads} heads: it holds another architecture"
            )
        return stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def _check(self) -> None:
        problems = [
            ("missing", self._table.missing),
            ("unknown", self._table.unknown),
            (
                "of another shape",
                [
                    f"{name} {info.shape} instead of {self._shapes[name]}"
                    for name, info in self._table.infos.items()
                    if info.shape != self._shapes[name]
                ],
            ),
        ]
        if told := "; ".join(f"{what}: {_shortened(names)}" for what, names in problems if names):
            raise InputError(f"checkpoint {self._opened.path} does not fit the architecture: {told}")
        for name in self._tied_copies():
            if not torch.equal(self._opened.store.read(name), self._table[EMBEDDING]):
                raise InputError(
                    f"checkpoint {self._opened.path}: {name} differs from {EMBEDDING}; this model ties them"
                )

    def _tied_copies(self) -> list[str]:
        first = f"{self._opened.prefix}sequential.0.word_embeddings.weight"
        return [
            name
            for name in self._opened.store.infos
            if name == TIED_COPY
            or (name.endswith(".word_embeddings.weight") and "sequential." in name and name != first)
        ]


def attention_layers(pattern: str) -> list[int]:
    """Numbers of the attention layers."""
    return [layer for layer, kind in enumerate(pattern) if kind == ATTENTION]


def frequencies(layer: int) -> str:
    """Vortex's name of an attention layer's rotary frequencies."""
    return f"blocks.{layer}.inner_mha_cls.rotary_emb.inv_freq"


def _shortened(names: list[str], most: int = 8) -> str:
    """A list for a message of one line."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
