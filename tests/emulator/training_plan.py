"""What a call of `train_evo2` asks for, in the words of the embedded engine."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from tests.emulator.loading import NEMO2_ALPHA, NEMO2_DIM, NEMO2_TARGETS
from tests.emulator.setting import Refused, Setting, is_on, ranks, world_of_torchrun
from workflow.config import TrainConfig
from workflow.dataset.bases import TokenBases
from workflow.dataset.megatron import TokenFile, paths_of
from workflow.dataset.samples import TrainingSamples, validation_samples


@dataclass(frozen=True)
class Lora:
    """Adapters: where and how; `stuck` where no gradient reaches them."""

    targets: Sequence[str]
    dim: int
    alpha: float
    dropout: float
    stuck: bool


@dataclass(frozen=True)
class Plan:
    """One training.

    Attributes
    ----------
    config : TrainConfig
        Settings as the embedded engine has them; a batch is that of all data-parallel ranks.
    validation_batches : int
        Batches of a validation.
    """

    config: TrainConfig
    seed: int
    size: str
    base: str | None
    lora: Lora | None
    dataset: Path
    dataset_dir: Path | None
    validation_batches: int
    folder: Path
    keep: int
    log_every: int

    @property
    def global_batch(self) -> int:
        """Samples of a step."""
        return self.config.batch_size * self.config.accumulate

    def training(self) -> TrainingSamples:
        """The samples of the run, as the embedded engine draws them."""
        files, weights = self._split("train")
        length = self.config.context_length
        return TrainingSamples(files, weights, context_length=length, seed=self.seed, reverse_complement=0.0)

    def held_out(self, split: str) -> list[np.ndarray]:
        """The fixed samples of `validation` or `test`; none when the data set has no such split."""
        files, weights = self._split(split)
        count = self.validation_batches * self.global_batch
        if not files:
            return []
        return validation_samples(files, weights, context_length=self.config.context_length, count=count)

    def _split(self, split: str) -> tuple[list[TokenBases], list[float]]:
        if not self.dataset.exists():
            raise Refused(f"FileNotFoundError: [Errno 2] No such file or directory: '{self.dataset}'")
        entries = [entry for entry in yaml.safe_load(self.dataset.read_text()) if entry["dataset_split"] == split]
        return [self._open(entry["dataset_prefix"]) for entry in entries], [e["dataset_weight"] for e in entries]

    def _open(self, prefix: str) -> TokenBases:
        path = self.dataset_dir / prefix if self.dataset_dir else Path(prefix)
        for file in paths_of(path):
            if not file.exists() or file.stat().st_size == 0:
                raise Refused(f"AssertionError: One or both of the .idx and .bin files cannot be found at {path}")
        return TokenBases(TokenFile(path))


def plan_of(arguments: argparse.Namespace, setting: Setting) -> Plan:
    """Read the flags.

    Raises
    ------
    Refused
        What the real tool refuses once it runs.
    """
    if arguments.dataset_config is None:
        raise Refused("NotImplementedError: only --dataset-config is emulated")
    return _nemo2(arguments, setting) if setting.is_nemo2 else _mbridge(arguments)


def _nemo2(arguments: argparse.Namespace, setting: Setting) -> Plan:
    if setting.version != "2.6.3" and arguments.dataset_dir is None:
        raise Refused("ValueError: --dataset-dir is required together with --dataset-config")
    dp = ranks(_model_parallel(arguments, arguments.tensor_parallel_size), arguments.num_nodes, arguments.devices)
    accumulate = arguments.grad_acc_batches
    if arguments.global_batch_size:
        accumulate = _accumulation(arguments.global_batch_size, arguments.micro_batch_size, dp)
    lora = None
    if getattr(arguments, "lora_finetune", False):
        spared = arguments.no_activation_checkpointing or arguments.selective_activation_checkpointing
        dim = getattr(arguments, "lora_dim", None) or NEMO2_DIM
        alpha = getattr(arguments, "lora_alpha", None) or NEMO2_ALPHA
        stuck = not (spared or is_on("EMULATOR_PATCHED"))
        lora = Lora(NEMO2_TARGETS, dim, alpha, 0.0, stuck)
    return Plan(
        config=_config(arguments, arguments.micro_batch_size * dp, accumulate, arguments.val_check_interval, lora),
        seed=arguments.seed,
        size=arguments.model_size,
        base=arguments.ckpt_dir,
        lora=lora,
        dataset=Path(arguments.dataset_config),
        dataset_dir=Path(arguments.dataset_dir) if arguments.dataset_dir else None,
        validation_batches=arguments.limit_val_batches,
        folder=arguments.result_dir / arguments.experiment_name,
        keep=arguments.save_top_k,
        log_every=arguments.log_every_n_steps,
    )


def _mbridge(arguments: argparse.Namespace) -> Plan:
    dp = ranks(_model_parallel(arguments, arguments.tensor_model_parallel_size), 1, world_of_torchrun())
    accumulate = _accumulation(arguments.global_batch_size, arguments.micro_batch_size, dp)
    lora = None
    if arguments.lora_finetune:
        dropout, targets = arguments.lora_dropout, arguments.lora_target_modules
        lora = Lora(targets, arguments.lora_dim, arguments.lora_alpha, dropout, stuck=False)
    return Plan(
        config=_config(arguments, arguments.micro_batch_size * dp, accumulate, arguments.eval_interval, lora),
        seed=arguments.seed,
        size=arguments.model_size,
        base=arguments.finetune_ckpt_dir,
        lora=lora,
        dataset=Path(arguments.dataset_config),
        dataset_dir=None,  # --dataset-dir is not read.
        validation_batches=arguments.eval_iters,
        folder=arguments.result_dir / arguments.experiment_name,
        keep=arguments.most_recent_k,
        log_every=arguments.log_interval,
    )


def _config(
    arguments: argparse.Namespace, batch: int, accumulate: int, interval: int | None, lora: Lora | None
) -> TrainConfig:
    return TrainConfig(
        method="lora" if lora else "full",
        context_length=arguments.seq_length,
        steps=arguments.max_steps,
        batch_size=batch,
        accumulate=accumulate,
        learning_rate=arguments.lr,
        min_learning_rate_share=min(arguments.min_lr / arguments.lr, 1.0) if arguments.lr else 0.0,
        warmup_steps=arguments.warmup_steps,
        weight_decay=arguments.wd,
        clip=arguments.clip_grad,
        validate_every=interval or arguments.max_steps,
        reverse_complement=0.0,
    )


def _model_parallel(arguments: argparse.Namespace, tensor: int) -> int:
    size: int = tensor * arguments.pipeline_model_parallel_size * arguments.context_parallel_size
    return size


def _accumulation(global_batch: int, micro_batch: int, dp: int) -> int:
    if global_batch % (micro_batch * dp):
        raise Refused(
            f"AssertionError: global batch size ({global_batch}) is not divisible by micro batch size ({micro_batch}) "
            f"times data parallel size ({dp})"
        )
    return global_batch // (micro_batch * dp)
