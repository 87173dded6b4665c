"""The data: every version, what is in it, and what must not be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workflow.backends.contracts
from workflow.backends.contracts import TOOLCHAINS, Contract, contract_versions, load_contract, nearest_version
from workflow.errors import InputError

FILES = sorted(Path(workflow.backends.contracts.__file__).parent.glob("*.json"))
CONTRACTS = [load_contract(toolchain, version) for toolchain in TOOLCHAINS for version in contract_versions(toolchain)]


def test_versions_oldest_first_and_unreleased_ones_last() -> None:
    assert contract_versions("nemo2") == ("2.6.3", "2.7", "2.7.1", "main-2026.03")
    assert contract_versions("mbridge") == ("2026.05",)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_hold_no_text_of_upstreams(path: Path) -> None:
    data = json.loads(path.read_text())
    assert f"{data['toolchain']}-{data['version']}" == path.stem
    assert set(data) <= {"toolchain", "version", "preprocess_keys", "tools"}
    for tool in data["tools"].values():
        assert set(tool) <= {"entry_point", "torchrun", "exclusive", "ignored", "flags"}
        known = {"names", "positional", "required", "action", "type", "nargs", "default", "choices", "dest"}
        assert all(set(flag) <= known for flag in tool["flags"])


@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
def test_groups_and_ignored_flags_are_flags(contract: Contract) -> None:
    for tool in contract.tools.values():
        named = set(tool.ignored) | {name for group in tool.exclusive for name in group.flags}
        assert named <= set(tool.by_name)
        assert len(tool.by_name) == sum(len(flag.names) for flag in tool.flags)


@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
def test_choices_and_defaults_are_of_their_type(contract: Contract) -> None:
    kinds = {"str": str, "Path": str, "int": int, "float": float, "bool": bool, "names": str}
    for tool in contract.tools.values():
        for flag in tool.flags:
            given = flag.default if isinstance(flag.default, list) else [flag.default]
            values = [*flag.choices, *(value for value in given if value is not None)]
            assert all(isinstance(value, bool if flag.is_switch else kinds[flag.type]) for value in values), flag


@pytest.mark.parametrize(
    ("tool", "flag", "versions"),
    [
        ("predict_evo2", "--batch-size", ["2.6.3"]),
        ("predict_evo2", "--micro-batch-size", ["2.7", "2.7.1", "main-2026.03"]),
        ("train_evo2", "--lora-finetune", ["2.7", "2.7.1", "main-2026.03"]),
        ("train_evo2", "--lora-dim", ["2.7.1", "main-2026.03"]),
        ("predict_evo2", "--lora-checkpoint-path", ["2.7.1", "main-2026.03"]),
        ("infer_evo2", "--vortex-style-fp8", ["2.6.3"]),
        ("evo2_mamba_remove_optimizer", "--model-path", ["2.6.3", "2.7", "2.7.1"]),
        ("evo2_remove_optimizer", "--model-path", ["main-2026.03"]),
    ],
)
def test_which_versions_of_nemo2_have_a_flag(tool: str, flag: str, versions: list[str]) -> None:
    having = [version for version in contract_versions("nemo2") if load_contract("nemo2", version).has_flag(tool, flag)]
    assert having == versions


def test_what_mbridge_calls_otherwise() -> None:
    train = load_contract("mbridge", "2026.05").tool("train_evo2")
    assert {"--finetune-ckpt-dir", "--eval-interval", "--tensor-model-parallel-size"} <= set(train.by_name)
    assert not {"--ckpt-dir", "--val-check-interval", "--devices"} & set(train.by_name)
    assert train.torchrun
    assert "--dataset-dir" in train.ignored
    assert not load_contract("mbridge", "2026.05").tool("splice_evo2").torchrun


def test_model_sizes_of_a_version() -> None:
    size = load_contract("nemo2", "2.7.1").tool("train_evo2").by_name["--model-size"]
    assert "7b_arc_longcontext" in size.choices
    assert "20b" not in size.choices


@pytest.mark.parametrize(
    ("asked", "found"),
    [("2.5", "2.6.3"), ("2.6", "2.6.3"), ("2.6.3", "2.6.3"), ("2.6.9", "2.6.3"), ("2.7.0", "2.7"), ("2.7.5", "2.7.1")],
)
def test_nearest_version_is_told_unless_it_is_the_same(asked: str, found: str) -> None:
    version, note = nearest_version("nemo2", asked)
    assert version == found
    if asked in ("2.6.3", "2.7.0"):
        assert note is None
    else:
        assert note == f"the flags of nemo2 {asked} are not known: commands are checked against those of {found}"


def test_nearest_version_of_an_unreleased_one_is_itself() -> None:
    assert nearest_version("nemo2", "main-2026.03") == ("main-2026.03", None)


@pytest.mark.parametrize("asked", ["3.0", "1.10", "newest", "v2.7", "", "main-2027.01"])
def test_versions_of_no_known_generation_are_refused_with_the_list(asked: str) -> None:
    with pytest.raises(InputError) as caught:
        nearest_version("nemo2", asked)
    assert str(caught.value) == (
        f"the flags of nemo2 {asked} are not known: use one of 2.6.3, 2.7, 2.7.1, main-2026.03"
    )


def test_unknown_toolchain() -> None:
    with pytest.raises(InputError, match="local is not a toolchain of NVIDIA's: use one of nemo2, mbridge"):
        load_contract("local", "2.7.1")
