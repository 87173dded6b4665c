from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workflow.artifacts import write_json


def rewrite(path: Path, **changes: Any) -> None:
    """Change a manifest; keys with `__` between them are nested."""
    content = json.loads(path.read_text())
    for keys, value in changes.items():
        *outer, last = keys.split("__")
        place = content
        for key in outer:
            place = place[key]
        place[last] = value
    write_json(path, content)


@pytest.fixture
def named_run(make_run: Callable[..., Path]) -> Callable[..., Path]:
    """A run with a name of its own, and changes of its manifests by stage."""

    def make(name: str, changes: dict[str, dict[str, Any]] | None = None, **options: Any) -> Path:
        run = make_run(**({"generated": False, "windows": 30, "seqid": "chr1"} | options))
        for manifest in run.glob("*/manifest.json"):
            rewrite(manifest, run_name=name)
        for stage, of_stage in (changes or {}).items():
            rewrite(run / stage / "manifest.json", **of_stage)
        return run

    return make
