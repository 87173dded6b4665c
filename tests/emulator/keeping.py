"""Checkpoints of a training as either generation keeps them, and how it goes on from the newest."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from tests.emulator import distributed, folders
from tests.emulator.conversion import read_nemo2
from tests.emulator.names import ADAPTED
from tests.emulator.setting import Setting, log
from tests.emulator.training_plan import Plan
from workflow.striped_hyena.config import ModelConfig

_BUCKET = "optimizer.distributed.dp_group_idx_0.gbuf_idx_0.dtype_(torch.bfloat16, {gradient}).bucket_idx_0."
_STEP = re.compile(r"epoch=\d+-step=(\d+)-consumed_samples=[\d.]+(-last)?")


@dataclass(frozen=True)
class Snapshot:
    """The state after some steps.

    Attributes
    ----------
    tensors : mapping
        Weights and adapters by Megatron's names.
    flat : mapping
        `param`, `exp_avg` and `exp_avg_sq` of all that is trained, one after the other, float32.
    """

    step: int
    tensors: Mapping[str, Tensor]
    flat: Mapping[str, Tensor]


class Store(Protocol):
    """The checkpoints of one training."""

    def newest(self) -> Snapshot | None:
        """The newest complete checkpoint."""

    def save(self, snapshot: Snapshot, validation_loss: float | None) -> None:
        """Keep a state; the loss is that of the validation before."""

    def finish(self, snapshot: Snapshot) -> None:
        """Called when the last step is made, or the tool is asked to stop."""


class _Keeper:
    """What both have in common."""

    gradient = "torch.bfloat16"

    def __init__(self, plan: Plan, config: ModelConfig, setting: Setting) -> None:
        self.plan, self.config, self.setting = plan, config, setting
        self.folder = plan.folder / "checkpoints"
        self._saved = 0

    def state(self, snapshot: Snapshot) -> dict[str, Any]:
        """Optimizer state under Megatron's names."""
        bucket = _BUCKET.format(gradient=self.gradient)
        settings = {"step": snapshot.step, "betas": (0.9, 0.95), "eps": 1e-08}
        counts = [{(torch.bfloat16, torch.bfloat16): [snapshot.flat["param"].numel()]}]
        group = "optimizer.distributed.dp_group_idx_0."
        objects: dict[str, Any] = {f"{group}optimizer/shard_0_1": [{"param_groups": [settings]}]}
        objects |= {f"{group}{name}/shard_0_1": counts for name in ("per_bucket_numel", "per_bucket_numel_unpadded")}
        return objects | {bucket + name: tensor for name, tensor in snapshot.flat.items()}

    def read_state(self, folder: Path) -> dict[str, Tensor]:
        """`param`, `exp_avg` and `exp_avg_sq` of a checkpoint."""
        flat = distributed.read(folder, lambda name: ".bucket_idx_0." in name)
        return {name.rpartition(".")[2]: tensor for name, tensor in flat.items()}

    def perhaps_die(self, unfinished: Path) -> None:
        """Told to be killed: in the middle of the second checkpoint, or of the first where it is the only one."""
        self._saved += 1
        only = self.plan.config.validate_every >= self.plan.config.steps
        if self.setting.fault.kind == "kill" and (self._saved == 2 or only):
            unfinished.mkdir(parents=True, exist_ok=True)
            (unfinished / "__0_0.distcp").write_bytes(b"half of it")
            self.setting.fault.midway()


class NemoStore(_Keeper):
    """NeMo's: ranked by the loss of the validation before, and the last one beside them.

    Before the first validation there is no loss to rank by, so that only the last one is kept then.
    """

    def newest(self) -> Snapshot | None:
        for marker in self.folder.glob("*-unfinished"):
            shutil.rmtree(marker.with_name(marker.name.removesuffix("-unfinished")), ignore_errors=True)
            marker.unlink()
        found = sorted(self.folder.glob("*-last"), key=self._step_of)
        if not found:
            return None
        tensors = read_nemo2(found[-1])
        return Snapshot(self._step_of(found[-1]) + 1, tensors, self.read_state(found[-1] / "weights"))

    def save(self, snapshot: Snapshot, validation_loss: float | None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = self._name(snapshot)
        if validation_loss is not None and self.plan.keep:
            self._write(self.folder / name, snapshot)
            self._rank(name, validation_loss)
        if snapshot.step < self.plan.config.steps:
            self._write_last(snapshot)

    def finish(self, snapshot: Snapshot) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_last(snapshot)

    def _name(self, snapshot: Snapshot) -> str:
        samples = float(snapshot.step * self.plan.global_batch)
        return f"epoch=0-step={snapshot.step - 1}-consumed_samples={samples}"

    def _write_last(self, snapshot: Snapshot) -> None:
        newest = self.folder / f"{self._name(snapshot)}-last"
        self._write(newest, snapshot)
        for folder in self.folder.glob("*-last"):
            if folder != newest:
                shutil.rmtree(folder)

    def _write(self, folder: Path, snapshot: Snapshot) -> None:
        started = time.time()
        marker = folder.with_name(folder.name + "-unfinished")
        marker.touch()
        self.perhaps_die(folder / "weights")
        shutil.rmtree(folder, ignore_errors=True)
        is_lora = self.plan.lora is not None
        tensors = {
            name: tensor for name, tensor in snapshot.tensors.items() if not (is_lora and name.startswith("embedding."))
        }
        folders.write_nemo2(
            folder,
            tensors,
            self.config,
            seq_length=self.plan.config.context_length,
            step=snapshot.step,
            extra=self.state(snapshot),
            base_of_adapter=self.plan.base if is_lora else None,
        )
        marker.unlink()
        log(
            f"[NeMo I {time.strftime('%Y-%m-%d %H:%M:%S')} nemo_logging:393] Global Checkpoint Save : Rank: 0 : "
            f"Iteration: {snapshot.step - 1} : Start time: {started:.3f}s : Save duration: {time.time() - started:.3f}s"
        )

    def _rank(self, newest: str, loss: float) -> None:
        """Drop what is no longer among the best."""
        ranking = self.plan.folder / ".ranking.json"
        losses = json.loads(ranking.read_text()) if ranking.exists() else {}
        losses[newest] = loss
        worse = sorted(losses, key=lambda name: float(losses[name]))[self.plan.keep :] if self.plan.keep > 0 else []
        for name in worse:
            shutil.rmtree(self.folder / name)
            del losses[name]
        ranking.write_text(json.dumps(losses))

    def _step_of(self, folder: Path) -> int:
        match = _STEP.fullmatch(folder.name)
        assert match is not None
        return int(match.group(1))


class BridgeStore(_Keeper):
    """Megatron Bridge's: the newest few; what is named in `latest_checkpointed_iteration.txt` is complete."""

    gradient = "torch.float32"

    def __init__(self, plan: Plan, config: ModelConfig, setting: Setting, tokenizer: Path) -> None:
        super().__init__(plan, config, setting)
        self._tokenizer = tokenizer

    def newest(self) -> Snapshot | None:
        if not (self.folder / "latest_checkpointed_iteration.txt").exists():
            return None
        iteration = folders.newest_iteration(self.folder)
        step = int(iteration.name.removeprefix("iter_"))
        return Snapshot(step, distributed.read(iteration, folders.is_weight), self.read_state(iteration))

    def save(self, snapshot: Snapshot, validation_loss: float | None) -> None:
        plan, lora = self.plan, self.plan.lora
        self.perhaps_die(self.folder / f"iter_{snapshot.step:07d}")
        shutil.rmtree(self.folder / f"iter_{snapshot.step:07d}", ignore_errors=True)
        weights = {name: t for name, t in snapshot.tensors.items() if lora is None or ".adapter." in name}
        also: dict[str, Any] = {"rng_state/shard_0.0_1.1": [{"random_rng_state": None}]}
        if lora is None:
            also["output_layer._extra_state/shard_0_1"] = None
        else:
            also |= {name.removesuffix("weight") + "_extra_state/shard_0_1": None for name in weights}
        folders.write_mbridge(
            self.folder,
            weights | also | self.state(snapshot),
            self.config,
            step=snapshot.step,
            seq_length=plan.config.context_length,
            tokenizer=self._tokenizer,
            checkpoint={"pretrained_checkpoint": plan.base, "finetune": plan.base is not None},
            peft=self._peft(weights),
            consumed=(snapshot.step * plan.global_batch, self._validated(snapshot.step)),
        )
        with (self.folder / "progress.txt").open("a") as progress:
            when = time.strftime("%Y-%m-%d %H:%M:%S")
            progress.write(f"{when}\tJob ID: \t# GPUs: 1\tSaved checkpoint\tIteration: {snapshot.step}\n")
        log(f"  successfully saved checkpoint from iteration {snapshot.step:7d} to {self.folder}")
        kept = sorted(self.folder.glob("iter_*"))
        for path in kept[: -plan.keep] if plan.keep > 0 else []:
            shutil.rmtree(path)

    def finish(self, snapshot: Snapshot) -> None:
        if not (self.folder / f"iter_{snapshot.step:07d}").exists():
            self.save(snapshot, None)

    def _validated(self, step: int) -> int:
        return step // self.plan.config.validate_every * self.plan.validation_batches * self.plan.global_batch

    def _peft(self, names: Mapping[str, Any]) -> dict[str, Any] | None:
        lora = self.plan.lora
        if lora is None:
            return None
        return {
            "_target_": "bionemo.evo2.models.evo2_lora.Evo2LoRA",
            "dim": lora.dim,
            "alpha": lora.alpha,
            "dropout": lora.dropout,
            "dropout_position": "pre",
            "params_to_save": set(names),
            "target_modules": [target for target in ADAPTED if target in lora.targets],
        }
