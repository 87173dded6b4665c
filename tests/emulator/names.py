"""The engine's tensors under Megatron's names and back, written for the emulator alone.

The project has a table of its own; that the two agree is what the tests of both show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from workflow.striped_hyena.config import PRESETS, ModelConfig

#: Adapted modules of Megatron: the layer's module there, and what it stands for in the engine.
ADAPTED = {
    "dense_projection": ("mixer.dense_projection", ("projections",)),
    "dense": ("mixer.dense", ("out_filter_dense",)),
    "linear_qkv": ("self_attention.linear_qkv", ("inner_mha_cls.Wqkv",)),
    "linear_proj": ("self_attention.linear_proj", ("inner_mha_cls.out_proj",)),
    "linear_fc1": ("mlp.linear_fc1", ("mlp.l1", "mlp.l2")),
    "linear_fc2": ("mlp.linear_fc2", ("mlp.l3",)),
}
_SIZES = {
    "nemo2": {
        "1b": "evo2_1b_base",
        "7b": "evo2_7b_base",
        "7b_arc_longcontext": "evo2_7b",
        "40b": "evo2_40b_base",
        "40b_arc_longcontext": "evo2_40b",
    },
    "mbridge": {name: name for name in PRESETS if name.startswith("evo2_")},
}
_TEST_SIZES = ("test", "test_nv", "striped_hyena_test", "striped_hyena_test_nv")
_SHARED = {
    "pre_norm.scale": "{first}.layer_norm_weight",
    "post_norm.scale": "mlp.linear_fc1.layer_norm_weight",
    "mlp.l3.weight": "mlp.linear_fc2.weight",
}
_HYENA = {
    "projections.weight": "mixer.dense_projection.weight",
    "out_filter_dense.weight": "mixer.dense.weight",
    "out_filter_dense.bias": "mixer.dense.bias",
}
_ATTENTION = {
    "inner_mha_cls.Wqkv.weight": "self_attention.linear_qkv.weight",
    "inner_mha_cls.out_proj.weight": "self_attention.linear_proj.weight",
    "inner_mha_cls.out_proj.bias": "self_attention.linear_proj.bias",
}
_FILTER = re.compile(r".*\.filter\.(h|decay|gamma|R|p)")


def architecture(toolchain: str, size: str, weights: Mapping[str, Tensor]) -> ModelConfig:
    """What a `--model-size` stands for; a test size takes whatever the engine's weights say (four heads)."""
    if size in _SIZES[toolchain]:
        return PRESETS[_SIZES[toolchain][size]]
    if size not in _TEST_SIZES:
        raise KeyError(f"{size} is not emulated")
    return architecture_of(weights) if weights else PRESETS["tiny"]


def architecture_of(weights: Mapping[str, Tensor]) -> ModelConfig:
    """Sizes from shapes."""
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    groups = [tensor.shape[0] for name, tensor in weights.items() if name.endswith(".filter.h")]
    vocabulary, width = weights["embedding_layer.weight"].shape
    return ModelConfig(
        pattern="".join(_letter(weights, f"blocks.{layer}.") for layer in range(layers)),
        width=width,
        heads=4,
        mlp_width=weights["blocks.0.mlp.l1.weight"].shape[0],
        filter_groups=groups[0] if groups else width,
        vocabulary=vocabulary,
    )


def _letter(weights: Mapping[str, Tensor], block: str) -> str:
    if block + "inner_mha_cls.Wqkv.weight" in weights:
        return "*"
    if block + "filter.log_poles" in weights:
        return "H"
    return "S" if weights[block + "filter.h"].shape[-1] == 7 else "D"


def to_megatron(weights: Mapping[str, Tensor], pattern: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """The engine's weights under Megatron's names, without a prefix, filters too in `dtype`."""
    out = {"embedding.word_embeddings.weight": weights["embedding_layer.weight"]}
    for layer, kind in enumerate(pattern):
        block, theirs = f"blocks.{layer}.", f"decoder.layers.{layer}."
        out |= {theirs + name: weights[block + ours] for ours, name in _plain_names(kind).items()}
        gated = [weights[f"{block}mlp.{half}.weight"] for half in ("l1", "l2")]
        out[theirs + "mlp.linear_fc1.weight"] = torch.cat(gated)
        if kind != "*":
            mixer = theirs + "mixer."
            out[mixer + "hyena_proj_conv.short_conv_weight"] = weights[block + "filter.short_filter_weight"][:, 0]
            out |= {mixer + "mixer." + name: tensor for name, tensor in _filter(weights, block, kind).items()}
    out["decoder.final_norm.weight"] = weights["norm.scale"]
    return {name: tensor.detach().to(dtype).contiguous().clone() for name, tensor in out.items()}


def is_filter(name: str) -> bool:
    """Whether a Megatron name is one of the filters' tensors, which converters keep in float32."""
    return _FILTER.fullmatch(name) is not None


def from_megatron(tensors: Mapping[str, Tensor], pattern: str) -> dict[str, Tensor]:
    """Back to the engine's names; every tensor must be there.

    Raises
    ------
    KeyError
        One is missing.
    """
    out = {"embedding_layer.weight": tensors["embedding.word_embeddings.weight"]}
    for layer, kind in enumerate(pattern):
        block, theirs = f"blocks.{layer}.", f"decoder.layers.{layer}."
        out |= {block + ours: tensors[theirs + name] for ours, name in _plain_names(kind).items()}
        halves = tensors[theirs + "mlp.linear_fc1.weight"].chunk(2)
        out |= {f"{block}mlp.{half}.weight": tensor for half, tensor in zip(("l1", "l2"), halves, strict=True)}
        if kind != "*":
            mixer = theirs + "mixer."
            out[block + "filter.short_filter_weight"] = tensors[mixer + "hyena_proj_conv.short_conv_weight"][:, None]
            out |= _from_filter(tensors, mixer + "mixer.", block, kind)
    out["norm.scale"] = tensors["decoder.final_norm.weight"]
    return out


def _plain_names(kind: str) -> dict[str, str]:
    first = "self_attention.linear_qkv" if kind == "*" else "mixer.dense_projection"
    shared = {ours: theirs.format(first=first) for ours, theirs in _SHARED.items()}
    return shared | (_ATTENTION if kind == "*" else _HYENA)


def _filter(weights: Mapping[str, Tensor], block: str, kind: str) -> dict[str, Tensor]:
    own = block + "filter."
    if kind == "S":
        return {"short_conv.short_conv_weight": weights[own + "h"]}
    if kind == "D":
        taps = weights[own + "h"][:, 0]
        return {"conv_bias": weights[own + "D"], "filter.h": taps, "filter.decay": torch.ones_like(taps)}
    gamma = torch.log(-weights[own + "log_poles"][..., 0].float()) + 1
    return {
        "conv_bias": weights[own + "D"],
        "filter.gamma": gamma,
        "filter.R": weights[own + "residues"],
        "filter.p": torch.full_like(gamma, -1),
    }


def _from_filter(tensors: Mapping[str, Tensor], mixer: str, block: str, kind: str) -> dict[str, Tensor]:
    own = block + "filter."
    if kind == "S":
        return {own + "h": tensors[mixer + "short_conv.short_conv_weight"]}
    skip = {own + "D": tensors[mixer + "conv_bias"]}
    if kind == "D":
        taps = tensors[mixer + "filter.h"].float() * tensors[mixer + "filter.decay"].float()
        return skip | {own + "h": taps[:, None, :128]}
    p, gamma, residues = (tensors[mixer + "filter." + name].float() for name in ("p", "gamma", "R"))
    width = len(tensors[mixer + "conv_bias"])
    poles = -torch.exp(p.reshape(width, -1)) * torch.exp(gamma.reshape(width, -1))
    return skip | {own + "log_poles": poles[..., None], own + "residues": residues.reshape(width, -1)}
