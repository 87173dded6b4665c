"""Low-rank adapters on a StripedHyena 2, by peft."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from workflow.errors import InputError
from workflow.striped_hyena.model import StripedHyena2


def add_lora(
    model: StripedHyena2,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    targets: Sequence[str],
    key: str = "train.lora",
) -> PeftModel:
    """Freeze the model and put adapters on its linear layers of the given names.

    Adapters are float32 whatever the precision of the base weights.

    Parameters
    ----------
    rank : int
    alpha, dropout : float
    targets : sequence of str
        Names of linear layers, without what stands before the last dot.
    key : str
        The section of the settings that names them, for the message.

    Raises
    ------
    InputError
        A name matches no linear layer: peft alone would pass over it silently.
    """
    available = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if unknown := sorted(set(targets) - available):
        raise InputError(
            f"{key}.targets names no layer of this model: {', '.join(unknown)}; use {', '.join(sorted(available))}"
        )
    settings = LoraConfig(
        r=rank, lora_alpha=cast(int, alpha), lora_dropout=dropout, target_modules=list(targets), bias="none"
    )
    return cast(PeftModel, get_peft_model(cast(Any, model), settings))


def load_adapter(model: StripedHyena2, folder: Path, *, merge: bool) -> StripedHyena2:
    """The model with the adapter of `folder` (peft format).

    Parameters
    ----------
    merge : bool
        Add the adapter to the weights, which is faster, or keep it beside them in float32.

    Raises
    ------
    InputError
        There is no adapter in `folder`.
    """
    if not (folder / "adapter_model.safetensors").exists():
        raise InputError(f"{folder} holds no adapter (adapter_model.safetensors)")
    adapted = PeftModel.from_pretrained(cast(Any, model), str(folder))
    return cast(StripedHyena2, adapted.merge_and_unload() if merge else adapted.get_base_model())


@torch.no_grad()
def adapter_shifts(model: nn.Module) -> dict[str, float]:
    """How far each adapter has moved its layer: ‖scaling · B·A‖ / ‖W‖ (Frobenius); 0 at the start, where B = 0."""
    shifts = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            delta = cast(Any, module).get_delta_weight("default")
            weight = cast(Any, module).get_base_layer().weight
            shifts[name] = float(delta.float().norm() / weight.float().norm())
    return shifts
