"""Stand-ins for NVIDIA's Evo2 tools: the same flags, the same files, the embedded engine inside.

`install` puts console scripts with the tools' names into a folder; with that folder first on PATH, a program
finds them as it would inside the container. They keep to the contract of one version, write the formats of
that version, and share its faults. What they do can be bent by environment variables:

EMULATOR_FAULT
    `TOOL:KIND`, several with commas: how a tool is to go wrong; the kinds are those of `faults.KINDS`.
EMULATOR_HUB
    Folder that stands for the internet: `ORGANISATION/NAME/*.pt` for Hugging Face, `ngc/NAME:VERSION` for NGC.
EMULATOR_PRECISION
    `bf16` (default) as the tools have it, or `fp32`, with which weights are stored and computed in float32, so
    that numbers can be compared with those of the embedded engine.
EMULATOR_STEP_SECONDS
    Seconds that each training step and each batch of a prediction waits, for tests that interrupt.
EMULATOR_PATCHED
    `1`: adapters of nemo2 get their gradient under activation checkpointing too, as with the patched package.
"""

# Nothing here may import torch: `--help` has to be quick.
from tests.emulator.install import install, write_tokenizer

__all__ = ["install", "write_tokenizer"]
