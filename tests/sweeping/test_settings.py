from collections.abc import Callable
from typing import Any

import pytest
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from workflow.errors import InputError
from workflow.sweeping.settings import changed, flatten, known_keys, overrides, resolved, typed, unknown_key


def test_nested_and_dotted_keys_are_one() -> None:
    assert flatten({"a": {"b": 1, "c.d": {"e": [2]}}, "f": {}}) == {"a.b": 1, "a.c.d.e": [2], "f": {}}
    assert flatten({}) == {}
    with pytest.raises(InputError, match=r"^a\.b is given twice"):
        flatten({"a": {"b": 1}, "a.b": 2})


def test_what_follows_from_a_value_follows_the_new_one(composed: Callable[..., DictConfig]) -> None:
    config = resolved(composed(), {"train.context_length": 512, "train.lora.targets": ["l1"]})
    assert (config.windows.length, config.train.lora.targets) == (512, ["l1"])
    base = composed("windows=genes", "mixture=genes")
    replaced = resolved(base, {"mixture.weights": {"genic": 1.0}})
    assert replaced.mixture.weights == {"genic": 1.0}
    assert "regions" in base.mixture.weights


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.lora.rnak", 4, r"^train\.lora\.rnak=4: "),
        ("train.lora.rank", "four", r"^train\.lora\.rank=four: "),
        ("train.lora.rank", 0, r"^train\.lora\.rank=0 must be positive"),
    ],
)
def test_faults_are_one_line(composed: Callable[..., DictConfig], key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        resolved(composed(), {key: value})
    assert "\n" not in str(caught.value)


CHANGES = {
    "train.learning_rate": 3.1e-05,
    "train.early_stopping": None,
    "train.lora.targets": ["l1", "Wqkv"],
    "mixture.weights": {"genic": 0.5, "promoter": 0.25},
    "model.activation_checkpointing": True,
    "run_name": "0007",
    "genome.organism": "it's a, {plant}: [no=1] true",
    "genome.source": "true",
}


def test_typed_overrides_do_the_same_on_the_command_line(composed: Callable[..., DictConfig]) -> None:
    base = ("windows=genes", "mixture=genes")
    settings = composed(*base)
    lines = overrides(CHANGES, settings)
    assert "~mixture.weights.regions" in lines
    by_hand = compose("config", [*base, f"runs_folder={settings.runs_folder}", *lines])
    assert OmegaConf.to_container(by_hand) == OmegaConf.to_container(changed(settings, CHANGES))


def test_all_keys_with_their_sections(composed: Callable[..., DictConfig]) -> None:
    known = known_keys(composed())
    assert known["windows.length"] == known["train.context_length"] == 1024
    assert known["train.lora"]["rank"] == known["train.lora.rank"] == 32


@pytest.mark.parametrize(
    ("key", "near"), [("train.learning_rat", "train.learning_rate"), ("rank", "train.lora.rank"), ("zzz", "")]
)
def test_what_was_meant(composed: Callable[..., DictConfig], key: str, near: str) -> None:
    told = str(unknown_key(key, "sweep.space", known_keys(composed())))
    assert told.startswith(f"sweep.space: {key} is no key of this configuration")
    assert near in told and ("did you mean" in told) == bool(near)


def test_words_that_are_not_text_are_quoted() -> None:
    assert [typed(value) for value in ("true", "a b", "0001", "l1", None, False, 1e-5)] == [
        "'true'",
        "'a b'",
        "'0001'",
        "l1",
        "null",
        "false",
        "1e-05",
    ]
