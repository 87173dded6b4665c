"""The folder that stands for Hugging Face and NGC."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from tests.emulator.setting import Refused, Setting, log


def download(arguments: argparse.Namespace, setting: Setting) -> None:
    """`download_bionemo_data`: print where an artefact lies."""
    ngc = _hub() / "ngc"
    if arguments.list_resources:
        log("\n".join(sorted(str(path.relative_to(ngc)) for path in ngc.glob("*/*"))))
        return
    if not arguments.artifact_name or not (ngc / arguments.artifact_name).exists():
        raise Refused(f"ValueError: {arguments.artifact_name!r} is not a known resource")
    log(str(ngc / arguments.artifact_name))


def published_file(name: str) -> Path:
    """The savanna file of ORGANISATION/NAME.

    Raises
    ------
    Refused
        There is none.
    """
    files = sorted((_hub() / name).glob("*.pt"))
    if not files:
        raise Refused(
            f"huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error. Repository Not Found: {name}. "
            "If you are trying to access a private or gated repo, make sure you are authenticated."
        )
    return files[0]


def read_file(path: Path, *, trusting: bool) -> dict[str, Any]:
    """What a `.pt` file holds.

    Raises
    ------
    Refused
        It holds more than tables of weights and is not trusted, or it does not exist.
    """
    if not path.exists():
        raise Refused(f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=not trusting)
    except pickle.UnpicklingError as error:
        raise Refused(f"_pickle.UnpicklingError: {error}") from None
    return content


def _hub() -> Path:
    if "EMULATOR_HUB" not in os.environ:
        raise Refused("requests.exceptions.ConnectionError: Max retries exceeded: Name or service not known")
    return Path(os.environ["EMULATOR_HUB"])
