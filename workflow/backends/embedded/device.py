"""The device that the engine computes on."""

from __future__ import annotations

import torch

from workflow.config import BackendConfig


def open_device(config: BackendConfig) -> torch.device:
    """The kind of device that the engine computes on, with float32 products in full precision."""
    # Some builds, those of the NGC containers among them, compute float32 products with 10 bits of mantissa.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() and config.device != "cpu" else "cpu")
