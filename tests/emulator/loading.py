"""Models that the tools load for prediction and generation."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.emulator import distributed, folders
from tests.emulator.adapters import Adapted
from tests.emulator.conversion import read_nemo2
from tests.emulator.names import architecture
from tests.emulator.setting import Refused, Setting
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.config import ModelConfig

#: What NeMo2's adapters sit on, and their settings, which prediction cannot be told.
NEMO2_TARGETS = ("linear_qkv", "linear_proj", "linear_fc1", "linear_fc2")
NEMO2_DIM = NEMO2_ALPHA = 32


def load_nemo2(folder: Path, size: str | None, adapter: str | None, setting: Setting) -> StripedHyena2:
    """A NeMo2 model, with adapters beside their layers.

    Raises
    ------
    Refused
        The folder is none, or of another size.
    """
    config = folders.nemo2_config(folder)
    if size is not None:
        check_size(setting, size, config)
    tensors = read_nemo2(folder)
    if adapter is None:
        return settle(folders.build(tensors, config), setting)
    folders.nemo2_config(Path(adapter))
    trained = read_nemo2(Path(adapter))
    weights = tensors | {name: tensor for name, tensor in trained.items() if ".adapter." not in name}
    model = settle(folders.build(weights, config), setting)
    Adapted(model, NEMO2_TARGETS, dim=NEMO2_DIM, alpha=NEMO2_ALPHA).load(trained)
    return model


def load_mbridge(folder: Path, setting: Setting) -> StripedHyena2:
    """An MBridge model; one of adapters names its base.

    Raises
    ------
    Refused
        The folder is none, or the base does not exist.
    """
    iteration = folders.newest_iteration(folder)
    run_config = folders.read_run_config(iteration)
    config, peft = folders.config_of(run_config["model"]), run_config["peft"]
    tensors = distributed.read(iteration, folders.is_weight)
    if not peft:
        return settle(folders.build(tensors, config), setting)
    base = folders.newest_iteration(Path(run_config["checkpoint"]["pretrained_checkpoint"]))
    model = settle(folders.build(distributed.read(base, folders.is_weight), config), setting)
    Adapted(model, peft["target_modules"], dim=peft["dim"], alpha=peft["alpha"]).load(tensors)
    return model


def check_size(setting: Setting, size: str, config: ModelConfig) -> None:
    """Refuse a checkpoint of another size than `--model-size` says; test sizes take all."""
    expected = architecture(setting.toolchain, size, {})
    if "test" not in size and expected != config:
        raise Refused(
            "megatron.core.dist_checkpointing.core.CheckpointingException: Global shape mismatch for loaded "
            f"({config.mlp_width}, {config.width}) and expected ({expected.mlp_width}, {expected.width}) tensor"
        )


def check_heads(config: ModelConfig, arguments: argparse.Namespace) -> None:
    """Refuse tensor parallelism that does not divide the heads."""
    size: int = getattr(arguments, "tensor_parallel_size", 0) or getattr(arguments, "tensor_model_parallel_size", 1)
    if config.heads % size:
        raise Refused(f"ValueError: num_attention_heads ({config.heads}) must be a multiple of {size}")


def settle(model: StripedHyena2, setting: Setting) -> StripedHyena2:
    """Into the precision of this emulation, ready to predict."""
    model = model.to_bfloat16() if setting.in_bf16 else model
    return model.eval().requires_grad_(False)
