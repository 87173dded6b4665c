"""What one training of the local engine optimises: loss, optimizer, schedule, and what is logged of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, cast

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import ParallelStrategy
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from workflow.backends.embedded.batches import Batch
from workflow.backends.embedded.fsdp import Sharded, shard, shard_whole
from workflow.backends.training_gates import check_finite
from workflow.config import TrainConfig
from workflow.gates import GateLog
from workflow.striped_hyena.adapters import adapter_shifts
from workflow.striped_hyena.codons import HeadObjective, codon_objective
from workflow.striped_hyena.model import Output, StripedHyena2
from workflow.striped_hyena.objectives import base_nll, base_weights
from workflow.striped_hyena.tokens import is_lower, model_inputs

_POINTS_OF_CURVE = 1000


class MetricLog(Protocol):
    """Takes the metrics of a step."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take them."""
        ...


class Adaptation(lightning.LightningModule):
    """Loss, optimizer and schedule of one training.

    A batch of Lightning's is one optimizer step: the forward passes that one process has in it. Their number may
    differ from step to step.

    Parameters
    ----------
    model : StripedHyena2 or PeftModel
        What is trained: every parameter with `requires_grad`.
    config : TrainConfig
        Rates, schedule, weights of the loss.
    gates : GateLog
    log : MetricLog, optional
        Gets what TensorBoard gets.
    """

    def __init__(
        self, model: StripedHyena2 | PeftModel, config: TrainConfig, gates: GateLog, log: MetricLog | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = config
        self.automatic_optimization = False
        # Frozen weights are in the base checkpoint already.
        self.strict_loading = False
        self.codons = codon_objective(config, _width(model)) if config.reads_codons else None
        self.bases_seen = self.codon_bases_seen = 0
        self._gates, self._metric_log = gates, log
        of_codons = [] if self.codons is None else ["codon_loss", "codons", "codon_bases"]
        self._step = dict.fromkeys(["loss", "weight", "bases", *of_codons], 0.0)
        self._validation: dict[str, float] = {}

    def go_on(self, bases_seen: int, codon_bases_seen: int) -> None:
        """Take up the counts of a training that was interrupted."""
        self.bases_seen, self.codon_bases_seen = bases_seen, codon_bases_seen

    def configure_model(self) -> None:
        """Spread the model over the processes where it is to be sharded."""
        if isinstance(self.trainer.strategy, Sharded):
            shard(self.model, self.trainer.strategy.mesh)
            if isinstance(self.codons, HeadObjective):
                shard_whole(self.codons.head, self.trainer.strategy.mesh)

    def training_step(self, batches: Sequence[Batch], batch_idx: int) -> None:
        """One optimizer step.

        The loss of a forward pass is divided by their number. With the mean over processes, which DDP and FSDP take
        of gradients, each step has those of one forward pass over all its samples.
        """
        optimizer = cast(Any, self.optimizers())
        optimizer.zero_grad()
        for number, batch in enumerate(batches, start=1):
            with self._gradients_of_a_pass(is_last=number == len(batches)):
                self.manual_backward(self.loss(*batch) / len(batches))
        optimizer.step()
        cast(Any, self.lr_schedulers()).step()

    def loss(self, targets: Tensor, mask: Tensor, codons: Tensor | None = None) -> Tensor:
        """Weighted loss of one forward pass in nats; it is counted as part of the step.

        It is divided by the positions of a full batch, not by the weights of this one: each base then counts
        alike over the whole run, and accumulated gradients are those of one large batch.
        """
        with self._arithmetic():
            output = self._forward(targets, mask)
            nll = base_nll(output.logits, targets)
            weights = base_weights(targets, mask, self.settings.repeat_weight)
            total = minimised = (nll * weights).sum()
            if self.codons is not None and codons is not None:
                minimised, of_codons = self.codons(output, nll, weights, codons)
                self._step["codon_loss"] += float(of_codons.detach().sum())
                self._step["codons"] += len(codons)
                self._step["codon_bases"] += int((weights[codons[:, :1], codons[:, 1:4]] > 0).sum())
        self._step["loss"] += float(total.detach())
        self._step["weight"] += float(weights.sum())
        self._step["bases"] += int((weights > 0).sum())
        return minimised / (self.settings.batch_size * self.settings.context_length)

    def _forward(self, targets: Tensor, mask: Tensor) -> Output:
        """What the model says, with the hidden states that the objective reads."""
        inputs = model_inputs(targets)
        if self.codons is None:
            return cast(Output, self.model(inputs, mask))
        return cast(Output, self.model(inputs, mask, hidden_layers=self.codons.hidden_layers))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the step that is about to be made, and clip its gradients.

        Raises
        ------
        GateError
            Its loss is not finite.
        """
        step, sums = self.global_step + 1, self._over_processes(self._step)
        self._step = dict.fromkeys(self._step, 0.0)
        self.bases_seen += int(sums["bases"])
        self.codon_bases_seen += int(sums.get("codon_bases", 0))
        minimised = sums["loss"] + sums.get("codon_loss", 0.0)
        if not math.isfinite(minimised):
            check_finite(minimised, self._gates, step, "training")
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = float(clip_grad_norm_(trained, self.settings.clip))
        if step % max(1, self.settings.steps // _POINTS_OF_CURVE) == 0:
            self._log(
                step,
                train_loss=sums["loss"] / max(sums["weight"], 1e-9),
                grad_norm=norm,
                learning_rate=optimizer.param_groups[0]["lr"],
                **_mean_codon_loss("train", sums),
            )

    def on_validation_epoch_start(self) -> None:
        """Begin the sums."""
        of_codons = [] if self.codons is None else ["codon_loss", "codons"]
        sums = ["nll", "bases", "nll_nonrepeat", "bases_nonrepeat", *of_codons]
        self._validation = dict.fromkeys(sums, 0.0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up the NLL over all bases, and over those that are not soft-masked; and the loss of codons."""
        targets, mask, *codons = batch
        with self._arithmetic():
            output = self._forward(targets, mask)
            nll = base_nll(output.logits, targets)
            if self.codons is not None and codons:
                _, of_codons = self.codons(output, nll, torch.ones_like(nll), codons[0])
                self._validation["codon_loss"] += float(of_codons.double().sum())
                self._validation["codons"] += len(of_codons)
        nll = nll.double()
        everywhere = base_weights(targets, mask, repeat_weight=1.0) > 0
        for suffix, kept in (("", everywhere), ("_nonrepeat", everywhere & ~is_lower(targets))):
            self._validation["nll" + suffix] += float(nll[kept].sum())
            self._validation["bases" + suffix] += float(kept.sum())

    def on_validation_epoch_end(self) -> None:
        """Log the validation losses in nats per base."""
        sums = self._over_processes(self._validation)
        losses = {"val_loss": sums["nll"] / max(sums["bases"], 1), **_mean_codon_loss("val", sums)}
        if 0 < sums["bases_nonrepeat"] < sums["bases"]:
            losses["val_loss_nonrepeat"] = sums["nll_nonrepeat"] / sums["bases_nonrepeat"]
        self.log("val_loss", losses["val_loss"], logger=False)
        if shifts := adapter_shifts(self.model):
            losses["adapter_shift"] = sum(shifts.values()) / len(shifts)
        self._log(self.global_step, **losses)

    def shifts(self) -> dict[str, float]:
        """How far what began at zero has moved, by name: adapters against their weights, and the codon head.

        The head is left out as long as no codon was seen.
        """
        shifts = adapter_shifts(self.model)
        if isinstance(self.codons, HeadObjective) and self.codon_bases_seen:
            shifts["codon_head"] = float(self.codons.head.weight.detach().norm())
        return shifts

    def _gradients_of_a_pass(self, is_last: bool) -> AbstractContextManager[Any]:
        """With DDP, gradients are averaged over processes once a step, in its last pass."""
        strategy = self.trainer.strategy
        if is_last or not isinstance(strategy, ParallelStrategy):
            return nullcontext()
        return strategy.block_backward_sync()

    def _arithmetic(self) -> torch.autocast:
        """The precision of forward passes; backward passes follow them."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16")

    def _over_processes(self, sums: dict[str, float]) -> dict[str, float]:
        """Sums over all processes, the same in each."""
        mine = torch.tensor(list(sums.values()), dtype=torch.float64, device=self.device)
        total = cast(Tensor, self.trainer.strategy.reduce(mine, reduce_op="sum"))
        return dict(zip(sums, total.tolist(), strict=True))

    def _log(self, step: int, **values: float) -> None:
        cast(TensorBoardLogger, self.logger).log_metrics(values | {"bases_seen": self.bases_seen}, step)
        if self._metric_log is not None:
            self._metric_log.log(step, values)

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


def _width(model: StripedHyena2 | PeftModel) -> int:
    engine = cast(StripedHyena2, model.get_base_model()) if isinstance(model, PeftModel) else model
    return engine.config.width


def _mean_codon_loss(prefix: str, sums: Mapping[str, float]) -> dict[str, float]:
    """The mean loss of a codon in nats, under its name in the log; nothing where no codon was seen."""
    return {f"{prefix}_codon_loss": sums["codon_loss"] / sums["codons"]} if sums.get("codons") else {}
