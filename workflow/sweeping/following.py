"""What a training tells while it runs, read from its metric stream."""

from __future__ import annotations

from pathlib import Path

from workflow.tracking.stream import STREAM, read_stream


class Follower:
    """Reads one metric of a training as it goes on.

    Parameters
    ----------
    run : Path
        Run folder.
    metric : str, optional
        Which; `val_loss` where a line does not have it, as where no base is soft-masked, or where None is asked for.
    """

    def __init__(self, run: Path, metric: str | None) -> None:
        self._path, self._metric = run / "train" / STREAM, metric
        self._offset = 0
        self._told: set[int] = set()
        #: The newest step of which anything is known.
        self.step = 0

    def new(self) -> dict[int, float]:
        """Values by step that were not told before. A step that comes again after a resume is told once.

        Step 0 is the model before the training, in every trial the same.
        """
        records, self._offset = read_stream(self._path, self._offset)
        found: dict[int, float] = {}
        for record in records:
            self.step = max(self.step, record.step)
            value = record.metrics.get(self._metric or "", record.metrics.get("val_loss"))
            if value is not None and record.step > 0 and record.step not in self._told:
                found[record.step] = value
        self._told |= set(found)
        return found
