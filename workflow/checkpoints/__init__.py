"""Checkpoints of every format that Evo 2 weights come in: told apart, described, read, written, compared, merged."""

from workflow.checkpoints.adapters import adapter_shifts
from workflow.checkpoints.comparing import Comparison, compare
from workflow.checkpoints.describing import Description, describe
from workflow.checkpoints.formats import Format, is_complete, sniff
from workflow.checkpoints.merging import Merged, merge
from workflow.checkpoints.reading import Weights, fp8_scales, load_model, read_weights
from workflow.checkpoints.writing import write_ours, write_savanna, write_vortex

__all__ = [
    "Comparison",
    "Description",
    "Format",
    "Merged",
    "Weights",
    "adapter_shifts",
    "compare",
    "describe",
    "fp8_scales",
    "is_complete",
    "load_model",
    "merge",
    "read_weights",
    "sniff",
    "write_ours",
    "write_savanna",
    "write_vortex",
]
