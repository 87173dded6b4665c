"""The token files of a split, as the training reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml

from workflow.dataset.bases import TokenBases
from workflow.dataset.megatron import TokenFile
from workflow.dataset.nvidia import DATASET_SPLIT, TRAINING_CONFIG
from workflow.errors import InputError


def open_split(folder: Path, split: str, lineage_spacing: int) -> tuple[list[TokenBases], list[float]]:
    """The token files of a split with their weights.

    Parameters
    ----------
    folder : Path
        Published folder of stage `preprocess`; it may have been moved since it was written.
    split : str
    lineage_spacing : int
        Tokens from the begin of one tag to that of the next.

    Raises
    ------
    InputError
        The folder is incomplete, or a token file is damaged.
    """
    files, weights = [], []
    for prefix, weight in token_files(folder, split):
        tokens = TokenFile(prefix)
        files.append(TokenBases(tokens, _tags(folder, tokens), lineage_spacing))
        weights.append(weight)
    return files, weights


def token_files(folder: Path, split: str) -> list[tuple[Path, float]]:
    """The prefixes of a split's token files, with their weights, in the order of the training configuration.

    Raises
    ------
    InputError
        The folder is incomplete.
    """
    for needed in (folder / TRAINING_CONFIG, folder / "documents.parquet"):
        if not needed.exists():
            raise InputError(f"{needed} does not exist: run stage=preprocess first")
    entries = yaml.safe_load((folder / TRAINING_CONFIG).read_text(encoding="utf-8"))
    return [
        (folder / Path(entry["dataset_prefix"]).name, float(entry["dataset_weight"]))
        for entry in entries
        if entry["dataset_split"] == DATASET_SPLIT[split]
    ]


def _tags(folder: Path, tokens: TokenFile) -> np.ndarray:
    """Tokens of each document's tag."""
    path = folder / "documents.parquet"
    rows = pq.read_table(path, columns=["tag"], filters=[("file", "==", tokens.prefix.name)])
    if len(rows) != len(tokens):
        raise InputError(f"{path} tells of {len(rows)} documents of {tokens.prefix.name}: run stage=preprocess again")
    tags: np.ndarray = rows["tag"].to_numpy()
    return tags
