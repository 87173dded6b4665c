"""StripedHyena 2, the architecture of Evo 2, in plain PyTorch: CPU or GPU, float32 or bfloat16."""

from workflow.striped_hyena.checkpoints import load_checkpoint, save_checkpoint
from workflow.striped_hyena.config import PRESETS, ModelConfig
from workflow.striped_hyena.generation import Generated, Sampling, generate
from workflow.striped_hyena.model import DecodingState, Output, StripedHyena2
from workflow.striped_hyena.scoring import SequenceScore, score_sequences

__all__ = [
    "PRESETS",
    "DecodingState",
    "Generated",
    "ModelConfig",
    "Output",
    "Sampling",
    "SequenceScore",
    "StripedHyena2",
    "generate",
    "load_checkpoint",
    "save_checkpoint",
    "score_sequences",
]
