import json
from dataclasses import replace
from pathlib import Path

import yaml

from workflow.artifacts import read_manifest
from workflow.config import Config
from workflow.dataset.reading import open_split
from workflow.pipeline import Run


def trial(settings: Config, number: int, **train: object) -> Run:
    run = Run(
        replace(
            settings,
            stage=["prepare", "preprocess", "convert", "train"],
            run_name=f"trial-{number}",
            train=replace(settings.train, **train),  # type: ignore[arg-type]
        ),
        shared=Path(settings.runs_folder) / "shared",
    )
    run.execute()
    return run


def test_what_trials_have_in_common_is_made_once(settings: Config, ran: list[str]) -> None:
    first = trial(settings, 1, learning_rate=1e-3)
    assert ran == ["download", "prepare", "preprocess", "convert", "train"]
    second = trial(settings, 2, learning_rate=1e-4)
    assert ran[5:] == ["train"]
    for stage in ("download", "prepare", "preprocess", "convert"):
        assert (second.folder / stage).is_symlink()
        assert (second.folder / stage).resolve() == (first.folder / stage).resolve()
        assert read_manifest(second.folder / stage)["stage"] == stage
    assert not (second.folder / "train").is_symlink()
    assert (second.folder / "train" / "manifest.json").is_file()
    trial(settings, 2, learning_rate=1e-4)
    assert ran[6:] == []


def test_a_parameter_that_concerns_the_data_makes_them_anew(settings: Config, ran: list[str]) -> None:
    trial(settings, 1)
    del ran[:]
    longer = replace(settings, windows=replace(settings.windows, length=512))
    run = trial(longer, 2)
    assert ran == ["prepare", "preprocess", "train"]
    assert len(list((run.folder.parent / "shared").glob("prepare-*"))) == 2


def test_a_trial_whose_parameters_changed_is_linked_anew(settings: Config, ran: list[str]) -> None:
    trial(settings, 1)
    longer = replace(settings, windows=replace(settings.windows, length=512))
    run = trial(longer, 1)
    assert read_manifest(run.folder / "prepare")["config"]["windows"]["length"] == 512


def test_real_data_are_found_when_the_first_trial_is_gone(settings: Config) -> None:
    """Nothing in what is shared points into the trial that made it."""
    shared = Path(settings.runs_folder) / "shared"
    run = Run(settings, shared=shared)
    run.execute()
    for path in run.folder.iterdir():
        if path.is_symlink():
            path.unlink()
    again = Run(replace(settings, run_name="other"), shared=shared)
    again.execute()
    assert all((again.folder / stage).is_symlink() for stage in ("prepare", "preprocess"))
    files, _ = open_split(again.folder / "preprocess", "train", 1)
    assert sum(int(file.counts.sum()) for file in files) > 0
    text = (again.folder / "preprocess" / "training_data_config.yaml").read_text()
    assert all(Path(entry["dataset_prefix"]).is_relative_to(shared) for entry in yaml.safe_load(text))
    assert str(run.folder) not in json.dumps(read_manifest(again.folder / "preprocess")["outputs"])
