"""Telling what is installed, with programs that show the real flags."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.fake_tools import install, times_asked, write_program
from workflow.backends.contracts import TOOLCHAINS, Contract, contract_versions, load_contract
from workflow.backends.nvidia import toolchain as module
from workflow.backends.nvidia.toolchain import PROBES, Installed, contract_for, find_toolchain, user_cache
from workflow.config import BackendConfig
from workflow.errors import InputError, ToolError

CONTRACTS = [load_contract(toolchain, version) for toolchain in TOOLCHAINS for version in contract_versions(toolchain)]
NEMO2 = load_contract("nemo2", "2.7.1")
MBRIDGE = load_contract("mbridge", "2026.05")


def path_of(*folders: Path) -> str:
    """A search path with the folders in front, and what the programs themselves need."""
    return os.pathsep.join([*map(str, folders), os.environ["PATH"]])


@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
def test_every_version_is_recognised(contract: Contract, tmp_path: Path) -> None:
    folder = install(contract, tmp_path / "bin")
    found = find_toolchain(path_of(folder))
    assert found is not None
    assert (found.toolchain, found.version) == (contract.toolchain, contract.version)
    assert found.contract is contract
    assert set(found.differences) == set(PROBES)
    assert not any(found.differences.values())
    assert found.tools == {name: folder / name for name in contract.tools}
    assert times_asked(folder) == len(PROBES)


def test_nothing_installed(tmp_path: Path) -> None:
    assert find_toolchain(str(tmp_path)) is None
    assert find_toolchain("") is None


def test_path_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(NEMO2, tmp_path / "bin")
    monkeypatch.setenv("PATH", path_of(tmp_path / "bin"))
    found = find_toolchain()
    assert found is not None
    assert found.version == "2.7.1"


def test_a_tool_that_is_not_quite_as_expected(tmp_path: Path) -> None:
    install(NEMO2, tmp_path, "  --prepend-bos", "  --prepend-begin")
    found = find_toolchain(path_of(tmp_path))
    assert found is not None
    assert found.version == "2.7.1"
    assert str(found.differences["predict_evo2"]) == "without --prepend-bos, with the unknown --prepend-begin"
    assert not found.differences["train_evo2"]
    contract, notes = contract_for(BackendConfig(name="nemo2"), found)
    assert contract is NEMO2
    assert notes == [
        "the installed predict_evo2 is not quite that of nemo2 2.7.1: without --prepend-bos, with the unknown "
        "--prepend-begin"
    ]


def test_every_tool_can_be_compared(tmp_path: Path) -> None:
    install(NEMO2, tmp_path, "  --fasta-path", "  --fasta-file")
    found = find_toolchain(path_of(tmp_path), every_tool=True)
    assert found is not None
    assert set(found.differences) == set(NEMO2.tools)
    assert [tool for tool, difference in found.differences.items() if difference] == ["splice_evo2"]


def test_both_toolchains_side_by_side(tmp_path: Path) -> None:
    old, new = install(NEMO2, tmp_path / "old"), install(MBRIDGE, tmp_path / "new")
    with pytest.raises(InputError, match="the tools of nemo2 and of mbridge are both installed here: choose one"):
        find_toolchain(path_of(old, new))
    for toolchain, folder in (("nemo2", old), ("mbridge", new)):
        found = find_toolchain(path_of(old, new), toolchain=toolchain)
        assert found is not None
        assert found.toolchain == toolchain
        assert found.tools["train_evo2"] == folder / "train_evo2"
        assert not any(found.differences.values())


def test_the_other_toolchain_is_not_the_one_asked_for(tmp_path: Path) -> None:
    assert find_toolchain(path_of(install(NEMO2, tmp_path)), toolchain="mbridge") is None


def test_help_is_read_once_while_programs_are_unchanged(tmp_path: Path) -> None:
    folder, cache = install(NEMO2, tmp_path / "bin"), tmp_path / "kept" / "here"
    first = find_toolchain(path_of(folder), cache)
    assert find_toolchain(path_of(folder), cache) == first
    assert times_asked(folder) == 3
    os.utime(folder / "infer_evo2", ns=(1, 1))
    assert find_toolchain(path_of(folder), cache) == first
    assert times_asked(folder) == 4
    install(load_contract("nemo2", "2.6.3"), folder)
    for name in PROBES:
        os.utime(folder / name, ns=(2, 2))
    again = find_toolchain(path_of(folder), cache)
    assert again is not None
    assert again.version == "2.6.3"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": 1}'])
def test_a_damaged_cache_is_made_anew(damage: str, tmp_path: Path) -> None:
    folder = install(NEMO2, tmp_path / "bin")
    (tmp_path / "tool-flags.json").write_text(damage)
    found = find_toolchain(path_of(folder), tmp_path)
    assert found is not None
    assert found.version == "2.7.1"
    assert str(folder / "train_evo2") in json.loads((tmp_path / "tool-flags.json").read_text())


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = find_toolchain(path_of(install(NEMO2, tmp_path / "bin")), tmp_path / "file")
    assert found is not None
    assert found.version == "2.7.1"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "#!/bin/sh\necho 'libcuda.so.1: cannot open' >&2; exit 1\n",
            r"code 1 and no list of flags: libcuda\.so\.1: c",
        ),
        ("#!/bin/sh\nexit 0\n", "code 0 and no list of flags: it said nothing"),
        (
            "#!/no/such/interpreter\n",
            "train_evo2 cannot be started: No such file or directory; install the tools again",
        ),
    ],
)
def test_a_tool_that_does_not_start(script: str, message: str, tmp_path: Path) -> None:
    write_program(install(NEMO2, tmp_path) / "train_evo2", script)
    with pytest.raises(ToolError, match=message) as caught:
        find_toolchain(path_of(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_tool_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HELP_SECONDS", 0.2)
    write_program(install(NEMO2, tmp_path) / "train_evo2", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(ToolError, match=r"train_evo2 --help took more than 0\.2 s: see what it waits for"):
        find_toolchain(path_of(tmp_path))


def installed(contract: Contract) -> Installed:
    return Installed(contract.toolchain, contract.version, {}, {})


def test_the_installed_version_is_used() -> None:
    older = load_contract("nemo2", "2.7")
    assert contract_for(BackendConfig(name="nemo2"), installed(older)) == (older, [])


def test_the_newest_release_where_nothing_is_installed() -> None:
    contract, notes = contract_for(BackendConfig(name="nemo2"), None)
    assert contract is NEMO2
    assert notes == [
        "nemo2 is not installed here: commands are checked against its newest release, 2.7.1; give another as "
        "backend.version= (or --version)"
    ]
    assert contract_for(BackendConfig(name="mbridge"), installed(NEMO2))[0] is MBRIDGE


def test_the_version_that_is_asked_for_comes_first() -> None:
    contract, notes = contract_for(BackendConfig(name="nemo2", version="2.7"), installed(NEMO2))
    assert contract.version == "2.7"
    assert notes == ["backend.version=2.7 is asked for, nemo2 2.7.1 is installed"]
    assert contract_for(BackendConfig(name="nemo2", version="2.7.1"), installed(NEMO2)) == (NEMO2, [])
    contract, notes = contract_for(BackendConfig(name="nemo2", version="2.5"), None)
    assert contract.version == "2.6.3"
    assert notes == ["the flags of nemo2 2.5 are not known: commands are checked against those of 2.6.3"]


def test_a_version_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"the flags of mbridge 2\.7\.1 are not known: use one of 2026\.05"):
        contract_for(BackendConfig(name="mbridge", version="2.7.1"), None)


def test_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache() == Path("/somewhere/evo2-adaptation")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert user_cache() == Path("/home/me/.cache/evo2-adaptation")
