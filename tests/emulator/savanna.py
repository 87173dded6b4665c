"""Savanna's `.pt` files: written for tests, and read by the converters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tests.emulator.names import to_megatron
from workflow.striped_hyena import StripedHyena2

_IGNORED = re.compile(r".*(_extra_state|\.inv_freq|\.filter\.t)")


def save_savanna(model: StripedHyena2, path: Path) -> None:
    """Write a model as the published files have it: names of the training code, under the key `module`."""
    tensors = to_megatron(model.state_dict(), model.config.pattern, torch.float32)
    layers = len(model.config.pattern)
    table: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("mlp.linear_fc1.weight"):
            first = _to_savanna(name, layers).replace("linear_fc1", "w1")
            table[first], table[first.replace("w1", "w2")] = (half.clone() for half in tensor.chunk(2))
        else:
            table[_to_savanna(name, layers)] = tensor
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"module": {f"module.{name}": tensor for name, tensor in table.items()}}, path)


def read_savanna(content: Mapping[str, object]) -> tuple[dict[str, Tensor], str]:
    """What a file holds under Megatron's names, and the pattern of its layers."""
    module = content.get("module", content)
    assert isinstance(module, Mapping)
    table = {name.removeprefix("module."): tensor for name, tensor in module.items() if not _IGNORED.fullmatch(name)}
    numbers = [int(name.split(".")[1]) for name in table]
    # Behind the last layer there is the final norm alone.
    layers = len({number for number in numbers if number >= 2}) - 1
    pattern = "".join(_letter(table, f"sequential.{layer + 2}.mixer.") for layer in range(layers))
    tensors: dict[str, Tensor] = {}
    for name, tensor in table.items():
        if name.endswith("mlp.w1.weight"):
            joined = torch.cat([tensor, table[name.replace("w1", "w2")]])
            tensors[_from_savanna(name.replace("w1", "linear_fc1"), pattern)] = joined
        elif not name.endswith("mlp.w2.weight"):
            tensors[_from_savanna(name, pattern)] = tensor
    # The medium filters are stored longer than they are used.
    cut = {name: tensor[:, :128] for name, tensor in tensors.items() if name.endswith(("filter.h", "filter.decay"))}
    return tensors | cut, pattern


def _letter(table: Mapping[str, Tensor], mixer: str) -> str:
    if mixer + "hyena_proj_conv.short_conv_weight" not in table:
        return "*"
    if mixer + "mixer.filter.gamma" in table:
        return "H"
    return "D" if mixer + "mixer.filter.h" in table else "S"


_SAME_IN_BOTH = {
    "mixer.dense_projection.layer_norm_weight": "input_layernorm.weight",
    "self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
    "self_attention.linear_qkv.weight": "mixer.dense_projection.weight",
    "self_attention.linear_proj": "mixer.dense",
    "mlp.linear_fc1.layer_norm_weight": "pre_mlp_layernorm.weight",
    "mlp.linear_fc2.weight": "mlp.w3.weight",
}


def _to_savanna(name: str, layers: int) -> str:
    if name == "embedding.word_embeddings.weight":
        return "sequential.0.word_embeddings.weight"
    if name == "decoder.final_norm.weight":
        return f"sequential.{layers + 3}.norm.weight"
    layer, rest = name.removeprefix("decoder.layers.").split(".", 1)
    for megatron, savanna in _SAME_IN_BOTH.items():
        rest = rest.replace(megatron, savanna) if rest.startswith(megatron) else rest
    return f"sequential.{int(layer) + 2}.{rest}"


def _from_savanna(name: str, pattern: str) -> str:
    _, number, rest = name.split(".", 2)
    if number == "0":
        return "embedding.word_embeddings.weight"
    layer = int(number) - 2
    if layer >= len(pattern):
        return "decoder.final_norm.weight"
    if pattern[layer] == "*":
        first = "self_attention.linear_qkv"
        rest = rest.replace("mixer.dense_projection", first).replace("mixer.dense", "self_attention.linear_proj")
    else:
        first = "mixer.dense_projection"
    rest = rest.replace("pre_mlp_layernorm.weight", "mlp.linear_fc1.layer_norm_weight")
    rest = rest.replace("input_layernorm.weight", f"{first}.layer_norm_weight").replace("mlp.w3", "mlp.linear_fc2")
    return f"decoder.layers.{layer}.{rest}"
