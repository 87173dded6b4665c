"""What is kept of a training while it runs: the state to go on from, the best weights, the gates' records."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from peft import PeftModel
from safetensors.torch import save_file

from workflow.artifacts import publish, read_json, write_json
from workflow.backends.embedded.adaptation import Adaptation
from workflow.backends.embedded.fsdp import gathered, trained_weights
from workflow.backends.embedded.places import BEST, CODON_HEAD, STATE
from workflow.backends.embedded.state import SafeCheckpointIO
from workflow.backends.training_gates import check_adapters_move, check_finite
from workflow.config import TrainConfig
from workflow.console import Progress
from workflow.gates import GateLog
from workflow.striped_hyena.checkpoints import published_weights, save_weights
from workflow.striped_hyena.codons import HeadObjective
from workflow.striped_hyena.model import StripedHyena2

#: Steps from one stream of random numbers to that of the next process.
_RANK_STRIDE = 2**40


class Keeper(Callback):
    """Seeds each stretch, checks the gates, keeps the best weights and the state, shows progress.

    Every process runs it on the same numbers, and comes to the same verdicts; the first one writes.

    Parameters
    ----------
    folder : Path
        Gets `state/` and `best/`.
    config : TrainConfig
    gates : GateLog
    """

    def __init__(self, folder: Path, config: TrainConfig, gates: GateLog) -> None:
        self.folder, self.settings, self.gates = folder, config, gates
        self.kept: dict[str, Any] = {"best_loss": math.inf, "best_step": 0}
        self._progress: Progress | None = None

    def state_dict(self) -> dict[str, Any]:
        """What `kept_in` finds in the state."""
        return self.kept

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self.kept = dict(state_dict)
        self.gates.restore(self.kept["gates"])

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to show progress."""
        self._progress = Progress("training", self.settings.steps, "steps")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take up what the state held."""
        if self._progress is not None and trainer.global_step:
            self._progress.skip(trainer.global_step)
            cast(Adaptation, pl_module).go_on(self.kept["bases_seen"], self.kept.get("codon_bases_seen", 0))

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Seed what is random in this stretch; processes differ, as they have different samples."""
        torch.manual_seed(self.settings.seed * 1_000_003 + trainer.global_step + trainer.global_rank * _RANK_STRIDE)

    def on_train_batch_end(self, trainer: lightning.Trainer, *unused: Any) -> None:
        """Show progress."""
        if self._progress is not None:
            loss = trainer.callback_metrics.get("val_loss")
            note = f"val_loss {loss:.4f}" if loss is not None else ""
            self._progress.advance(trainer.global_step - self._progress.done, note)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Runs after the validation that ends the stretch."""
        if trainer.global_step == self.kept.get("step"):
            return  # After a restart Lightning ends the stretch once more whose end was saved.
        adaptation = cast(Adaptation, pl_module)
        check_adapters_move(adaptation.shifts(), self.gates, trainer.global_step)
        loss = float(trainer.callback_metrics["val_loss"])
        check_finite(loss, self.gates, trainer.global_step, "validation")
        if loss < self.kept["best_loss"]:
            self.kept |= {"best_loss": loss, "best_step": trainer.global_step}
            head = adaptation.codons if isinstance(adaptation.codons, HeadObjective) else None
            save_trained(adaptation.model, self.folder / BEST, writes=trainer.is_global_zero, head=head)
        finished = trainer.should_stop or trainer.global_step >= self.settings.steps
        self.kept |= {"step": trainer.global_step, "bases_seen": adaptation.bases_seen, "finished": finished}
        if adaptation.codons is not None:
            self.kept["codon_bases_seen"] = adaptation.codon_bases_seen
        self.kept["trainable_parameters"] = sum(p.numel() for p in trained_weights(adaptation).values())
        self.kept["gates"] = self.gates.as_records()
        trainer.save_checkpoint(self.folder / STATE)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take progress off the terminal."""
        if self._progress is not None:
            self._progress.close()


def kept_in(state: Path) -> dict[str, Any]:
    """What a `Keeper` wrote into a saved state: steps, bases seen, best loss, gates, whether it is finished."""
    kept: dict[str, Any] = SafeCheckpointIO().load_checkpoint(state)["callbacks"][Keeper.__qualname__]
    return kept


def save_trained(
    model: StripedHyena2 | PeftModel, folder: Path, writes: bool = True, head: HeadObjective | None = None
) -> None:
    """Write the adapter in peft's format, or all weights as `model.safetensors`.

    Parameters
    ----------
    writes : bool
        Whether this process does; where each has a part of the weights, the others have to call this too.
    head : HeadObjective, optional
        Its codon head is written as `codon_head.safetensors` (`weight` (64, width), `bias`).
    """
    weights = trained_weights(model) if isinstance(model, PeftModel) else published_weights(model)
    weights = gathered(weights, keep=writes)
    of_head = gathered(dict(head.head.named_parameters()), keep=writes) if head is not None else {}
    if not writes:
        return
    with publish(folder) as out:
        if of_head:
            save_file(of_head, out / CODON_HEAD)
        if isinstance(model, PeftModel):
            model.save_pretrained(str(out), safe_serialization=True, state_dict=weights)
            (out / "README.md").unlink(missing_ok=True)
            # peft keeps the names in a set, whose order changes from process to process.
            settings = read_json(out / "adapter_config.json")
            write_json(out / "adapter_config.json", settings | {"target_modules": sorted(settings["target_modules"])})
        else:
            save_weights(weights, model.config, out / "model.safetensors")
