from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from workflow.errors import InputError
from workflow.sweeping.describing import describe
from workflow.sweeping.plan import Plan, make_plan
from workflow.sweeping.settings import flatten, resolved

Planned = Callable[..., Plan]
CONTEXT = {"train": {"context_length": {"choices": [256, 512, 1024]}}}
BATCH = {"train": {"batch_size": {"low": 2, "high": 16}}}
TOOLS = ("backend=nemo2", "model=tiny")


def names(plan: Plan) -> list[str]:
    return [objective.name for objective in plan.objectives]


# ---------------------------------------------------------------- what trials are judged by


def test_the_default_objective_fits(planned: Planned) -> None:
    plan = planned()
    assert (names(plan), plan.follows) == (["val_loss_nonrepeat"], "val_loss_nonrepeat")
    assert plan.stages == ("download", "prepare", "preprocess", "convert", "train")
    assert not plan.notes


def test_trials_of_other_contexts_are_judged_by_the_same_windows(planned: Planned) -> None:
    plan = planned(space=CONTEXT)
    assert names(plan) == ["predict.nll_nonrepeat"]
    assert plan.follows is None
    assert "train.context_length changes what the training validates on" in plan.notes[0]
    config = resolved(plan.settings, plan.changes({"train.context_length": 256}))
    assert (config.train.context_length, config.windows.length) == (256, 1024)
    assert (config.predict.split, config.predict.forgetting) == ("val", None)


def test_tools_are_judged_by_scored_windows(planned: Planned) -> None:
    plan = planned(*TOOLS)
    assert (names(plan), plan.follows) == (["predict.nll_nonrepeat"], "val_loss")
    assert "NVIDIA's tools weigh lower-case bases" in plan.notes[0]


def test_the_loss_of_tools_is_called_what_it_is(planned: Planned) -> None:
    plan = planned(*TOOLS, objectives=["val_loss"])
    assert plan.objectives[0].label == "Validation loss of train_evo2 (lower-case bases count a tenth)"


def test_several_objectives_are_not_pruned(planned: Planned) -> None:
    plan = planned(objectives=["val_loss", "forgetting", "gpu_hours"])
    assert plan.follows is None and any("with several objectives" in note for note in plan.notes)
    assert plan.stages[-1] == "predict"
    assert plan.pinned["predict.split"] == "val" and "predict.forgetting" not in plan.pinned


def test_a_number_of_the_evaluation(planned: Planned) -> None:
    plan = planned(objectives=[{"name": "evaluate.markov.order", "direction": "maximize"}], stages=["elements"])
    assert plan.stages[-3:] == ("predict", "elements", "evaluate")
    assert plan.pinned["elements.split"] == "val"
    assert plan.follows is None


@pytest.mark.parametrize(
    ("overrides", "space", "sweep", "message"),
    [
        (
            (),
            CONTEXT,
            {"objectives": ["val_loss"]},
            r"context_length changes what the training validates on, .* use sw",
        ),
        (
            ("windows=genes", "mixture=genes"),
            {"mixture": {"weights": {"genic": {"low": 0.0, "high": 1.0}}}},
            {"objectives": ["val_loss_nonrepeat"]},
            r"^sweep\.space\.mixture\.weights\.genic changes what the training validates on",
        ),
        (TOOLS, BATCH, {"objectives": ["val_loss"]}, r"batch_size changes what the training validates on"),
        ((), {"windows": {"length": {"choices": [512, 1024]}}}, {"objectives": ["predict.nll"]}, r"windows\.length ch"),
        ((), {"model": {"context_length": {"choices": [512, 1024]}}}, {"objectives": ["val_loss"]}, r"context_length"),
        (TOOLS, None, {"objectives": ["val_loss_nonrepeat"]}, r"tools do not tell the validation loss of non-repeat"),
        ((), None, {"objectives": ["val_los"]}, r"val_los is no key .* did you mean val_loss\?"),
        ((), None, {"objectives": ["val_loss", "val_loss"]}, r"val_loss is there twice"),
        ((), None, {"objectives": ["evaluate.markov.order"]}, r"say which evaluate\.markov\.order is better"),
        ((), None, {"objectives": [{"name": "val_loss", "direction": "maximize"}]}, r"would seek the worst"),
        ((), None, {"objectives": [{"name": "val_loss", "direction": "up"}]}, r"up of val_loss is not minimize"),
        ((), None, {"objectives": [{"title": "x"}]}, r"\{title:x\} is not a name"),
        (("train=scratch",), None, {"objectives": ["forgetting"]}, r"there is no base model with train=scratch"),
        (("predict.forgetting=null",), None, {"objectives": ["forgetting"]}, r"there is no such file given"),
        (("predict.split=test",), None, {"objectives": ["predict.nll"]}, r"^predict\.split=test: a search that is"),
        (("train=none",), None, {}, r"train=none has none"),
        (("force=true",), None, {}, r"^force=true would make trials begin again"),
        ((), None, {"name": "lora"}, r"^sweep\.name=lora is the name of a training of this project"),
        ((), None, {"stages": ["tran"]}, r"^sweep\.stages: tran is no stage"),
        ((), None, {"queue": [{"train": {"clip": 1}}]}, r"^sweep\.queue: train\.clip is no key"),
        ((), None, {"queue": [{"train.learning_rate": -1}]}, r"-1, .*|the value -1 of the configuration"),
        ((), {"train": {"lora": {"rank": {"low": -3, "high": 64}}}}, {}, r"rank, value -3: train\.lora\.rank=-3 must"),
        ((), None, {"constraints": ["train.learning_rate > 1"]}, r"tried first, breaks sweep\.constraints\[0\]"),
        ((), None, {"constraints": ["train.steps > 10000"]}, r"does not hold, and no searched setting can change"),
        ((), None, {"constraints": ["train.stepps > 1"]}, r"^sweep\.constraints\[0\]: train\.stepps is no key"),
        (
            (),
            None,
            {"constraints": ["train.learning_rate < 0.05"], "queue": [{"train.learning_rate": 0.09}]},
            r"^sweep\.queue has a trial that breaks sweep\.constraints\[0\]",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    planned: Planned, overrides: tuple[str, ...], space: Any, sweep: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        planned(*overrides, **({"space": space} if space else {}), **sweep)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- what a trial is


def test_a_trial_is_the_base_with_its_values(planned: Planned) -> None:
    plan = planned("train.steps=7")
    config = resolved(plan.settings, {})
    trial = plan.trial_settings({"train.learning_rate": 0.01}, "trials/0003")
    assert (trial.train.learning_rate, trial.train.steps, trial.run_name) == (0.01, 7, "0003")
    assert trial.runs_folder == str(plan.folder / "trials")
    assert list(trial.stage) == list(plan.stages)
    assert config.train.learning_rate != 0.01


def test_the_line_typed_by_hand(planned: Planned) -> None:
    plan = planned("train.steps=7", "genome.fasta=https://me:secret@host/x.fa", "sweep.trials=3", "stage=train")
    line = plan.command({"train.learning_rate": 0.01}, "trials/0003")
    assert line[0] == "train.steps=7" and "train.learning_rate=0.01" in line and "run_name='0003'" in line
    assert not any(part.startswith("sweep") for part in line)
    assert "secret" not in " ".join(line)


def test_identity_is_what_trials_have_in_common(planned: Planned) -> None:
    identity = planned().identity
    for same in (("sweep.trials=3",), ("launcher=docker",), ("train.learning_rate=0.002",), ("sweep.sampler=gp",)):
        assert planned(*same).identity == identity, same
    for other in (("train.steps=7",), ("genome=phix174",), ("train.seed=3",), ("model.architecture=evo2_7b",)):
        assert planned(*other).identity != identity, other
    assert planned(space=BATCH).identity != identity
    assert planned(objectives=["val_loss"]).identity != identity


def test_the_queue_comes_after_the_default(planned: Planned) -> None:
    plan = planned(queue=[{"train": {"learning_rate": 0.5}}])
    assert plan.first == ({}, {"train.learning_rate": 0.5})
    assert plan.space.dimensions[0].high == 0.5
    assert "to hold the trials that come first" in plan.notes[0]


def test_description(planned: Planned) -> None:
    told = describe(planned(constraints=["train.learning_rate < 1"]))
    assert "train.learning_rate  1e-06 to 0.1, logarithmic" in told
    assert "where train.learning_rate < 1" in told
    assert "trial 0: python -m workflow.run " in told


@pytest.mark.parametrize(
    "overrides",
    [
        ("sweep=lora",),
        ("sweep=full", "train=full"),
        ("sweep=data", "windows=genes", "mixture=genes"),
    ],
)
def test_the_spaces_of_the_project(composed: Callable[..., Any], overrides: tuple[str, ...]) -> None:
    plan = make_plan(composed(*overrides), overrides)
    assert plan.name.endswith(overrides[0].replace("=", "-"))
    for dimension in plan.space.dimensions:
        for value in dimension.ends:
            assert flatten(asdict(resolved(plan.settings, {dimension.key: value})))
