"""Gates on what a run is about to do, before any stage runs; and what it would need.

Each module looks at one thing: `context` lengths, `precision` of the weights, sizes of `parallel` groups, GPU
`memory`, `data`, `time`, `disk`. `hardware` says what the machine has, `stages` which of them concern a stage.
"""

from workflow.preflight.context import check_context
from workflow.preflight.data import check_training_data, data_forecast, train_bases
from workflow.preflight.stages import forecast, preflight

__all__ = ["check_context", "check_training_data", "data_forecast", "forecast", "preflight", "train_bases"]
