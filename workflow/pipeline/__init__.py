"""The stages in their order, and the run folder that a configuration names."""

from workflow.pipeline.running import Run, Step
from workflow.pipeline.table import PIPELINE, Stage

__all__ = ["PIPELINE", "Run", "Stage", "Step"]
