"""The architecture of a checkpoint: from the files beside it, or from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml

from workflow.checkpoints.formats import Format, Opened, open_checkpoint
from workflow.checkpoints.names import EMBEDDING
from workflow.checkpoints.stores import SafetensorsStore, TensorInfo
from workflow.errors import InputError
from workflow.striped_hyena.checkpoints import FORMAT
from workflow.striped_hyena.config import ATTENTION, PRESETS, ModelConfig

#: What the engine computes; a file that says otherwise describes another kind of model.
_COMPUTED = {
    "normalization": "RMSNorm",
    "share_embeddings_and_output_weights": True,
    "gated_linear_unit": True,
    "remove_activation_post_first_layer": True,
    "rotary_percent": 1.0,
    "rotary_interleaved": False,
    "add_qkv_bias": False,
    "add_bias_linear": False,
    "add_attn_proj_bias": True,
    "use_short_conv_bias": False,
    "layernorm_zero_centered_gamma": False,
}


_MEGATRON_EMBEDDING = "embedding.word_embeddings.weight"


class _PlainLoader(yaml.SafeLoader):
    """Reads the structure of any YAML; tags that name Python objects are passed over."""


def _plain(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


_PlainLoader.add_multi_constructor("!", _plain)
_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)


def read_settings(path: Path) -> dict[str, Any]:
    """A YAML file of NVIDIA's tools; nothing that it names is imported.

    Raises
    ------
    InputError
        It cannot be read or is no mapping.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            settings = yaml.load(stream, Loader=_PlainLoader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(settings, dict):
        raise InputError(f"{path} is no mapping of settings")
    return settings


def stored_architecture(opened: Opened) -> ModelConfig | None:
    """What a checkpoint says of its own architecture; None where it says nothing.

    Raises
    ------
    InputError
        It says something impossible, or something that the engine does not compute.
    """
    if opened.format is Format.OURS:
        assert isinstance(opened.store, SafetensorsStore)
        try:
            return ModelConfig.from_json(opened.store.metadata[FORMAT])
        except ValueError as error:
            raise InputError(f"checkpoint {opened.path}: {error}") from None
    file = opened.config_file
    if file is None:
        return None
    section = read_settings(file).get("config" if "NeMo2" in opened.format else "model")
    if not isinstance(section, dict):
        raise InputError(f"{file} has no section with the sizes of the model")
    config = _from_megatron(file, section)
    # A model that mbridge trained from random weights knows 256 tokens; the configuration may be silent on it.
    embedding = opened.store.infos.get(f"{opened.prefix}{_MEGATRON_EMBEDDING}")
    return replace(config, vocabulary=embedding.shape[0]) if embedding and embedding.shape else config


def _from_megatron(file: Path, section: dict[str, Any]) -> ModelConfig:
    if wrong := [key for key, value in _COMPUTED.items() if section.get(key, value) != value]:
        raise InputError(f"{file}: {wrong[0]}={section[wrong[0]]} is not what Evo 2 models have, nor this engine")
    try:
        groups = int(section["num_groups_hyena_medium"])
        if (
            int(section["num_groups_hyena_short"]) != groups
            or int(section["num_groups_hyena"]) != section["hidden_size"]
        ):
            raise ValueError("filter groups of short and medium layers differ, or the long filters are grouped")
        config = ModelConfig(
            str(section["hybrid_override_pattern"]),
            width=int(section["hidden_size"]),
            heads=int(section["num_attention_heads"]),
            mlp_width=int(section["ffn_hidden_size"]),
            filter_groups=groups,
            rope_base=float(section["rotary_base"]),
            rope_scale=float(section.get("seq_len_interpolation_factor") or 1.0),
            norm_epsilon=float(section["layernorm_epsilon"]),
        )
    except KeyError as error:
        raise InputError(f"{file} does not say {error.args[0]}") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{file}: {error}") from None
    if len(config.pattern) != section.get("num_layers", len(config.pattern)):
        raise InputError(
            f"{file}: {section['num_layers']} layers, but the pattern {config.pattern} has {len(config.pattern)}"
        )
    return config


def fitting_presets(pattern: str, infos: Mapping[str, TensorInfo]) -> list[str]:
    """Published models whose tensors have these shapes.

    Parameters
    ----------
    pattern : str
        Layer letters.
    infos : mapping
        Tensors under vortex's names.
    """
    # Base and scale of the rotary embedding change no shape; the number of heads changes its frequencies' only.
    sizes = _sizes(pattern, infos)
    return [
        name
        for name, preset in PRESETS.items()
        if preset.pattern == pattern and all(getattr(preset, key) == value for key, value in sizes.items())
    ]


def _sizes(pattern: str, infos: Mapping[str, TensorInfo]) -> dict[str, int]:
    sizes = {}
    if info := infos.get(EMBEDDING):
        sizes["vocabulary"], sizes["width"] = info.shape
    if info := infos.get("blocks.0.mlp.l1.weight"):
        sizes["mlp_width"] = info.shape[0]
    grouped = next((layer for layer, kind in enumerate(pattern) if kind in "SD"), None)
    if info := infos.get(f"blocks.{grouped}.filter.h"):
        sizes["filter_groups"] = info.shape[0]
    frequencies = infos.get(f"blocks.{pattern.find(ATTENTION)}.inner_mha_cls.rotary_emb.inv_freq")
    if frequencies and "width" in sizes:
        sizes["heads"] = sizes["width"] // (2 * frequencies.shape[0])
    return sizes


def settle(
    path: Path,
    stored: ModelConfig | None,
    asked: ModelConfig | None,
    pattern: str | None,
    infos: Mapping[str, TensorInfo],
) -> ModelConfig:
    """The one architecture that the checkpoint, the caller and the shapes agree on.

    Raises
    ------
    InputError
        They do not agree, or do not suffice.
    """
    if stored is not None and asked is not None and stored != asked:
        told = ", ".join(
            f"{field.name} {getattr(stored, field.name)} instead of {getattr(asked, field.name)}"
            for field in fields(ModelConfig)
            if getattr(stored, field.name) != getattr(asked, field.name)
        )
        hint = (
            "; folders of 1M models that were converted before container 2.7 have wrong rotary settings: convert again"
            if stored.rope_scale != asked.rope_scale
            else ""
        )
        raise InputError(f"{path} holds another architecture than asked for: {told}{hint}")
    if known := stored or asked:
        return known
    names = fitting_presets(pattern, infos) if pattern else []
    if len(names) == 1:
        return PRESETS[names[0]]
    told = f"its shapes fit {' and '.join(names)}" if names else "its shapes fit no published model"
    raise InputError(
        f"{path} does not say its architecture, and {told}: name it with model.architecture (--architecture)"
    )


def named_architecture(text: str) -> ModelConfig:
    """The architecture of a preset, or that of another checkpoint that says its own.

    Raises
    ------
    InputError
        Neither.
    """
    if text in PRESETS:
        return PRESETS[text]
    if Path(text).exists() and (stored := stored_architecture(open_checkpoint(Path(text)))):
        return stored
    raise InputError(
        f"{text} names no architecture: use one of {', '.join(PRESETS)}, or a checkpoint that says its own "
        "(.safetensors of this project, a NeMo2 or Megatron Bridge folder)"
    )
