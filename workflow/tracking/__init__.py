"""What a training tells while it runs: the metric stream, TensorBoard, and a tracker where one is asked for."""

from workflow.tracking.stream import STREAM, MetricStream, StreamRecord, read_stream
from workflow.tracking.tracker import TRACKED, Tracker, log_evaluation, open_tracker, require_tracker

__all__ = [
    "STREAM",
    "TRACKED",
    "MetricStream",
    "StreamRecord",
    "Tracker",
    "log_evaluation",
    "open_tracker",
    "read_stream",
    "require_tracker",
]
