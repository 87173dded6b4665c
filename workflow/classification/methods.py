"""What of a classifier trains: heads alone, adapters, all weights, the later ones, or all from random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from peft import IA3Config, PeftModel, get_peft_model
from peft.tuners.ia3 import IA3Layer
from torch import Tensor, nn

from workflow.classification.classifier import Classifier
from workflow.config import ClassifyConfig, LoraConfig
from workflow.gates import GateLog
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.adapters import adapter_shifts, add_lora
from workflow.striped_hyena.poles import make_filters_trainable

#: Those whose backbone keeps its weights.
KEEPS_BASE = ("head", "lora", "ia3")
#: Scaled by IA3: what comes out of the mixers' projections, and what goes into the last layer of the MLP, as in Liu et
#: al. 2022 (arXiv:2205.05638), where these are keys, values and the inner activations.
_IA3_OUTPUTS, _IA3_INPUTS = ["projections", "Wqkv"], ["l3"]


@dataclass
class Trainable:
    """A classifier of which a part is to be trained.

    Attributes
    ----------
    method : str
    classifier : Classifier
        What trains of it has `requires_grad`.
    adapter : PeftModel, optional
        Around its backbone, where there are adapters.
    frozen_share : float
        Of the backbone's parameters, those that keep their values.
    """

    method: str
    classifier: Classifier
    adapter: PeftModel | None = None
    frozen_share: float = 1.0
    _first_heads: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._first_heads = [head.weight.detach().clone() for head in self.classifier.linear_heads]

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """What trains, by name."""
        return {name: value for name, value in self.classifier.named_parameters() if value.requires_grad}

    @torch.no_grad()
    def shifts(self) -> dict[str, dict[str, float]]:
        """How far each head and each adapter has moved, relative to where it began, by name; 0 for not at all."""
        pairs = zip(self.classifier.linear_heads, self._first_heads, strict=True)
        heads = {
            f"head {number}": float((head.weight.cpu() - first).norm() / first.norm())
            for number, (head, first) in enumerate(pairs)
        }
        adapters = {**adapter_shifts(self.classifier.backbone), **_ia3_shifts(self.classifier.backbone)}
        return {"heads": heads, "adapters": adapters}

    def check_movement(self, gates: GateLog, steps: int) -> None:
        """Gate `adapters_move`: every head and every adapter has left the value that it began with.

        Raises
        ------
        GateError
            One has not: it was frozen, or the optimizer does not know it.
        """
        shifts = {name: shift for part in self.shifts().values() for name, shift in part.items()}
        unmoved = [name for name, shift in shifts.items() if shift == 0]
        gates.check(
            "adapters_move",
            not unmoved,
            saw=f"{len(unmoved)} of {len(shifts)} heads and adapters of {self.method} unmoved after {steps} steps"
            + (f", such as {unmoved[0]}" if unmoved else ""),
            limit="0 unmoved",
            why="A head that stays at its random start makes random labels, whatever the model below it learns.",
            subject=f"classify {self.method}",
        )


def make_trainable(
    method: str, backbone: StripedHyena2, outputs: Sequence[int], config: ClassifyConfig, seed: int
) -> Trainable:
    """A classifier on a backbone, with the parts that `method` trains.

    Heads are no part of the backbone, so that nothing that freezes it can freeze them.

    Parameters
    ----------
    method : str
        One of `workflow.config.classify.NEURAL`.
    backbone : StripedHyena2
        In float32; changed in place.
    outputs : sequence of int
        Numbers of each head.
    seed : int
        Of the heads', the adapters' and, for `random`, all weights.

    Raises
    ------
    InputError
        `classify.lora.targets` names no layer of the model.
    """
    torch.manual_seed(seed)
    if method == "random":
        backbone = StripedHyena2(backbone.config, activation_checkpointing=backbone.activation_checkpointing)
    classifier = Classifier(
        backbone,
        outputs,
        final_norm=config.layer is None,
        pooling=config.pooling,
        per_base=config.task == "per_base",
        precision=config.precision,
    )
    if method in KEEPS_BASE:
        backbone.requires_grad_(False)
        if config.precision == "bf16":
            backbone.to_bfloat16()
        return Trainable(method, classifier, _attach(method, backbone, config))
    make_filters_trainable(backbone)
    if method == "frozen":
        _freeze(backbone, config.frozen_share)
    backbone.norm.requires_grad_(backbone.norm.scale.requires_grad and config.layer is None)
    parameters = list(backbone.parameters())
    frozen = sum(parameter.numel() for parameter in parameters if not parameter.requires_grad)
    return Trainable(method, classifier, None, frozen / sum(parameter.numel() for parameter in parameters))


def _attach(method: str, backbone: StripedHyena2, config: ClassifyConfig) -> PeftModel | None:
    if method == "lora":
        lora, there = config.lora, _layer_names(backbone)
        # A backbone that ends early may lack a kind of block, but not a name that no block has.
        targets = [name for name in lora.targets if name in there or name not in LoraConfig().targets]
        return add_lora(
            backbone,
            rank=lora.rank,
            alpha=lora.alpha,
            dropout=lora.dropout,
            targets=targets or lora.targets,
            key="classify.lora",
        )
    if method == "ia3":
        return _add_ia3(backbone)
    return None


def _add_ia3(backbone: StripedHyena2) -> PeftModel:
    targets = [name for name in (*_IA3_OUTPUTS, *_IA3_INPUTS) if name in _layer_names(backbone)]
    settings = IA3Config(target_modules=targets, feedforward_modules=_IA3_INPUTS)
    return cast(PeftModel, get_peft_model(cast(Any, backbone), settings))


def _layer_names(backbone: StripedHyena2) -> set[str]:
    return {name.rpartition(".")[2] for name, module in backbone.named_modules() if isinstance(module, nn.Linear)}


def _freeze(backbone: StripedHyena2, share: float) -> None:
    """Freeze the first `share` of the blocks, and with them the embedding; with all of them the final norm."""
    kept = round(share * len(backbone.blocks))
    for block in backbone.blocks[:kept]:
        block.requires_grad_(False)
    backbone.embedding_layer.requires_grad_(kept == 0)
    backbone.norm.requires_grad_(kept < len(backbone.blocks))


def _ia3_shifts(model: nn.Module) -> dict[str, float]:
    """‖l − 1‖ / ‖1‖ of each vector of IA3, which begins at 1."""
    return {
        name: float((module.ia3_l["default"].float() - 1).square().mean().sqrt())
        for name, module in model.named_modules()
        if isinstance(module, IA3Layer)
    }
