"""What may be removed, and that nothing else is."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.registry.conftest import make_run, make_study
from workflow.artifacts import MANIFEST, read_manifest, run_lock
from workflow.errors import InputError
from workflow.registry.leftovers import KINDS
from workflow.registry.pruning import plan_pruning, prune, size_of
from workflow.registry.records import describe, kept_record

LEFTOVERS = {
    "train.superseded-1": "superseded",
    "train/refused-17": "refused",
    "train/results/incomplete-17": "incomplete",
    "train/.index-abc": "killed",
    ".predict.tmp-{dead}": "killed",
    ".predict.tmp-{dead}-old": "killed",
    "predict/raw": "raw",
}


@pytest.fixture(scope="module")
def dead() -> int:
    """Number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def with_leftovers(run: Path, dead: int) -> dict[Path, str]:
    made = {run / name.format(dead=dead): kind for name, kind in LEFTOVERS.items()}
    for path in made:
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "file").write_bytes(bytes(100))
    return made


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.name not in ("run.json", ".lock")}


@contextmanager
def held_by_another(run: Path) -> Iterator[None]:
    """The lock of a run, as another process would hold it: one's own second lock is refused likewise."""
    with (run / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_plan_touches_nothing_and_tells_everything(runs: Path, dead: int) -> None:
    run = make_run(runs, "a")
    made = with_leftovers(run, dead)
    before = everything(runs)
    plan = plan_pruning(runs, KINDS, keep=3)
    assert {item.path: item.kind for item in plan.items[run]} == made
    assert {size_of(item) for item in plan.items[run]} == {100}
    assert everything(runs) == before


def test_published_stages_stay(runs: Path, dead: int) -> None:
    run = make_run(runs, "a")
    before = everything(run)
    with_leftovers(run, dead)
    done = list(prune(plan_pruning(runs, KINDS, keep=0)))
    assert len(done) == len(LEFTOVERS) and not [why for _, why in done if why]
    assert everything(run) - before == {run / "train" / "results"}
    assert before <= everything(run)


def test_manifests_tell_what_is_left(runs: Path, dead: int) -> None:
    run = make_run(runs, "a")
    with_leftovers(run, dead)
    before = read_manifest(run / "predict")
    list(prune(plan_pruning(runs, KINDS, keep=0)))
    after = read_manifest(run / "predict")
    assert after["outputs"] == [{"path": "data.bin", "bytes": 1000}]
    assert after["fingerprint"] == before["fingerprint"]
    assert kept_record(run) == describe(run)


def test_only_some_kinds(runs: Path, dead: int) -> None:
    run = make_run(runs, "a")
    with_leftovers(run, dead)
    assert [item.path.name for item in plan_pruning(runs, ["raw"], keep=0).items[run]] == ["raw"]


def test_what_a_living_process_builds_stays(runs: Path) -> None:
    run = make_run(runs, "a")
    (run / f".predict.tmp-{os.getpid()}").mkdir()
    assert not plan_pruning(runs, KINDS, keep=0).items


def test_the_only_copy_of_a_stage_stays(runs: Path, dead: int) -> None:
    """A process that was killed between the two renames of a replacement leaves the stage under another name."""
    run = make_run(runs, "a")
    (run / "predict").rename(run / f".predict.tmp-{dead}-old")
    assert not plan_pruning(runs, KINDS, keep=0).items


def test_links_are_not_followed(runs: Path, dead: int) -> None:
    shared = make_run(runs.parent, "elsewhere")
    with_leftovers(shared, dead)
    run = make_run(runs, "a", stages=("train",))
    (run / "predict").symlink_to(shared / "predict")
    assert not plan_pruning(runs, KINDS, keep=0).items


def test_a_run_that_is_worked_on_is_left_alone(runs: Path, dead: int) -> None:
    run = make_run(runs, "a")
    made = with_leftovers(run, dead)
    plan = plan_pruning(runs, KINDS, keep=0)
    with held_by_another(run):
        held = plan_pruning(runs, KINDS, keep=0)
        assert (held.items, held.busy) == ({}, [run])
        # It began after the plan was made.
        assert {why for _, why in prune(plan)} == {
            f"another process works on {run}: wait for it, or give run_name=…",
        }
    assert all(path.exists() for path in made)


def test_the_lock_is_not_taken_to_look_at_it(runs: Path) -> None:
    """A run that begins at that moment would be refused."""
    run = make_run(runs, "a")
    with run_lock(run):
        pass
    plan_pruning(runs, KINDS, keep=0)
    with run_lock(run):
        assert plan_pruning(runs, KINDS, keep=0).busy == [run]


@pytest.mark.parametrize(("direction", "best"), [("minimize", {1, 3}), ("maximize", {0, 2})])
def test_the_best_trials_keep_their_weights(runs: Path, direction: str, best: set[int]) -> None:
    values = [("complete", 1.4), ("complete", 1.1), ("complete", 1.3), ("complete", 1.2), ("pruned", 0.1)]
    study = make_study(runs, values, direction)
    plan = plan_pruning(runs, ["weights"], keep=2)
    assert {int(run.name) for run in plan.items} == {0, 1, 2, 3, 4} - best
    assert all(size_of(item) == 2020 for items in plan.items.values() for item in items)
    list(prune(plan))
    for number in range(5):
        train = study / "trials" / f"{number:04d}" / "train"
        assert (train / "stream.jsonl").exists()
        assert (train / "best").exists() == (train / MANIFEST).exists() == (number in best)


def test_a_trial_without_weights_still_tells_its_losses_and_is_no_finished_training(runs: Path) -> None:
    study = make_study(runs, [("complete", 1.4)])
    run = study / "trials" / "0000"
    before = describe(run).headline
    list(prune(plan_pruning(runs, ["weights"], keep=0)))
    record = describe(run)
    assert record.headline == before and [stage.state for stage in record.stages] == ["pruned"]
    assert sorted(path.name for path in (run / "train").iterdir()) == ["pruned.json", "stream.jsonl"]
    assert not plan_pruning(runs, ["weights"], keep=0).items


def test_an_unfinished_training_of_a_pruned_trial_loses_its_state(runs: Path) -> None:
    study = make_study(runs, [("pruned", 1.4), ("running", 1.5), ("waiting", 1.6)])
    for number in range(3):
        (study / "trials" / f"{number:04d}" / "train" / MANIFEST).unlink()
    list(prune(plan_pruning(runs, ["weights"], keep=0)))
    left = sorted(path.name for path in (study / "trials" / "0000" / "train").iterdir())
    assert left == ["in_place.json", "stream.jsonl"]
    assert (study / "trials" / "0001" / "train" / "state").exists()
    assert (study / "trials" / "0002" / "train" / "state").exists()


def test_failed_trials_go_as_a_whole(runs: Path) -> None:
    study = make_study(runs, [("failed", float("nan")), ("interrupted", float("nan")), ("complete", 1.0)])
    list(prune(plan_pruning(runs, KINDS, keep=1)))
    assert [path.name for path in sorted((study / "trials").iterdir())] == ["0001", "0002"]


def test_repeats_and_the_final_run_are_no_trials(runs: Path, dead: int) -> None:
    study = make_study(runs, [("complete", 1.0)])
    final = make_run(study, "final")
    before = everything(final)
    made = with_leftovers(final, dead)
    plan = plan_pruning(runs, KINDS, keep=0)
    assert {item.path for item in plan.items[final]} == set(made)
    list(prune(plan))
    assert before <= everything(final)


def test_a_study_that_cannot_be_read_is_left_alone(runs: Path) -> None:
    study = make_study(runs, [("failed", 1.0)])
    (study / "study.json").write_text("{")
    plan = plan_pruning(runs, KINDS, keep=0)
    assert not plan.items and len(plan.notes) == 1 and str(study / "study.json") in plan.notes[0]


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the folder that the runs are in, --folder RUNS"):
        plan_pruning(tmp_path / "none", KINDS, keep=0)
