import json
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from workflow.errors import InputError
from workflow.sweeping.space import Dimension, SearchSpace

TARGETS = [["l1"], ["l1", "l2"], "all"]


def read(settings: DictConfig, space: dict[str, Any]) -> SearchSpace:
    return SearchSpace.read(space, settings)


def suggested(space: SearchSpace, fixed: dict[str, Any]) -> dict[str, Any]:
    study = optuna.create_study()
    study.enqueue_trial(fixed)
    return space.suggest(study.ask())


def test_kinds_of_dimensions(composed: Callable[..., DictConfig]) -> None:
    space = read(
        composed(),
        {
            "train": {"learning_rate": {"low": 1e-5, "high": 1, "log": True}, "lora.rank": {"low": 2, "high": 64}},
            "train.lora.targets": {"choices": TARGETS[:2]},
            "train.reverse_complement": {"low": 0, "high": 0.5, "step": 0.25},
        },
    )
    by_key = {dimension.key: dimension for dimension in space.dimensions}
    assert by_key["train.learning_rate"].distribution == optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)
    assert by_key["train.lora.rank"].distribution == optuna.distributions.IntDistribution(2, 64)
    assert by_key["train.reverse_complement"].distribution == optuna.distributions.FloatDistribution(0, 0.5, step=0.25)
    assert by_key["train.lora.targets"].distribution == optuna.distributions.CategoricalDistribution(
        ['["l1"]', '["l1", "l2"]']
    )
    assert by_key["train.lora.targets"].record == {"choices": [["l1"], ["l1", "l2"]], "when": None}


def test_a_condition_decides_whether_a_setting_matters(composed: Callable[..., DictConfig]) -> None:
    space = read(
        composed(),
        {
            "train.lora.rank": {"low": 2, "high": 64, "when": "train.method == 'lora'"},
            "train.method": {"choices": ["lora", "full"]},
        },
    )
    assert space.keys == ("train.method", "train.lora.rank")  # what is depended on comes first
    assert suggested(space, {"train.method": "lora", "train.lora.rank": 5}) == {
        "train.method": "lora",
        "train.lora.rank": 5,
    }
    assert suggested(space, {"train.method": "full", "train.lora.rank": 5}) == {"train.method": "full"}


def test_values_survive_the_storage(composed: Callable[..., DictConfig]) -> None:
    space = read(composed(), {"train.early_stopping": {"choices": [None, 1, True, 2]}})
    for value in (None, 1, True, 2):
        stored = space.stored({"train.early_stopping": value})
        back = space.values(json.loads(json.dumps(stored)))["train.early_stopping"]
        assert back == value and type(back) is type(value)


def test_the_space_is_widened_to_hold_the_default(composed: Callable[..., DictConfig]) -> None:
    narrow = read(
        composed("train.learning_rate=0.5", "train.warmup_steps=7", "train.lora.targets=[l3]"),
        {
            "train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
            "train.warmup_steps": {"low": 0, "high": 20, "step": 5},
            "train.lora.targets": {"choices": TARGETS[:1]},
        },
    )
    rate, warmup, targets = narrow.with_trial({}).dimensions
    assert (rate.low, rate.high) == (1e-5, 0.5)
    assert (warmup.low, warmup.high) == (2, 17)  # the grid passes through 7
    assert targets.choices == (["l3"], ["l1"])
    assert len(list(narrow.with_trial({}).widened_from(narrow))) == 3
    assert not list(narrow.widened_from(narrow))


@given(st.integers(-30, 60), st.integers(1, 7), st.integers(0, 20))
def test_a_stepped_range_passes_through_the_value(value: int, step: int, extra: int) -> None:
    dimension = Dimension("key", 0, step + extra, step=step).with_value(value)
    grid = list(range(int(dimension.low), int(dimension.high) + 1, step))
    assert value in grid and dimension.high == grid[-1]
    assert dimension.low > -step or value == dimension.low


@pytest.mark.parametrize(
    ("overrides", "space", "message"),
    [
        ((), {}, r"^sweep\.space is empty"),
        ((), {"train.lerning_rate": {"low": 0, "high": 1}}, r"did you mean train\.learning_rate"),
        ((), {"rank": {"low": 1, "high": 2}}, r"did you mean train\.lora\.rank"),
        ((), {"train.seed": {"low": 0, "high": 9}}, r"^sweep\.space\.train\.seed cannot be searched: a seed is chance"),
        ((), {"genome.name": {"choices": ["a"]}}, r"^sweep\.space\.genome\.name cannot be searched: trials on other"),
        ((), {"sweep.trials": {"low": 1, "high": 2}}, r"cannot be searched: it is the search itself"),
        ((), {"train.lora.rank": {"lo": 1, "high": 2}}, r"^sweep\.space\.train\.lora\.rank=.*: give \{low"),
        ((), {"train.lora.rank": {"low": 1, "high": 2, "choices": [1]}}, r"give \{low"),
        ((), {"train.lora.rank": {"low": 1}}, r"^sweep\.space\.train\.lora\.rank\.high=null is not a number"),
        ((), {"train.lora.rank": {"low": 1.5, "high": 2}}, r"32 is an integer, so low, high and step"),
        ((), {"train.lora.rank": {"low": 5, "high": 2}}, r"low=5 must be less than high=2"),
        ((), {"train.lora.rank": {"low": 2, "high": 2}}, r"low=2 must be less than high=2"),
        ((), {"train.learning_rate": {"low": 0, "high": 1, "log": True}}, r"a logarithmic range needs low above 0"),
        ((), {"train.learning_rate": {"low": 0, "high": 1, "step": 2}}, r"step=2 must be positive and at most"),
        ((), {"train.method": {"low": 0, "high": 1}}, r"lora is no number: use choices"),
        ((), {"train.method": {"choices": []}}, r"choices=\[\] is not a list of values"),
        ((), {"train.method": {"choices": ["lora", "lora"]}}, r'choices: "lora" is there twice'),
        ((), {"train.clip": {"low": 1, "high": 2, "when": "train.metod == 1"}}, r"\.when: train\.metod is no key"),
        ((), {"train.clip": {"low": 1, "high": 2, "when": "1 +"}}, r"^sweep\.space\.train\.clip\.when: '1 \+' cannot"),
        (
            (),
            {
                "train.clip": {"low": 1, "high": 2, "when": "train.steps > 5"},
                "train.steps": {"low": 1, "high": 9, "when": "train.clip > 1"},
            },
            r"the conditions \(when\) of train\.clip, train\.steps depend on each other",
        ),
    ],
)
def test_faults(
    composed: Callable[..., DictConfig], overrides: tuple[str, ...], space: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(composed(*overrides), space)
    assert "\n" not in str(caught.value)


def test_a_default_that_no_range_can_hold(composed: Callable[..., DictConfig]) -> None:
    space = {"train.weight_decay": {"low": 0.1, "high": 1, "log": True}}
    with pytest.raises(InputError, match=r"^sweep\.space\.train\.weight_decay: the value 0\.0 .* a number above 0"):
        read(composed("train.weight_decay=0"), space).with_trial({})
    with pytest.raises(InputError, match=r"early_stopping: the value null .* not an integer"):
        read(composed(), {"train.early_stopping": {"low": 1, "high": 3}}).with_trial({})
