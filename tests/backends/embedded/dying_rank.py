"""A rank of which the second process is killed as its fifth optimizer step would be made."""

from __future__ import annotations

import os
import signal

import torch

from workflow.backends.embedded import rank
from workflow.backends.embedded.adaptation import Adaptation

original = Adaptation.on_before_optimizer_step


def die(self: Adaptation, optimizer: torch.optim.Optimizer) -> None:
    if os.environ["RANK"] == "1" and self.global_step + 1 == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    original(self, optimizer)


if __name__ == "__main__":
    Adaptation.on_before_optimizer_step = die  # type: ignore[method-assign]
    rank.main()
