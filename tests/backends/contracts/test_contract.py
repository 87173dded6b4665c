"""Commands that are checked and spelt out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.backends.contracts import TOOLCHAINS, Command, Flag, contract_versions, load_contract
from workflow.backends.contracts.command import Option
from workflow.errors import InputError

CONTRACTS = [load_contract(toolchain, version) for toolchain in TOOLCHAINS for version in contract_versions(toolchain)]
NEMO2 = load_contract("nemo2", "2.7.1")
OLD = load_contract("nemo2", "2.6.3")
MBRIDGE = load_contract("mbridge", "2026.05")
TRAIN = {"--mock-data": True}
PREDICT = {"--fasta": "a.fa", "--ckpt-dir": "c"}


def refusal(contract: Any, tool: str, options: dict[str, Option]) -> str:
    with pytest.raises(InputError) as caught:
        contract.spell(Command(tool, options))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_spells_in_the_order_given() -> None:
    options = {
        "--fasta": Path("windows of x.fa"),
        "--ckpt-dir": "model",
        "--model-size": "7b",
        "--prepend-bos": True,
        "--fp8": False,
        "--lora-checkpoint-path": None,
        "--micro-batch-size": 4,
    }
    words = ["predict_evo2", "--fasta", "windows of x.fa", "--ckpt-dir", "model", "--model-size", "7b"]
    assert NEMO2.spell(Command("predict_evo2", options)) == [*words, "--prepend-bos", "--micro-batch-size", "4"]


def test_what_is_left_out_need_not_exist() -> None:
    options = PREDICT | {"--lora-checkpoint-path": None, "--lora-finetune": False}
    assert OLD.spell(Command("predict_evo2", options)) == ["predict_evo2", "--fasta", "a.fa", "--ckpt-dir", "c"]


def test_a_list_and_small_numbers() -> None:
    words = NEMO2.spell(Command("train_evo2", TRAIN | {"--nsys-ranks": [0, 3], "--lr": 3e-5}))
    assert words == ["train_evo2", "--mock-data", "--nsys-ranks", "0", "3", "--lr", "3e-05"]


def test_names_with_commas() -> None:
    options = TRAIN | {"--lora-target-modules": ["dense", "linear_qkv"]}
    words = MBRIDGE.spell(Command("train_evo2", options))
    assert words[2:] == ["--lora-target-modules", "dense,linear_qkv"]
    assert MBRIDGE.parser("train_evo2").parse_args(words[1:]).lora_target_modules == ["dense", "linear_qkv"]
    with_text = MBRIDGE.spell(Command("train_evo2", TRAIN | {"--lora-target-modules": "dense,linear_qkv"}))
    assert with_text == words


def test_switches_that_switch_something_off() -> None:
    assert NEMO2.spell(Command("train_evo2", TRAIN | {"--disable-checkpointing": True}))[2:] == [
        "--disable-checkpointing"
    ]
    assert NEMO2.spell(Command("train_evo2", TRAIN | {"--disable-checkpointing": False}))[2:] == []
    parsed = NEMO2.parser("train_evo2").parse_args(["--mock-data", "--disable-checkpointing"])
    assert parsed.create_checkpoint_callback is False
    assert NEMO2.parser("train_evo2").parse_args(["--mock-data"]).create_checkpoint_callback is True


def test_switches_may_come_as_text_of_a_configuration() -> None:
    options = TRAIN | {"--fp8": "True", "--no-activation-checkpointing": "false"}
    assert NEMO2.spell(Command("train_evo2", options))[2:] == ["--fp8"]


def test_positional_values_are_typed_alone() -> None:
    command = Command("download_bionemo_data", {"artifact_name": "evo2/7b-8k:1.0", "--source": "ngc"})
    assert NEMO2.spell(command) == ["download_bionemo_data", "evo2/7b-8k:1.0", "--source", "ngc"]


def test_values_that_begin_with_a_dash_stay_values() -> None:
    words = NEMO2.spell(Command("infer_evo2", {"--ckpt-dir": "c", "--prompt": "-ACGT", "--temperature": -1e-05}))
    assert words == ["infer_evo2", "--ckpt-dir", "c", "--prompt=-ACGT", "--temperature=-1e-05"]
    assert NEMO2.parser("infer_evo2").parse_args(words[1:]).prompt == "-ACGT"


@pytest.mark.parametrize(
    ("contract", "tool", "options", "message"),
    [
        (
            load_contract("nemo2", "2.7"),
            "train_evo2",
            TRAIN | {"--lora-dim": 8},
            "train_evo2 of nemo2 2.7: --lora-dim is not a flag of this version (2.7.1 and main-2026.03 have it)",
        ),
        (
            NEMO2,
            "predict_evo2",
            PREDICT | {"--batch-size": 1},
            "predict_evo2 of nemo2 2.7.1: --batch-size is not a flag of this version (2.6.3 has it)",
        ),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"--finetune-ckpt-dir": "c"},
            "train_evo2 of nemo2 2.7.1: --finetune-ckpt-dir is not a flag of this version (mbridge 2026.05 has it)",
        ),
        (
            NEMO2,
            "train_evo2",
            {"--seq-lenght": 8192},
            "train_evo2 of nemo2 2.7.1: --seq-lenght is not a flag of this version: did you mean --seq-length?",
        ),
        (NEMO2, "train_evo2", {"--zzz": 1}, "train_evo2 of nemo2 2.7.1: --zzz is not a flag of this version"),
        (NEMO2, "evo2_nemo2_to_hf", {}, "evo2_nemo2_to_hf is not a tool of nemo2 2.7.1 (main-2026.03 has it)"),
        (
            NEMO2,
            "evo2_export_mbridge_to_vortex",
            {},
            "evo2_export_mbridge_to_vortex is not a tool of nemo2 2.7.1 (mbridge 2026.05 has it)",
        ),
        (NEMO2, "splice_evo", {}, "splice_evo is not a tool of nemo2 2.7.1: did you mean splice_evo2?"),
        (NEMO2, "predict_evo2", {}, "predict_evo2 of nemo2 2.7.1: --fasta and --ckpt-dir must be given"),
        (
            NEMO2,
            "predict_evo2",
            {"--fasta": None, "--ckpt-dir": "c"},
            "predict_evo2 of nemo2 2.7.1: --fasta must be given",
        ),
        (
            NEMO2,
            "train_evo2",
            {},
            "train_evo2 of nemo2 2.7.1: one of --dataset-config, --mock-data, --fasta-data, --sharded-eden-data "
            "must be given",
        ),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"-d": "x.yaml"},
            "train_evo2 of nemo2 2.7.1: --dataset-config and --mock-data exclude each other: give one of them",
        ),
        (
            NEMO2,
            "train_evo2",
            {"-d": "x.yaml", "--dataset-config": "x.yaml"},
            "train_evo2 of nemo2 2.7.1: --dataset-config is given twice, in its short and its long form",
        ),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"--seq-length": 8192.0},
            "train_evo2 of nemo2 2.7.1: --seq-length=8192.0 is not a whole number",
        ),
        (NEMO2, "train_evo2", TRAIN | {"--lr": "fast"}, "train_evo2 of nemo2 2.7.1: --lr=fast is not a number"),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"--seq-length": True},
            "train_evo2 of nemo2 2.7.1: --seq-length needs a value of type int, True was given",
        ),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"--fp8": "yes"},
            "train_evo2 of nemo2 2.7.1: --fp8 is a switch and takes no value, 'yes' was given: use true or false",
        ),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"--seq-length": [1, 2]},
            "train_evo2 of nemo2 2.7.1: --seq-length takes one value, 2 were given: 1, 2",
        ),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"--nsys-ranks": []},
            "train_evo2 of nemo2 2.7.1: --nsys-ranks needs a value, an empty list was given",
        ),
        (
            NEMO2,
            "train_evo2",
            TRAIN | {"--wandb-tags": ["a", "-b"]},
            "train_evo2 of nemo2 2.7.1: --wandb-tags: a value that begins with '-' cannot be one of several: a, -b",
        ),
        (
            OLD,
            "predict_evo2",
            PREDICT | {"--log-prob-collapse-option": "per_token"},
            "predict_evo2 of nemo2 2.6.3: --log-prob-collapse-option=per_token is not a choice of this version: "
            "use one of sum, mean",
        ),
        (
            NEMO2,
            "predict_evo2",
            PREDICT | {"--pipeline-model-parallel-size": 2},
            "predict_evo2 of nemo2 2.7.1: --pipeline-model-parallel-size=2 is not a choice of this version: "
            "use one of 1",
        ),
        (
            OLD,
            "infer_evo2",
            {"--ckpt-dir": "c", "--vortex-style-fp8": "off"},
            "infer_evo2 of nemo2 2.6.3: --vortex-style-fp8=off would be read as true, as every text but the empty "
            "one: use true or false",
        ),
    ],
)
def test_refusals(contract: Any, tool: str, options: dict[str, Option], message: str) -> None:
    assert refusal(contract, tool, options) == message


def test_a_positional_value_that_a_list_would_swallow_is_refused() -> None:
    # No tool has such a pair; the parser behind the checks sees it all the same.
    from workflow.backends.contracts import Contract, Tool

    entries = [{"names": ["source"], "positional": True, "type": "str"}, {"names": ["--ranks"], "nargs": "+"}]
    tool = Tool("cut", "x:main", tuple(map(Flag.from_json, entries)))
    contract = Contract("nemo2", "2.7.1", {"cut": tool})
    assert contract.spell(Command("cut", {"source": "a", "--ranks": [1, 2]})) == ["cut", "a", "--ranks", "1", "2"]
    message = refusal(contract, "cut", {"--ranks": [1, 2], "source": "a"})
    assert message == "cut of nemo2 2.7.1: the following arguments are required: source"


@pytest.mark.parametrize("choice", [1, "1"])
def test_numbers_may_come_as_text(choice: Option) -> None:
    words = NEMO2.spell(Command("predict_evo2", PREDICT | {"--pipeline-model-parallel-size": choice}))
    assert words[-1] == "1"


@pytest.mark.parametrize(
    ("value", "typed", "read"),
    [
        (True, [], True),
        ("True", [], True),
        (False, ["--flash-decode", ""], False),
        ("false", ["--flash-decode", ""], False),
        (None, [], True),
    ],
)
def test_a_flag_that_reads_every_text_as_true(value: Option, typed: list[str], read: bool) -> None:
    words = OLD.spell(Command("infer_evo2", {"--ckpt-dir": "c", "--flash-decode": value}))
    assert words == ["infer_evo2", "--ckpt-dir", "c", *typed]
    assert OLD.parser("infer_evo2").parse_args(words[1:]).flash_decode is read


def test_the_parser_keeps_upstreams_faults() -> None:
    parsed = OLD.parser("infer_evo2").parse_args(["--ckpt-dir", "c", "--vortex-style-fp8", "False"])
    assert parsed.vortex_style_fp8 is True


def test_the_parser_has_upstreams_types_abbreviations_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    parsed = NEMO2.parser("predict_evo2").parse_args(["--fasta", "a.fa", "--ckpt-d", "c", "--micro-batch-size", "3"])
    assert (parsed.fasta, parsed.ckpt_dir, parsed.micro_batch_size) == (Path("a.fa"), Path("c"), 3)
    assert parsed.write_interval == "epoch"
    with pytest.raises(SystemExit) as caught:
        NEMO2.parser("predict_evo2").parse_args(["--fasta", "a.fa", "--ckpt-dir", "c", "--batch-size", "3"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --batch-size 3" in capsys.readouterr().err


def test_defaults_of_a_parser_are_its_own() -> None:
    first = NEMO2.parser("train_evo2").parse_args(["--mock-data"])
    first.nsys_ranks.append(9)
    assert NEMO2.parser("train_evo2").parse_args(["--mock-data"]).nsys_ranks == [0]


def test_flags_that_are_never_read_are_named() -> None:
    options = PREDICT | {"--devices": 2, "--num-layers": None, "--mask-phylogenetic-tags": False, "--min-length": 5}
    assert MBRIDGE.ignored(Command("predict_evo2", options)) == ["--devices"]
    assert NEMO2.ignored(Command("predict_evo2", PREDICT | {"--devices": 2})) == []


def test_words_of_a_user_are_read_as_the_tool_reads_them() -> None:
    words = ["--fasta=a.fa", "--ckpt-dir", "c", "--micro", "2"]
    assert NEMO2.check("predict_evo2", words).micro_batch_size == 2
    assert NEMO2.check("infer_evo2", ["--ckpt-dir", "c", "--prompt", "--no flag"]).prompt == "--no flag"


@pytest.mark.parametrize(
    ("contract", "tool", "words", "message"),
    [
        (
            NEMO2,
            "predict_evo2",
            ["--batch-size=3"],
            "predict_evo2 of nemo2 2.7.1: --batch-size is not a flag of this version (2.6.3 has it)",
        ),
        (
            NEMO2,
            "predict_evo2",
            ["--fasta", "a"],
            "predict_evo2 of nemo2 2.7.1: the following arguments are required: --ckpt-dir",
        ),
        (
            NEMO2,
            "predict_evo2",
            ["--micro-batch-size", "x"],
            "predict_evo2 of nemo2 2.7.1: --micro-batch-size: invalid int value: 'x'",
        ),
        (
            OLD,
            "infer_evo2",
            ["--ckpt-dir", "c", "--flash-decode", "False"],
            "infer_evo2 of nemo2 2.6.3: --flash-decode: this version takes every text but the empty one for true, "
            "'False' too: give True, or '' for false",
        ),
    ],
)
def test_words_that_are_refused(contract: Any, tool: str, words: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        contract.check(tool, words)
    assert str(caught.value) == message


def values_of(flag: Flag) -> st.SearchStrategy[Any]:
    """Values that a flag takes."""
    if flag.is_switch or flag.type == "bool":
        return st.booleans()
    if flag.choices:
        return st.sampled_from(flag.choices)
    text = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1)
    single = {
        "int": st.integers(),
        "float": st.floats(allow_nan=False),
        "str": text,
        "Path": st.from_regex(r"/[a-z ]+\.fa", fullmatch=True).map(Path),
        "names": st.lists(st.from_regex(r"[a-z_]+", fullmatch=True), min_size=1),
    }[flag.type]
    if flag.nargs == "+":
        return st.lists(st.integers(0) if flag.type == "int" else text.filter(lambda word: word[0] != "-"), min_size=1)
    return single


@given(st.data())
def test_what_is_spelt_is_what_the_tool_reads(data: st.DataObject) -> None:
    contract = data.draw(st.sampled_from(CONTRACTS))
    tool = data.draw(st.sampled_from(list(contract.tools.values())))
    taken = {name for group in tool.exclusive for name in group.flags}
    chosen = {data.draw(st.sampled_from(group.flags)) for group in tool.exclusive}
    free = [flag for flag in tool.flags if flag.name not in taken]
    wanted = [flag for flag in tool.flags if flag.name in chosen] + [
        flag for flag in free if flag.required or data.draw(st.booleans())
    ]
    options = {
        flag.name: True if flag.name in chosen and flag.is_switch else data.draw(values_of(flag)) for flag in wanted
    }
    words = contract.spell(Command(tool.name, options))
    parsed: argparse.Namespace = contract.parser(tool.name).parse_args(words[1:])
    by_variable: dict[str, list[Flag]] = {}
    for flag in wanted:
        by_variable.setdefault(flag.dest, []).append(flag)
    for variable, flags in by_variable.items():
        # Where two switches set the same variable, the last that was typed holds.
        typed = [flag for flag in flags if options[flag.name] is not False or flag.type == "bool"]
        read = getattr(parsed, variable)
        if not typed:
            assert read == flags[-1].default
        elif typed[-1].is_switch:
            assert read is (typed[-1].action == "store_true")
        else:
            assert read == options[typed[-1].name]
