"""Which of NVIDIA's toolchains is installed here, and the contract that it keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.artifacts import read_json, write_json
from workflow.backends.contracts import (
    TOOLCHAINS,
    Contract,
    HelpDifference,
    compare_flags,
    contract_versions,
    flags_of_help,
    is_release,
    load_contract,
    nearest_version,
)
from workflow.config import BackendConfig
from workflow.errors import InputError, ToolError

#: The tools that tell the versions apart. Each takes up to a minute to import before it shows its help.
PROBES = ("train_evo2", "predict_evo2", "infer_evo2")
#: What only one of the toolchains has.
_MARKERS = {"nemo2": "evo2_convert_to_nemo2", "mbridge": "evo2_convert_savanna_to_mbridge"}
_HELP_SECONDS = 300
_CACHE_FILE = "tool-flags.json"
#: Each holds gigabytes of imported packages while it runs.
_AT_A_TIME = 3


@dataclass(frozen=True)
class Installed:
    """What is installed.

    Attributes
    ----------
    toolchain, version : str
        Whose contract is nearest.
    differences : mapping
        How each tool whose help was read differs from that contract; a length of 0 is exactly as expected.
    tools : mapping
        Where each program lies.
    """

    toolchain: str
    version: str
    differences: Mapping[str, HelpDifference]
    tools: Mapping[str, Path]

    @property
    def contract(self) -> Contract:
        """What the tools accept."""
        return load_contract(self.toolchain, self.version)


def find_toolchain(
    search_path: str | None = None,
    cache: Path | None = None,
    toolchain: str | None = None,
    *,
    every_tool: bool = False,
) -> Installed | None:
    """Look for NVIDIA's tools and tell their version by the flags in their help.

    Parameters
    ----------
    search_path : str, optional
        Folders as in PATH, which is the default.
    cache : Path, optional
        Folder that keeps the flags of programs that are unchanged.
    toolchain : str, optional
        The only one to look for; needed where both are installed.
    every_tool : bool
        Read the help of all tools, not only of those that tell the versions apart.

    Returns
    -------
    Installed or None
        None where no toolchain is installed, or not the one that was asked for.

    Raises
    ------
    InputError
        Both toolchains are installed and none was asked for.
    ToolError
        A tool does not start.
    """
    search_path = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    wanted = TOOLCHAINS if toolchain is None else (toolchain,)
    markers = {name: found for name in wanted if (found := shutil.which(_MARKERS[name], path=search_path))}
    if not markers:
        return None
    if len(markers) > 1:
        raise InputError("the tools of nemo2 and of mbridge are both installed here: choose one as backend")
    [(found_toolchain, marker)] = markers.items()
    # Programs of the same name of the other toolchain may come first in the path.
    tools = _programs(found_toolchain, f"{Path(marker).parent}{os.pathsep}{search_path}")
    probed = [name for name in tools if every_tool or name in PROBES]
    flags = _flags_of(probed, tools, cache)
    contract = min(_newest_first(found_toolchain), key=lambda candidate: _distance(candidate, flags, tools))
    differences = {
        name: compare_flags(contract.tools[name], found) for name, found in flags.items() if name in contract.tools
    }
    return Installed(found_toolchain, contract.version, differences, tools)


def contract_for(config: BackendConfig, installed: Installed | None) -> tuple[Contract, list[str]]:
    """The contract that the commands of a run are checked against, and what a user has to know about it.

    It is that of `backend.version`, or of the installed tools, or of the newest release.

    Raises
    ------
    InputError
        `backend.version` is of no known generation.
    """
    here = installed if installed is not None and installed.toolchain == config.name else None
    if config.version != "auto":
        version, note = nearest_version(config.name, config.version)
        notes = [note] if note else []
        if here is not None and here.version != version:
            notes.append(f"backend.version={config.version} is asked for, {config.name} {here.version} is installed")
    elif here is not None:
        version = here.version
        notes = [
            f"the installed {tool} is not quite that of {config.name} {version}: {difference}"
            for tool, difference in here.differences.items()
            if difference
        ]
    else:
        version = [version for version in contract_versions(config.name) if is_release(version)][-1]
        notes = [
            f"{config.name} is not installed here: commands are checked against its newest release, {version}; "
            "give another as backend.version= (or --version)"
        ]
    return load_contract(config.name, version), notes


def user_cache() -> Path | None:
    """The folder of this user for what can be made again; None where the user has no home."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return base / "evo2-adaptation"


def _newest_first(toolchain: str) -> list[Contract]:
    return [load_contract(toolchain, version) for version in reversed(contract_versions(toolchain))]


def _programs(toolchain: str, search_path: str) -> dict[str, Path]:
    """Every program on the path that some version of the toolchain has."""
    names = sorted({name for contract in _newest_first(toolchain) for name in contract.tools})
    return {name: Path(found) for name in names if (found := shutil.which(name, path=search_path))}


def _distance(contract: Contract, flags: Mapping[str, frozenset[str]], tools: Iterable[str]) -> tuple[int, int]:
    """How far what is installed is from a contract: flags that differ, then tools that differ."""
    of_flags = sum(
        len(compare_flags(contract.tools[name], found)) if name in contract.tools else len(found)
        for name, found in flags.items()
    )
    return of_flags, len(set(tools) ^ set(contract.tools))


def _flags_of(names: Iterable[str], tools: Mapping[str, Path], cache: Path | None) -> dict[str, frozenset[str]]:
    """The flags in the help of each tool, from the cache where the program is unchanged."""
    known = _read_cache(cache)
    flags: dict[str, frozenset[str]] = {}
    unknown: list[str] = []
    for name in names:
        entry = known.get(str(tools[name]))
        if entry is not None and {**entry, "flags": None} == {**_identity(tools[name]), "flags": None}:
            flags[name] = frozenset(entry["flags"])
        else:
            unknown.append(name)
    if unknown:
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            flags |= dict(zip(unknown, pool.map(_read_help, (tools[name] for name in unknown)), strict=True))
        made = {str(tools[name]): _identity(tools[name]) | {"flags": sorted(flags[name])} for name in unknown}
        _write_cache(cache, known | made)
    return flags


def _read_help(program: Path) -> frozenset[str]:
    """Start a program with `--help` and read the flags that it lists.

    Raises
    ------
    ToolError
        It fails, takes too long, or lists none.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [program, "--help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_HELP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{program} --help took more than {_HELP_SECONDS} s: see what it waits for") from None
    except OSError as error:
        raise ToolError(f"{program} cannot be started: {error.strerror}; install the tools again") from None
    flags = flags_of_help(done.stdout)
    if done.returncode or not flags:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ToolError(f"{program} --help ended with exit code {done.returncode} and no list of flags: {said}")
    return flags


def _identity(program: Path) -> dict[str, int]:
    status = program.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _read_cache(cache: Path | None) -> dict[str, Any]:
    """What was kept; nothing where the file is missing or damaged."""
    try:
        kept = read_json(cache / _CACHE_FILE) if cache else {}
    except (InputError, OSError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write_cache(cache: Path | None, entries: dict[str, Any]) -> None:
    """Keep what was read, where the folder can be written."""
    if cache is None:
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        write_json(cache / _CACHE_FILE, entries)
    except OSError:
        return
