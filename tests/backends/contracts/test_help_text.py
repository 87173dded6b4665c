"""Flags out of the text of `--help`."""

from __future__ import annotations

import pytest

from workflow.backends.contracts import (
    TOOLCHAINS,
    Contract,
    HelpDifference,
    compare_flags,
    contract_versions,
    flags_of_help,
    load_contract,
)

CONTRACTS = [load_contract(toolchain, version) for toolchain in TOOLCHAINS for version in contract_versions(toolchain)]
NEMO2 = load_contract("nemo2", "2.7.1")


def compare(contract: Contract, tool: str, text: str) -> HelpDifference:
    return compare_flags(contract.tool(tool), flags_of_help(text))


@pytest.mark.parametrize("columns", ["30", "80", "300"])
@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
def test_no_difference_to_its_own_help(contract: Contract, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for tool in contract.tools:
        difference = compare(contract, tool, contract.parser(tool).format_help())
        assert not difference, (tool, difference)
        assert str(difference) == "as expected"


def test_what_is_missing_and_what_is_unknown() -> None:
    text = NEMO2.parser("predict_evo2").format_help().replace("  --micro-batch-size", "  --batch-size")
    difference = compare(NEMO2, "predict_evo2", text)
    assert difference.missing == ("--micro-batch-size",)
    assert difference.unknown == ("--batch-size",)
    assert len(difference) == 2
    assert str(difference) == "without --micro-batch-size, with the unknown --batch-size"


def test_versions_differ_by_their_flags() -> None:
    older = load_contract("nemo2", "2.7")
    difference = compare(older, "train_evo2", NEMO2.parser("train_evo2").format_help())
    assert difference.unknown == ("--fp8-recipe", "--limit-test-batches", "--lora-alpha", "--lora-dim")
    assert difference.missing == ()


def test_explanations_examples_and_noise_are_not_flags() -> None:
    text = """[2026-01-01 00:00:00] --not-this: a warning of some import
usage: tool [-h] [--in-usage-only X]
            --one ONE

What it does, with --two of which nothing is listed.

options:
  -h, --help            show this help message and exit
  --one ONE             with a text that goes on
                        --three is an explanation, and so is
    --four at another depth
  -d {a,b}, --data {a,b}
                        as --five
  --tags TAGS [TAGS ...]
  --equals=VALUE        joined
\x1b[1;32m  --coloured\x1b[0m COLOURED

more:
  --no-fp8-wgrad

Example: tool --six
  --seven as typed
"""
    expected = {"-h", "--help", "--one", "-d", "--data", "--tags", "--equals", "--coloured", "--no-fp8-wgrad"}
    assert flags_of_help(text) == expected


def test_no_help_has_no_flags() -> None:
    assert flags_of_help("") == frozenset()
    assert flags_of_help("usage: tool [-h]\n  --x\nImportError: no module of the name x") == frozenset()
