"""What one training of the local engine optimises: loss, optimizer, schedule, and what is logged of them."""

from __future__ import annotations

import math
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.utils import parametrize

from workflow.config import TrainConfig
from workflow.errors import InputError
from workflow.striped_hyena.adapters import adapter_shifts
from workflow.striped_hyena.model import HyenaBlock, StripedHyena2
from workflow.striped_hyena.objectives import base_nll, base_weights
from workflow.striped_hyena.tokens import is_lower, model_inputs

_POINTS_OF_CURVE = 1000


class NegativeExponential(nn.Module):
    """log_poles = −exp θ: training θ keeps the poles decaying; a positive pole explodes."""

    def forward(self, theta: Tensor) -> Tensor:
        """θ → log poles."""
        return -torch.exp(theta)

    def right_inverse(self, log_poles: Tensor) -> Tensor:
        """Log poles → θ."""
        return torch.log(-log_poles)


def make_filters_trainable(model: StripedHyena2) -> None:
    """Put the long filters' poles under `NegativeExponential`."""
    for block in model.blocks:
        if isinstance(block, HyenaBlock) and hasattr(block.filter, "log_poles"):
            parametrize.register_parametrization(block.filter, "log_poles", NegativeExponential())


class Adaptation(lightning.LightningModule):
    """Loss, optimizer and schedule of one training.

    Parameters
    ----------
    model : StripedHyena2 or PeftModel
        What is trained: every parameter with `requires_grad`.
    config : TrainConfig
        Rates, schedule, weights of the loss.
    """

    def __init__(self, model: StripedHyena2 | PeftModel, config: TrainConfig) -> None:
        super().__init__()
        self.model = model
        self.settings = config
        # Frozen weights are in the base checkpoint already.
        self.strict_loading = False
        self.bases_seen = 0
        self._step_loss = self._step_weight = 0.0
        self._validation: dict[str, float] = {}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Weighted NLL in nats.

        It is divided by the positions of a full batch, not by the weights of this one: each base then counts
        alike over the whole run, and accumulated gradients are those of one large batch.
        """
        targets, mask = batch
        nll = base_nll(self.model(model_inputs(targets), mask).logits, targets)
        weights = base_weights(targets, mask, self.settings.repeat_weight)
        total = (nll * weights).sum()
        self._step_loss += float(total.detach())
        self._step_weight += float(weights.sum())
        self.bases_seen += int((weights > 0).sum())
        return total / (self.settings.batch_size * self.settings.context_length)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the step that is about to be made."""
        step = self.global_step + 1
        if not math.isfinite(self._step_loss):
            raise InputError(f"the training loss is {self._step_loss} at step {step}: lower train.learning_rate")
        if step % max(1, self.settings.steps // _POINTS_OF_CURVE) == 0:
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            self._log(
                step,
                train_loss=self._step_loss / max(self._step_weight, 1e-9),
                grad_norm=float(torch.stack([gradient.norm() for gradient in gradients]).norm()),
                learning_rate=optimizer.param_groups[0]["lr"],
            )
        self._step_loss = self._step_weight = 0.0

    def on_validation_epoch_start(self) -> None:
        """Begin the sums."""
        self._validation = {"nll": 0.0, "bases": 0.0, "nll_nonrepeat": 0.0, "bases_nonrepeat": 0.0}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Add up the NLL over all bases, and over those that are not soft-masked."""
        targets, mask = batch
        nll = base_nll(self.model(model_inputs(targets), mask).logits, targets).double()
        everywhere = base_weights(targets, mask, repeat_weight=1.0) > 0
        for suffix, kept in (("", everywhere), ("_nonrepeat", everywhere & ~is_lower(targets))):
            self._validation["nll" + suffix] += float(nll[kept].sum())
            self._validation["bases" + suffix] += float(kept.sum())

    def on_validation_epoch_end(self) -> None:
        """Log the validation losses in nats per base."""
        sums = self._validation
        losses = {"val_loss": sums["nll"] / max(sums["bases"], 1)}
        if 0 < sums["bases_nonrepeat"] < sums["bases"]:
            losses["val_loss_nonrepeat"] = sums["nll_nonrepeat"] / sums["bases_nonrepeat"]
        self.log("val_loss", losses["val_loss"], logger=False)
        if shifts := adapter_shifts(self.model):
            losses["adapter_shift"] = sum(shifts.values()) / len(shifts)
        self._log(self.global_step, **losses)

    def _log(self, step: int, **values: float) -> None:
        cast(TensorBoardLogger, self.logger).log_metrics(values | {"bases_seen": self.bases_seen}, step)

    def configure_optimizers(self) -> Any:
        """AdamW, linear warm-up, cosine. No decay on filters, norms and biases."""
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                is_matrix = parameter.ndim == 2 and ".filter." not in name
                (decayed if is_matrix else plain).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=self.settings.learning_rate, betas=(0.9, 0.95)
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Share of the learning rate for the step after `step` steps."""
        config = self.settings
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        progress = min((step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return config.min_learning_rate_share + (1 - config.min_learning_rate_share) * cosine

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what is trained; drop the frozen base."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: tensor for name, tensor in state.items() if name in trained}
