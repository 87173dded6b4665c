"""Console scripts with the tools' names in a folder that goes first on PATH."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from workflow.backends.contracts import load_contract

_ROOT = Path(__file__).parents[2]


def install(folder: Path, toolchain: str, version: str) -> Path:
    """Write one script a tool of this version, and `torchrun`. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool in (*load_contract(toolchain, version).tools, "torchrun"):
        script = folder / tool
        script.write_text(_script(tool, toolchain, version), encoding="utf-8")
        script.chmod(0o755)
    return folder


def write_tokenizer(folder: Path) -> Path:
    """A folder that passes for the tokenizer which the tools of mbridge must be given. Returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).write_text(json.dumps({"made_by": "the emulator"}), encoding="utf-8")
    return folder


def _script(tool: str, toolchain: str, version: str) -> str:
    # With -P the folder in which the tool is started adds no modules.
    words = [sys.executable, "-P", "-m", "tests.emulator.main"]
    words += ["--toolchain", toolchain, "--version", version, tool]
    path = f'PYTHONPATH={shlex.quote(str(_ROOT))}"${{PYTHONPATH:+:$PYTHONPATH}}"'
    return f'#!/bin/sh\n{path} exec {shlex.join(words)} "$@"\n'
