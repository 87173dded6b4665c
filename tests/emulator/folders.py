"""Checkpoint folders of both generations: what stands around the distributed checkpoint."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from tests.emulator import distributed
from tests.emulator.names import from_megatron
from tests.emulator.setting import Refused
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.config import ModelConfig

#: NeMo2 puts this before every name.
PREFIX = "module."
_CONTENT = {
    "singleton_local_shards": False,
    "chained_optim_avoid_prefix": True,
    "distrib_optim_sharding_type": "dp_reshardable",
}


def model_settings(config: ModelConfig, seq_length: int) -> dict[str, Any]:
    """The section of a configuration file that tells the sizes, under NVIDIA's names."""
    return {
        "add_attn_proj_bias": True,
        "add_bias_linear": False,
        "bf16": True,
        "ffn_hidden_size": config.mlp_width,
        "gated_linear_unit": True,
        "hidden_size": config.width,
        "hybrid_override_pattern": config.pattern,
        "kv_channels": None,
        "layernorm_epsilon": config.norm_epsilon,
        "normalization": "RMSNorm",
        "num_attention_heads": config.heads,
        "num_groups_hyena": config.width,
        "num_groups_hyena_medium": config.filter_groups,
        "num_groups_hyena_short": config.filter_groups,
        "num_layers": len(config.pattern),
        "params_dtype": {"_call_": False, "_target_": "torch.bfloat16"},
        "position_embedding_type": "rope",
        "rotary_base": int(config.rope_base),
        "rotary_percent": 1.0,
        "seq_len_interpolation_factor": config.rope_scale if config.rope_scale != 1 else None,
        "seq_length": seq_length,
        "share_embeddings_and_output_weights": True,
        "tensor_model_parallel_size": 1,
        "to_upper": "normalized_weighted",
        "vocab_size": config.vocabulary,
    }


def config_of(settings: Mapping[str, Any]) -> ModelConfig:
    """The sizes that such a section tells."""
    return ModelConfig(
        pattern=settings["hybrid_override_pattern"],
        width=settings["hidden_size"],
        heads=settings["num_attention_heads"],
        mlp_width=settings["ffn_hidden_size"],
        filter_groups=settings["num_groups_hyena_short"],
        rope_base=float(settings["rotary_base"]),
        rope_scale=float(settings["seq_len_interpolation_factor"] or 1),
        vocabulary=settings.get("vocab_size") or 512,
        norm_epsilon=settings["layernorm_epsilon"],
    )


def write_nemo2(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: ModelConfig,
    *,
    seq_length: int,
    step: int = 0,
    extra: Mapping[str, Any] | None = None,
    base_of_adapter: str | None = None,
) -> None:
    """A NeMo2 folder: `context/` and `weights/`.

    Parameters
    ----------
    tensors : mapping
        By Megatron's name without the prefix.
    extra : mapping, optional
        Optimizer state and what else training leaves, under their whole names.
    base_of_adapter : str, optional
        Folder of the base model, when these are adapters.
    """
    context, weights = folder / "context", folder / "weights"
    context.mkdir(parents=True)
    (context / "io.json").write_text(json.dumps({"root": {}, "objects": {}, "refcounts": {}, "version": "0.0.1"}))
    settings = {"_target_": "emulated.HyenaConfig"} | model_settings(config, seq_length)
    del settings["vocab_size"]  # The tokenizer's section tells it.
    model: dict[str, Any] = {"_target_": "nemo.collections.llm.gpt.model.hyena.HyenaModel", "config": settings}
    model["model_transform"] = {"_target_": "bionemo.evo2.models.peft.Evo2LoRA"} if base_of_adapter else None
    (context / "model.yaml").write_text(yaml.safe_dump(model))
    if step:
        (context / str(uuid.uuid4())).write_bytes(b"\x80\x04N.")
    whole: dict[str, Any] = {PREFIX + name: tensor for name, tensor in tensors.items()}
    if not base_of_adapter:
        whole[PREFIX + "output_layer._extra_state/shard_0_1"] = None
    distributed.write(weights, dict(extra or {}) | whole)
    common = {"epoch": 0, "global_step": step, "pytorch-lightning_version": "2.4.0", "state_dict": {}}
    torch.save(common | {"content_metadata": _CONTENT}, weights / "common.pt")
    if base_of_adapter:
        (weights / "adapter_metadata.json").write_text(json.dumps({"model_ckpt_path": base_of_adapter}))
    (weights / "metadata.json").write_text(json.dumps(distributed.METADATA))


def write_mbridge(
    folder: Path,
    tensors: Mapping[str, Any],
    config: ModelConfig,
    *,
    step: int,
    seq_length: int,
    tokenizer: Path,
    checkpoint: Mapping[str, Any] | None = None,
    peft: Mapping[str, Any] | None = None,
    consumed: tuple[int, int] = (0, 0),
    converted: bool = False,
) -> None:
    """An `iter_NNNNNNN` folder below `folder`, and the files there that name the newest one.

    Parameters
    ----------
    tensors : mapping
        Everything that goes into the distributed checkpoint.
    checkpoint, peft : mapping, optional
        Sections of `run_config.yaml`.
    consumed : tuple of int
        Samples of training and of validation.
    converted : bool
        Written by a converter and not by training.
    """
    iteration = folder / f"iter_{step:07d}"
    distributed.write(iteration, tensors, file_per_tensor=converted)
    common = {"checkpoint_version": 3.0, "iteration": step, "optimizer": {}, "opt_param_scheduler": {}}
    torch.save(common | {"content_metadata": _CONTENT}, iteration / "common.pt")
    run_config = {
        "_target_": "megatron.bridge.training.config.ConfigContainer",
        "checkpoint": {"ckpt_format": "torch_dist", "pretrained_checkpoint": None} | dict(checkpoint or {}),
        "model": {"_target_": "emulated.HyenaModelProvider"} | model_settings(config, seq_length),
        "peft": dict(peft) if peft else None,
        "tokenizer": {"tokenizer_model": str(tokenizer), "tokenizer_type": "HuggingFaceTokenizer"},
    }
    (iteration / "run_config.yaml").write_text(yaml.safe_dump(run_config))
    shutil.copytree(tokenizer, iteration / "tokenizer", dirs_exist_ok=True)
    state = _train_state(step, *consumed)
    torch.save(state, iteration / "train_state.pt")
    (iteration / "metadata.json").write_text(json.dumps(distributed.METADATA))
    torch.save(state, folder / "latest_train_state.pt")
    (folder / "latest_checkpointed_iteration.txt").write_text(str(step))


def _train_state(step: int, trained: int, validated: int) -> dict[str, Tensor]:
    counts = {"step": step, "consumed_train_samples": trained, "skipped_train_samples": 0}
    state = {name: torch.tensor(count, dtype=torch.int32) for name, count in counts.items()}
    state["consumed_valid_samples"] = torch.tensor(validated, dtype=torch.int32)
    state["floating_point_operations_so_far"] = torch.tensor(0.0, dtype=torch.float64)
    return state | {name: torch.tensor(True) for name in ("do_train", "do_valid", "do_test")}


def nemo2_config(folder: Path) -> ModelConfig:
    """Sizes of a NeMo2 folder.

    Raises
    ------
    Refused
        It is none.
    """
    path = folder / "context" / "model.yaml"
    if not (folder / "context" / "io.json").exists() or not (folder / "weights" / "metadata.json").exists():
        raise Refused(f"ValueError: {folder} is not a distributed checkpoint: context/ or weights/ is missing")
    return config_of(yaml.safe_load(path.read_text())["config"])


def newest_iteration(folder: Path) -> Path:
    """The `iter_…` folder that an MBridge folder points to, or that it is.

    Raises
    ------
    Refused
        It is none.
    """
    latest = folder / "latest_checkpointed_iteration.txt"
    iteration = folder / f"iter_{int(latest.read_text()):07d}" if latest.exists() else folder
    if not (iteration / "run_config.yaml").exists() or not (iteration / "metadata.json").exists():
        raise Refused(f"FileNotFoundError: run_config.yaml not found in checkpoint {iteration}")
    return iteration


def read_run_config(iteration: Path) -> dict[str, Any]:
    """`run_config.yaml` of an iteration."""
    content: dict[str, Any] = yaml.safe_load((iteration / "run_config.yaml").read_text())
    return content


def build(tensors: Mapping[str, Tensor], config: ModelConfig) -> StripedHyena2:
    """The engine with weights under Megatron's names, in float32.

    Raises
    ------
    Refused
        They do not fit.
    """
    try:
        weights = from_megatron(tensors, config.pattern)
        model = StripedHyena2(config)
        rotary = {name: tensor for name, tensor in model.state_dict().items() if name.endswith("inv_freq")}
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()} | rotary)
    except (KeyError, RuntimeError) as error:
        raise Refused(f"megatron.core.dist_checkpointing.core.CheckpointingException: size mismatch: {error}") from None
    return model


def is_weight(name: str) -> bool:
    """Whether a name in a distributed checkpoint is neither optimizer state nor the like."""
    return not name.startswith(("optimizer", "rng_state"))
