"""Low-rank adapters on Megatron's modules: one on the stacked matrix of the MLP, where the engine has two layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.emulator.names import ADAPTED
from tests.emulator.setting import Refused
from workflow.striped_hyena import StripedHyena2

_NAME = re.compile(r"(decoder\.layers\.\d+\..*)\.adapter\.linear_(in|out)\.weight")


class Adapter(nn.Module):
    """alpha / dim · linear_out · linear_in beside the engine's layers that one module of Megatron stands for."""

    def __init__(self, layers: list[nn.Linear], dim: int, alpha: float, dropout: float) -> None:
        super().__init__()
        rows = sum(layer.out_features for layer in layers)
        self.linear_in = nn.Parameter(nn.init.xavier_normal_(torch.empty(dim, layers[0].in_features)))
        self.linear_out = nn.Parameter(torch.zeros(rows, dim))
        self.scale, self.dropout = alpha / dim, dropout
        first = 0
        for layer in layers:
            layer.register_forward_hook(self._hook(first, first + layer.out_features))
            first += layer.out_features

    def _hook(self, first: int, end: int) -> Any:
        def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            x = F.dropout(inputs[0].to(self.linear_in.dtype), self.dropout, self.training)
            low = F.linear(F.linear(x, self.linear_in), self.linear_out[first:end])
            return output + (self.scale * low).to(output.dtype)

        return add


class Adapted(nn.Module):
    """A frozen model with adapters on the target modules of every layer that has them."""

    def __init__(
        self, model: StripedHyena2, targets: Iterable[str], *, dim: int, alpha: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.names: list[str] = []
        self.adapters = nn.ModuleList()
        modules = dict(model.named_modules())
        for layer in range(len(model.config.pattern)):
            for target in targets:
                megatron, engine = ADAPTED[target]
                layers = [modules.get(f"blocks.{layer}.{name}") for name in engine]
                if all(isinstance(found, nn.Linear) for found in layers):
                    self.names.append(f"decoder.layers.{layer}.{megatron}")
                    self.adapters.append(Adapter(layers, dim, alpha, dropout))  # type: ignore[arg-type]

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return self.model(*arguments, **options)

    def tensors(self) -> dict[str, Tensor]:
        """The adapters under Megatron's names."""
        return {
            f"{name}.adapter.linear_{side}.weight": getattr(adapter, f"linear_{side}").detach().clone()
            for name, adapter in zip(self.names, self.adapters, strict=True)
            for side in ("in", "out")
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over stored adapters.

        Raises
        ------
        Refused
            One is missing, or of another rank.
        """
        for name, own in self.tensors().items():
            stored = tensors.get(name)
            if stored is None or stored.shape != own.shape:
                found = "missing" if stored is None else f"of shape {tuple(stored.shape)}, expected {tuple(own.shape)}"
                raise Refused(f"megatron.core.dist_checkpointing.core.CheckpointingException: {name} is {found}")
            module, side = _NAME.fullmatch(name).groups()  # type: ignore[union-attr]
            getattr(self.adapters[self.names.index(module)], f"linear_{side}").copy_(stored)


def is_adapter(name: str) -> bool:
    """Whether a Megatron name is an adapter's."""
    return _NAME.fullmatch(name) is not None
