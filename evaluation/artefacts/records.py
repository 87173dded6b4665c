"""JSON that a stage published, read by keys; and which stages belong to one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.artifacts import MANIFEST, InputError, read_json, read_manifest

#: In the order in which they run.
_STAGES = (
    "prepare",
    "preprocess",
    "convert",
    "train",
    "predict",
    "infer",
    "variants",
    "elements",
    "experiment",
    "embed",
    "classify",
)
#: Those that a report does without.
_OPTIONAL = ("infer", "variants", "elements", "experiment", "embed", "classify")
#: Of these, those that may read less of the run than `predict`: sequences of their own, or the model as it was.
_MAY_READ_LESS = ("embed", "classify")


@dataclass(frozen=True)
class Record:
    """A JSON object that a stage wrote.

    Attributes
    ----------
    path : Path
        The file, in the folder of its stage.
    content : dict
    """

    path: Path
    content: dict[str, Any]

    def value(self, *keys: str) -> Any:
        """What lies under nested keys.

        Raises
        ------
        InputError
            There is no such key.
        """
        value: Any = self.content
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise self.of_another_version()
            value = value[key]
        return value

    def of_another_version(self) -> InputError:
        """The error that the content is not what is written now."""
        stage = self.path.parent.name
        return InputError(
            f"{self.path} was written by another version: run the stage again with stage={stage} force=true"
        )


def read_record(path: Path) -> Record:
    """Read a JSON object. Raises InputError when the file is missing or damaged."""
    return Record(path, read_json(path))


def stage_record(folder: Path) -> Record:
    """Manifest of a published stage. Raises InputError when there is none."""
    return Record(folder / MANIFEST, read_manifest(folder))


def stages_of_report(run: Path) -> dict[str, Record]:
    """Manifests of the stages that the predictions of a run come from, in the order of the stages.

    A run folder may hold more: a training of other settings is kept when the run is predicted without one, and
    generations stay until they are made anew. `train` belongs to the report when `predict` read it; `infer` and the
    tasks when they read the same model and genome as `predict`, `embed` and `classify` as far as they read any.

    Raises
    ------
    InputError
        A stage is missing, was run again after one that read it, or was written by another version.
    """
    records = {stage: stage_record(run / stage) for stage in ("predict", "prepare", "preprocess", "convert")}
    predict = records["predict"]
    read_by_predict = predict.value("identity", "stages")
    if "train" in read_by_predict:
        records["train"] = stage_record(run / "train")
    for stage in ("prepare", "convert", "train"):
        if stage in records:
            _require_read(records[stage], predict)
    _require_read(records["prepare"], records["preprocess"])
    for stage in _OPTIONAL:
        if (run / stage / MANIFEST).exists():
            record = stage_record(run / stage)
            read = record.value("identity", "stages")
            if read == read_by_predict or (stage in _MAY_READ_LESS and read.items() <= read_by_predict.items()):
                records[stage] = record
    return {stage: records[stage] for stage in _STAGES if stage in records}


def _require_read(before: Record, after: Record) -> None:
    """Stop when `after` was made from another state of `before` than the published one."""
    stage, reader = before.path.parent.name, after.path.parent.name
    if after.value("identity", "stages", stage) != before.value("fingerprint"):
        raise InputError(
            f"{after.path.parent} was made before {stage} ran again with other settings or inputs: run stage={reader}"
        )
