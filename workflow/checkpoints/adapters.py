"""Low-rank adapters of every origin: peft's, and those that NVIDIA's tools train.

Each comes down to pairs A (rank, in) and B (out, rank) for our linear layers, W + scale · B · A, and, with
NeMo2, to other tensors that stand in the same folder and were trained with them (the final norm).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workflow.artifacts import read_json
from workflow.checkpoints.architecture import read_settings, stored_architecture
from workflow.checkpoints.formats import PEFT_CONFIG, Format, Opened, open_checkpoint
from workflow.checkpoints.names import find_pattern, is_ignored
from workflow.checkpoints.stores import TensorInfo, TensorTable
from workflow.checkpoints.tables import VortexTable
from workflow.errors import InputError

#: NeMo2 2.7 has no setting for these and writes none.
_NEMO2_DEFAULT_ALPHA = 32.0
_PEFT_NAME = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")
_MEGATRON_NAME = re.compile(
    r"decoder\.layers\.(?P<layer>\d+)\.(?P<module>.+)\.adapter\.(?P<side>linear_in|linear_out)\.weight"
)
_MODULES: dict[str, tuple[str, ...]] = {
    "mixer.dense_projection": ("projections",),
    "mixer.dense": ("out_filter_dense",),
    "self_attention.linear_qkv": ("inner_mha_cls.Wqkv",),
    "self_attention.linear_proj": ("inner_mha_cls.out_proj",),
    "mlp.linear_fc1": ("mlp.l1", "mlp.l2"),
    "mlp.linear_fc2": ("mlp.l3",),
}


@dataclass(frozen=True)
class LowRank:
    """One adapter: the names of its two matrices in the file, and the rows of B that are this layer's."""

    a: str
    b: str
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Adapter:
    """An adapter that is not read yet.

    Attributes
    ----------
    opened : Opened
        Its files.
    rank : int
        Of every pair.
    alpha : float
        The shift is alpha / rank · B · A.
    alpha_is_stated : bool
        Whether the files say alpha; else it is the tool's default.
    targets : list of str
        Our names of the adapted kinds of layers.
    base : str, optional
        The base checkpoint that the files name.
    layers : dict
        Our name of each adapted layer → its pair.
    replaced : VortexTable, optional
        Tensors that stand beside the adapters and take the place of the base's.
    """

    opened: Opened
    rank: int
    alpha: float
    alpha_is_stated: bool
    base: str | None
    layers: dict[str, LowRank] = field(repr=False)
    replaced: VortexTable | None = field(default=None, repr=False)

    @property
    def targets(self) -> list[str]:
        """Our names of the adapted kinds of layers."""
        return sorted({name.rpartition(".")[2] for name in self.layers})

    @property
    def infos(self) -> list[TensorInfo]:
        """Shapes and dtypes of the matrices."""
        names = {name for pair in self.layers.values() for name in (pair.a, pair.b)}
        return [self.opened.store.infos[name] for name in sorted(names)]

    def shift(self, layer: str) -> Tensor:
        """scale · B · A of one layer, in float32."""
        pair = self.layers[layer]
        a, b = self.opened.store.read(pair.a).float(), self.opened.store.read(pair.b).float()
        if b.shape[0] % pair.parts or a.shape[0] != b.shape[1]:
            raise InputError(f"{self.opened.path}: {pair.a} {tuple(a.shape)} and {pair.b} {tuple(b.shape)} do not fit")
        return (self.alpha / self.rank) * (b.chunk(pair.parts)[pair.part] @ a)


class AdaptedTable(TensorTable):
    """The tensors of a model with an adapter added; the adapted ones in float32.

    Raises
    ------
    InputError
        The adapter is for layers that the model has not, or of another size.
    """

    def __init__(self, base: TensorTable, adapter: Adapter) -> None:
        self._base, self._adapter = base, adapter
        if foreign := sorted(f"{layer}.weight" for layer in adapter.layers if f"{layer}.weight" not in base):
            raise InputError(f"{adapter.opened.path} adapts {foreign[0]}, which the base model has not")
        self._replaced: Mapping[str, Tensor] = adapter.replaced or {}
        self.infos = {name: self._info(name) for name in base}

    def _info(self, name: str) -> TensorInfo:
        info, replaced = self._base.infos[name], self._adapter.replaced
        if replaced is not None and name in replaced:
            if replaced.infos[name].shape != info.shape:
                raise InputError(f"{self._adapter.opened.path} holds {name} of another shape than the base model")
            info = replaced.infos[name]
        return TensorInfo(info.shape, torch.float32) if self._is_adapted(name) else info

    def _is_adapted(self, name: str) -> bool:
        return name.endswith(".weight") and name.removesuffix(".weight") in self._adapter.layers

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._replaced[name] if name in self._replaced else self._base[name]
        if not self._is_adapted(name):
            return tensor
        layer = name.removesuffix(".weight")
        shift = self._adapter.shift(layer)
        if shift.shape != tensor.shape:
            raise InputError(
                f"{self._adapter.opened.path}: the adapter of {layer} is for a matrix {tuple(shift.shape)}, "
                f"the base model has {tuple(tensor.shape)}"
            )
        return tensor.float() + shift

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


def open_adapter(path: Path) -> Adapter:
    """An adapter of any origin.

    Raises
    ------
    InputError
        There is none, it is damaged, or of a kind that is no plain LoRA.
    """
    opened = open_checkpoint(path)
    if opened.format is Format.PEFT:
        return _open_peft(opened)
    if opened.format.is_adapter:
        return _open_megatron(opened)
    raise InputError(f"{path} holds no adapter, but weights ({opened.format})")


def _open_peft(opened: Opened) -> Adapter:
    file = opened.path / PEFT_CONFIG
    settings = read_json(file)
    for key in ("use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern"):
        if settings.get(key):
            raise InputError(f"{file}: {key} is not supported: the adapter is no plain LoRA")
    pairs: dict[str, dict[str, str]] = {}
    for name in opened.store.infos:
        match = _PEFT_NAME.fullmatch(name)
        if match is None:
            raise InputError(f"{opened.path} holds {name}, which is no part of a LoRA")
        pairs.setdefault(match["layer"], {})[match["side"]] = name
    layers = {layer: LowRank(*_both(opened, layer, pair, "A", "B")) for layer, pair in pairs.items()}
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    if not isinstance(rank, int) or not isinstance(alpha, int | float):
        raise InputError(f"{file} does not say r and lora_alpha")
    return _checked(Adapter(opened, rank, float(alpha), True, settings.get("base_model_name_or_path"), layers))


def _open_megatron(opened: Opened) -> Adapter:
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for name in opened.store.infos:
        if match := _MEGATRON_NAME.fullmatch(name.removeprefix(opened.prefix)):
            pairs.setdefault((match["layer"], match["module"]), {})[match["side"]] = name
    layers: dict[str, LowRank] = {}
    for (layer, module), pair in pairs.items():
        if module not in _MODULES:
            raise InputError(f"{opened.path} adapts {module}, for which this engine has no adapter")
        a, b = _both(opened, module, pair, "linear_in", "linear_out")
        ours = _MODULES[module]
        layers |= {f"blocks.{layer}.{name}": LowRank(a, b, part, len(ours)) for part, name in enumerate(ours)}
    ranks = {opened.store.infos[pair.a].shape[0] for pair in layers.values()}
    if len(ranks) != 1:
        raise InputError(f"{opened.path}: adapters of several ranks {sorted(ranks)}, or none")
    rank = ranks.pop()
    settings = _megatron_settings(opened)
    if settings.get("dim") not in (None, rank):
        raise InputError(f"{opened.config_file} says rank {settings['dim']}, the tensors have {rank}")
    alpha = settings.get("alpha")
    replaced = VortexTable(opened, pattern) if (pattern := _pattern_of_weights_beside(opened)) else None
    stated = isinstance(alpha, int | float)
    return _checked(
        Adapter(
            opened,
            rank,
            float(alpha) if stated and alpha is not None else _NEMO2_DEFAULT_ALPHA,
            stated,
            _named_base(opened),
            layers,
            replaced,
        )
    )


def _pattern_of_weights_beside(opened: Opened) -> str | None:
    """Layer letters where weights stand beside the adapters (NeMo2), all of them or the trained ones, else None.

    Raises
    ------
    InputError
        There are some, and no telling of which layers.
    """
    assert opened.dialect is not None
    names = [name.removeprefix(opened.prefix) for name in opened.store.infos]
    beside = [name for name in names if ".adapter." not in name and not is_ignored(name, opened.dialect)]
    if not beside:
        return None
    if pattern := find_pattern(beside, opened.dialect):
        return pattern
    config = stored_architecture(opened)
    if config is None:
        raise InputError(f"{opened.path} holds {beside[0]} beside its adapters, but no settings of the model it is of")
    return config.pattern


def _both(opened: Opened, layer: str, pair: Mapping[str, str], first: str, second: str) -> tuple[str, str]:
    if first not in pair or second not in pair:
        raise InputError(f"{opened.path}: the adapter of {layer} lacks {second if first in pair else first}")
    return pair[first], pair[second]


def _checked(adapter: Adapter) -> Adapter:
    for layer, pair in adapter.layers.items():
        if adapter.opened.store.infos[pair.a].shape[0] != adapter.rank:
            raise InputError(f"{adapter.opened.path}: the adapter of {layer} is not of rank {adapter.rank}")
    return adapter


def _megatron_settings(opened: Opened) -> dict[str, Any]:
    """The section on adapters of the tool's own configuration; empty where there is none."""
    if opened.config_file is None:
        return {}
    key = "model_transform" if opened.format is Format.NEMO2_LORA else "peft"
    section = read_settings(opened.config_file).get(key)
    return section if isinstance(section, dict) else {}


def _named_base(opened: Opened) -> str | None:
    if opened.format is Format.NEMO2_LORA:
        file = opened.store.path / "adapter_metadata.json"
        base = read_json(file).get("model_ckpt_path") if file.is_file() else None
    else:
        assert opened.config_file is not None
        section = read_settings(opened.config_file).get("checkpoint")
        base = section.get("pretrained_checkpoint") if isinstance(section, dict) else None
    return str(base) if base else None


def adapter_shifts(path: Path) -> dict[str, float]:
    """Frobenius norm of each adapter's B (linear_out), which is zero before the first step.

    Only these small matrices are read.

    Raises
    ------
    InputError
        `path` holds no adapter, or is damaged.
    """
    adapter = open_adapter(path)
    by_file = {pair.b: pair for pair in adapter.layers.values()}
    return {name: float(adapter.opened.store.read(name).float().norm()) for name in sorted(by_file)}
