"""MLflow: a run in a store of files, or on a tracking server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from workflow.artifacts import waiting_lock
from workflow.console import complain
from workflow.registry.settings import flatten
from workflow.tracking.tracked import TrackedRun

# Both are read when mlflow is imported. Its store of files needs no database and no server, and serves many
# processes and network file systems; newer versions want to be asked for it.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Param, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

#: What a store accepts of one parameter (characters), and parameters of one call.
_PARAMETER_LENGTH, _PARAMETERS_AT_ONCE = 500, 100


class MlflowSink:
    """One run of MLflow; its parameters are the settings by dotted key.

    Parameters
    ----------
    run : TrackedRun
    known : str, optional
        Identifier of the run that is gone on with, where the store still has it.
    """

    def __init__(self, run: TrackedRun, known: str | None) -> None:
        place = run.place
        offline = place.mode == "offline"
        uri = run.offline_folder.as_uri() if offline else place.uri
        self._client = MlflowClient(tracking_uri=uri)
        self.identifier = self._go_on(known) or self._begin(run)
        if offline:
            complain(
                f"  tracking: mlflow keeps this run offline; to look at it: "
                f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {run.offline_folder}"
            )

    def log(self, step: int, metrics: Mapping[str, float], line: int) -> None:
        """Log the metrics of one step."""
        for name, value in metrics.items():
            self._client.log_metric(self.identifier, name, value, step=step)

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Numbers become metrics, texts tags."""
        for name, value in values.items():
            if isinstance(value, str):
                self._client.set_tag(self.identifier, name, value)
            else:
                self._client.log_metric(self.identifier, name, value)

    def close(self, succeeded: bool) -> None:
        """End the run; a later start goes on with it."""
        status = RunStatus.FINISHED if succeeded else RunStatus.FAILED
        self._client.set_terminated(self.identifier, RunStatus.to_string(status))

    def _go_on(self, identifier: str | None) -> str | None:
        if identifier is None:
            return None
        try:
            self._client.update_run(identifier, status=RunStatus.to_string(RunStatus.RUNNING))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return identifier

    def _begin(self, run: TrackedRun) -> str:
        tags = {f"fingerprint.{stage}": told for stage, told in run.fingerprints.items()}
        tags |= dict.fromkeys(run.place.tags, "true")
        if run.group is not None:
            tags["study"] = run.group
        identifier: str = self._client.create_run(self._experiment(run), run_name=run.name, tags=tags).info.run_id
        parameters = [Param(key, _shortened(value)) for key, value in flatten(run.settings).items()]
        for first in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self._client.log_batch(identifier, params=parameters[first : first + _PARAMETERS_AT_ONCE])
        return identifier

    def _experiment(self, run: TrackedRun) -> str:
        # In a store of files two processes could make two experiments of the same name.
        with waiting_lock(run.offline_folder):
            found = self._client.get_experiment_by_name(run.place.project)
            identifier: str = found.experiment_id if found else self._client.create_experiment(run.place.project)
        return identifier


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _PARAMETER_LENGTH else text[: _PARAMETER_LENGTH - 1] + "…"
