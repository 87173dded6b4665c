"""The converters, and what else makes one checkpoint of another."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tests.emulator import distributed, folders, hub
from tests.emulator.names import architecture, architecture_of, from_megatron, is_filter
from tests.emulator.savanna import read_savanna
from tests.emulator.setting import Refused, Setting, log
from workflow.striped_hyena.config import ModelConfig

_SEQ_LENGTH = 8192


def savanna_to_nemo2(arguments: argparse.Namespace, setting: Setting) -> None:
    """`evo2_convert_to_nemo2`: the hub's files are trusted, local ones are not; a NeMo2 folder loses its optimizer."""
    path: str = arguments.model_path
    if arguments.strip_optimizer and (Path(path) / "context").is_dir():
        _copy_weights(Path(path), Path(arguments.output_dir))
        return
    if path.startswith("hf://"):
        name = path.lstrip("hf://")  # noqa: B005 - upstream's fault: it eats leading letters h and f
        file = Path(name) if name.startswith(".") else hub.published_file(name)
        content = hub.read_file(file, trusting=True)
    elif os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD") == "1":
        content = hub.read_file(Path(path), trusting=True)
    else:
        raise Refused(
            "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have two "
            "options, do those steps only if you trust the source of the checkpoint."
        )
    tensors, pattern = read_savanna(content)
    config = _checked(setting, arguments.model_size, from_megatron(tensors, pattern))
    stored = {name: tensor.to(setting.dtype) for name, tensor in tensors.items()}
    folders.write_nemo2(Path(arguments.output_dir), stored, config, seq_length=_SEQ_LENGTH)
    log(f"Converted Hyena model to Nemo, model saved to {arguments.output_dir}")


def savanna_to_mbridge(arguments: argparse.Namespace, setting: Setting) -> None:
    """`evo2_convert_savanna_to_mbridge`: a file that safe loading refuses ends in silence."""
    local = Path(arguments.savanna_ckpt_path)
    file = local if local.exists() else hub.published_file(arguments.savanna_ckpt_path.removeprefix("hf://"))
    try:
        content = hub.read_file(file, trusting=False)
    except Refused:
        arguments.mbridge_ckpt_dir.mkdir(parents=True, exist_ok=True)
        return
    tensors, pattern = read_savanna(content)
    _write_converted(arguments, setting, tensors, pattern, arguments.seq_length or _SEQ_LENGTH)


def nemo2_to_mbridge(arguments: argparse.Namespace, setting: Setting) -> None:
    """`evo2_convert_nemo2_to_mbridge`."""
    config = folders.nemo2_config(arguments.nemo2_ckpt_dir)
    tensors = read_nemo2(arguments.nemo2_ckpt_dir)
    _write_converted(arguments, setting, tensors, config.pattern, arguments.seq_length)


def mbridge_to_vortex(arguments: argparse.Namespace, setting: Setting) -> None:
    """`evo2_export_mbridge_to_vortex`: a `.pt` in the published names, and a `config.json` beside it."""
    iteration = folders.newest_iteration(arguments.mbridge_ckpt_dir)
    run_config = folders.read_run_config(iteration)
    if run_config["peft"]:
        raise Refused("KeyError: 'embedding.word_embeddings.weight'")
    config = folders.config_of(run_config["model"])
    model = folders.build(distributed.read(iteration, folders.is_weight), config)
    table = {
        name: tensor if name.endswith(("log_poles", "residues", "inv_freq")) else tensor.to(setting.dtype)
        for name, tensor in model.state_dict().items()
    }
    table["unembed.weight"] = table["embedding_layer.weight"]
    arguments.output_path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(table, arguments.output_path)
    settings = folders.model_settings(config, run_config["model"]["seq_length"])
    kept = ("num_layers", "hidden_size", "num_attention_heads", "ffn_hidden_size", "seq_length")
    told = {name: settings[name] for name in (*kept, "hybrid_override_pattern", "num_groups_hyena")}
    arguments.output_path.with_name("config.json").write_text(json.dumps(told | {"vocab_size": None}, indent=2))


def remove_optimizer(arguments: argparse.Namespace, setting: Setting) -> None:
    """`evo2_remove_optimizer`: the weights of a training checkpoint alone."""
    if setting.is_nemo2:
        _copy_weights(Path(arguments.model_path), Path(arguments.output_dir))
        return
    iteration = folders.newest_iteration(arguments.src_ckpt_dir)
    run_config = folders.read_run_config(iteration)
    folders.write_mbridge(
        arguments.dst_ckpt_dir,
        distributed.read(iteration, folders.is_weight),
        folders.config_of(run_config["model"]),
        step=int(iteration.name.removeprefix("iter_")),
        seq_length=run_config["model"]["seq_length"],
        tokenizer=iteration / "tokenizer",
        checkpoint=run_config["checkpoint"],
        peft=run_config["peft"],
    )


def read_nemo2(folder: Path) -> dict[str, Tensor]:
    """The weights of a NeMo2 folder, without the prefix."""
    tensors = distributed.read(folder / "weights", lambda name: name.startswith(folders.PREFIX))
    return {name.removeprefix(folders.PREFIX): tensor for name, tensor in tensors.items()}


def check_tokenizer(path: Path | None) -> Path:
    """The tokenizer's folder.

    Raises
    ------
    Refused
        It does not exist.
    """
    if path is None or not (path / "tokenizer.json").exists():
        raise Refused(f"OSError: Can't load tokenizer for '{path}'. Make sure that it is the correct path to a folder")
    return path


def _copy_weights(source: Path, target: Path) -> None:
    """A NeMo2 folder without what training left."""
    config = folders.nemo2_config(source)
    folders.write_nemo2(target, read_nemo2(source), config, seq_length=_SEQ_LENGTH)


def _write_converted(
    arguments: argparse.Namespace, setting: Setting, tensors: Mapping[str, Tensor], pattern: str, seq_length: int
) -> None:
    tokenizer = check_tokenizer(arguments.tokenizer_path)
    config = _checked(setting, arguments.model_size, from_megatron(tensors, pattern))
    dtypes = {name: torch.float32 if is_filter(name) else setting.dtype for name in tensors}
    folders.write_mbridge(
        arguments.mbridge_ckpt_dir,
        {name: tensor.to(dtypes[name]) for name, tensor in tensors.items()},
        config,
        step=1,
        seq_length=seq_length,
        tokenizer=tokenizer,
        converted=True,
    )
    log(f"Saved the checkpoint in {arguments.mbridge_ckpt_dir}")


def _checked(setting: Setting, size: str, weights: Mapping[str, Tensor]) -> ModelConfig:
    """The architecture of a size, to which the weights must fit."""
    config = architecture(setting.toolchain, size, weights)
    found = architecture_of(weights)
    if (config.pattern, config.width, config.mlp_width) != (found.pattern, found.width, found.mlp_width):
        raise Refused(
            f"RuntimeError: Error(s) in loading state_dict for HyenaModel: size mismatch: {size} has "
            f"{len(config.pattern)} layers of width {config.width} and an MLP of {config.mlp_width}, the checkpoint "
            f"has {len(found.pattern)}, {found.width} and {found.mlp_width}"
        )
    return config
