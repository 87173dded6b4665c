"""Checkpoints that NVIDIA's programs wrote of one tiny model, and what their predictions of it were.

Optimizer states are left out of the trained ones; everything else is as written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from workflow.striped_hyena import ModelConfig, StripedHyena2

NVIDIA = Path(__file__).parent.parent / "data" / "nvidia"
CHECKPOINTS = NVIDIA / "checkpoints"
RUN = "epoch=0-step=5-consumed_samples=12.0-last"
SAVANNA = CHECKPOINTS / "savanna_tiny.pt"
VORTEX = CHECKPOINTS / "vortex_export" / "tiny.pt"
NEMO2 = CHECKPOINTS / "nemo2"
NEMO2_LORA = CHECKPOINTS / "nemo2_lora" / RUN
#: Its metadata only: the shards are left out.
NEMO2_FULL = CHECKPOINTS / "nemo2_full" / RUN
MBRIDGE = CHECKPOINTS / "mbridge"
MBRIDGE_LORA = CHECKPOINTS / "mbridge_lora" / "iter_0000006"
MBRIDGE_FULL = CHECKPOINTS / "mbridge_full"
CONFIG = ModelConfig("SDH*", width=64, heads=4, mlp_width=96, filter_groups=8)
#: The sequences of input.fasta in upper case, in the order of their ids, which is the tools' index.
SEQUENCES = {"alpha": "ACGTNNACGTACGTACGTACG", "mid": "TTTTT", "zeta": "ACGTACGTAA"}


@dataclass
class Answers:
    """One of the tools' result files, by sequence."""

    path: Path

    def __post_init__(self) -> None:
        self.content: dict[str, Tensor] = torch.load(self.path, weights_only=True)

    def of(self, name: str, key: str) -> Tensor:
        row = self.content["seq_idx"].tolist().index(list(SEQUENCES).index(name))
        return self.content[key][row]


def answers(version: str, mode: str) -> Answers:
    return Answers(NVIDIA / version / mode / "predictions__rank_0__dp_rank_0.pt")


def logits(model: StripedHyena2, sequence: str, *, begin: bool) -> Tensor:
    ids = torch.tensor([[*([0] if begin else []), *sequence.encode()]])
    with torch.no_grad():
        return model.float().eval()(ids).logits[0]


def mean_logprob(model: StripedHyena2, sequence: str) -> float:
    """As the tools' `mean` without begin token: the first base is not scored."""
    targets = torch.tensor(list(sequence.encode()))[1:, None]
    return float(logits(model, sequence, begin=False)[:-1].log_softmax(-1).gather(1, targets).mean())


@pytest.fixture
def small() -> StripedHyena2:
    """A random model of the tiny architecture, float32."""
    torch.manual_seed(1)
    return StripedHyena2(CONFIG)
