"""NVIDIA's tools with their flags checked first: `python -m workflow.tools [TOOL [flags…]]`."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import yaml

from workflow.backends.contracts import TOOLCHAINS, Contract, Flag, Tool, contract_versions, load_contract
from workflow.backends.nvidia.toolchain import Installed, contract_for, find_toolchain, user_cache
from workflow.config import BackendConfig
from workflow.console import complain, say
from workflow.errors import InputError

_HOW_TO_INSTALL = "run inside their container (docker/README.md), or give --dry-run to see the command alone"


def main(arguments: Sequence[str] | None = None) -> int:
    """List the tools, explain one, or check the flags of one and become it. Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.tool is None:
            return list_tools(options)
        contract, installed = _choose(options)
        if {"-h", "--help"} & set(options.words):
            say(describe(contract, contract.tool(options.tool)))
            return 0
        words = checked_line(contract, options.tool, options.words, options.processes)
        if options.dry_run:
            say(shlex.join(words))
            return 0
        execute(words, options.tool, installed)
    except InputError as error:
        complain(f"error: {error}")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workflow.tools",
        description="List NVIDIA's Evo2 tools, or start one after its flags are checked. Options of this command "
        "come before the tool; TOOL --help lists the tool's flags and the versions that have them.",
    )
    parser.add_argument("--backend", choices=TOOLCHAINS, help="toolchain; by default the installed one")
    parser.add_argument("--version", default="auto", help="version of the toolchain; by default the installed one")
    parser.add_argument("--processes", type=int, metavar="N", help="processes that torchrun starts (mbridge)")
    parser.add_argument("--dry-run", action="store_true", help="check, and print the command as it would be typed")
    parser.add_argument("tool", nargs="?", metavar="TOOL", help="program, such as splice_evo2")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="…", help="its flags")
    return parser


def list_tools(options: argparse.Namespace) -> int:
    """Print the toolchain, its version and where its programs lie."""
    contract, installed = _choose(options)
    places = installed.tools if installed else {}
    say(f"{contract}: {'installed' if installed else 'not installed here'}")
    width = max(map(len, contract.tools))
    for name in contract.tools:
        say(f"  {name:<{width}}  {places.get(name, 'not on PATH')}")
    return 0


def checked_line(contract: Contract, tool: str, words: Sequence[str], processes: int | None) -> list[str]:
    """The words to type, torchrun in front where the tool needs it.

    Raises
    ------
    InputError
        The version would refuse or misread the flags.
    """
    parsed = contract.check(tool, words)
    definition = contract.tool(tool)
    for name in (_meant(word.partition("=")[0], definition) for word in words):
        if name in definition.ignored:
            complain(f"WARNING {tool} of {contract} accepts {name} and does nothing with it")
    if tool == "preprocess_evo2":
        for key in unread_keys(contract, Path(parsed.config)):
            complain(f"WARNING {tool} of {contract} passes over the key {key} of {parsed.config}: it knows none such")
    line = [tool, *words]
    if processes is not None and contract.toolchain != "mbridge":
        raise InputError(f"--processes is for mbridge: {tool} of {contract} starts its own processes (--devices)")
    if processes is not None and processes < 1:
        raise InputError(f"--processes {processes} must be positive")
    if definition.torchrun or processes is not None:
        return ["torchrun", "--nproc-per-node", str(processes or 1), "--no-python", *line]
    return line


def _meant(name: str, tool: Tool) -> str:
    """The flag that argparse takes a word for: the beginning of a long flag is enough."""
    begins = [known for known in tool.by_name if known.startswith(name)] if name.startswith("--") else []
    return begins[0] if name not in tool.by_name and len(begins) == 1 else name


def unread_keys(contract: Contract, config: Path) -> list[str]:
    """Keys of a configuration of `preprocess_evo2` that the tool does not know and passes over in silence.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{config} is not a YAML file that can be read: {' '.join(str(error).split())}") from None
    entries = content if isinstance(content, list) else [content]
    if not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{config} must be a YAML list of mappings, one for each data set")
    if contract.preprocess_keys is None:
        return []
    return sorted({str(key) for entry in entries for key in entry} - set(contract.preprocess_keys))


def execute(words: Sequence[str], tool: str, installed: Installed | None) -> NoReturn:
    """Put the tool in place of this process: the terminal, signals and the exit code are the tool's own.

    Raises
    ------
    InputError
        It is not installed.
    """
    if installed is None or tool not in installed.tools:
        raise InputError(f"{tool} is not on PATH: {_HOW_TO_INSTALL}")
    # By its whole path: a program of the other toolchain may have the same name.
    words = [str(installed.tools[tool]) if word == tool else word for word in words]
    program = shutil.which(words[0])
    if program is None:
        raise InputError(f"{words[0]} is not on PATH: install PyTorch where the tools are")
    os.execv(program, list(words))  # noqa: S606


def describe(contract: Contract, tool: Tool) -> str:
    """The flags of a tool as a table: name, type, default, versions that have it, choices."""
    versions = {
        version: load_contract(contract.toolchain, version) for version in contract_versions(contract.toolchain)
    }
    rows = [("flag", "value", "default", "versions", "choices")]
    for flag in tool.flags:
        having = [version for version, other in versions.items() if other.has_flag(tool.name, flag.name)]
        owners = "all" if len(having) == len(versions) else ", ".join(having)
        never = " (never read)" if flag.name in tool.ignored else ""
        choices = ", ".join(map(str, flag.choices))
        rows.append((", ".join(flag.names) + never, _value(flag), _default(flag), owners, choices))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    groups = [
        f"  {'exactly' if group.required else 'at most'} one of {', '.join(group.flags)}" for group in tool.exclusive
    ]
    title = f"{tool.name} of {contract}"
    return "\n".join([title, *(line.rstrip() for line in lines), *groups])


def _value(flag: Flag) -> str:
    if flag.is_switch:
        return "switch"
    kind = "a,b,c" if flag.type == "names" else flag.type
    return kind + {"+": " …", "?": " or none"}.get(flag.nargs or "", "")


def _default(flag: Flag) -> str:
    if flag.required:
        return "required"
    if flag.is_switch or flag.default is None:
        return ""
    return ",".join(map(str, flag.default)) if isinstance(flag.default, list) else str(flag.default)


def _choose(options: argparse.Namespace) -> tuple[Contract, Installed | None]:
    """The contract to check against, and what is installed of it.

    Raises
    ------
    InputError
        It is not clear whose tool is meant, or the version is not known.
    """
    # Importing the tools to learn their version takes a minute, which a version that is given saves.
    only_asks = options.backend and options.version != "auto" and options.dry_run
    installed = None if only_asks else find_toolchain(cache=user_cache(), toolchain=options.backend)
    toolchain = options.backend or (installed.toolchain if installed else _owner(options.tool))
    contract, notes = contract_for(BackendConfig(name=toolchain, version=options.version), installed)
    for note in notes:
        complain(f"note: {note}")
    return contract, installed


def _owner(tool: str | None) -> str:
    """The toolchain that alone has a tool."""
    owners = [
        toolchain
        for toolchain in TOOLCHAINS
        if any(tool in load_contract(toolchain, version).tools for version in contract_versions(toolchain))
    ]
    if len(owners) == 1:
        return owners[0]
    raise InputError(
        "NVIDIA's Evo2 tools are not on PATH: run inside their container (docker/README.md), or give "
        "--backend nemo2 or --backend mbridge to see what they take"
    )


if __name__ == "__main__":
    sys.exit(main())
