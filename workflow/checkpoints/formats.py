"""What kind of checkpoint a path holds, from its names and a glance inside."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from workflow.artifacts import read_json
from workflow.checkpoints.archives import ArchiveStore, Piece
from workflow.checkpoints.distributed import METADATA, DistributedStore
from workflow.checkpoints.names import Dialect, find_dialect
from workflow.checkpoints.stores import SafetensorsStore, Store
from workflow.errors import InputError
from workflow.striped_hyena.checkpoints import FORMAT

OUR_WEIGHTS, PEFT_CONFIG, PEFT_WEIGHTS = "model.safetensors", "adapter_config.json", "adapter_model.safetensors"
MBRIDGE_CONFIG, MBRIDGE_LATEST = "run_config.yaml", "latest_checkpointed_iteration.txt"
NEMO2_CONTEXT, NEMO2_WEIGHTS, NEMO2_CONFIG = "context", "weights", "model.yaml"
#: Where a run lists the checkpoints that NVIDIA's tools left in its training.
TRAINED_CHECKPOINTS = "checkpoints.json"
_PART = re.compile(r"(?P<whole>.+\.pt)\.part[_-]?(?P<number>\d+|[a-z]+)")
#: Folders that are looked into below one that is no checkpoint, and checkpoints that are named then.
_DEEPEST, _MOST_FOLDERS, _MOST_NAMED = 5, 2000, 6
_LOOKED_FOR = (
    "looked for .safetensors of this project, .pt (vortex or savanna), .pt.part0 and its fellows, a NeMo2 folder "
    "(context/ and weights/), a Megatron Bridge folder (iter_NNNNNNN/ with run_config.yaml, or "
    "latest_checkpointed_iteration.txt beside it), a peft adapter (adapter_config.json)"
)


class Format(StrEnum):
    """The formats of checkpoints."""

    OURS = "ours"
    VORTEX = "vortex"
    VORTEX_PARTS = "vortex in parts"
    SAVANNA = "savanna"
    SAVANNA_PARTS = "savanna in parts"
    NEMO2 = "NeMo2"
    MBRIDGE = "Megatron Bridge"
    PEFT = "peft adapter"
    NEMO2_LORA = "NeMo2 LoRA"
    MBRIDGE_LORA = "Megatron Bridge LoRA"

    @property
    def is_adapter(self) -> bool:
        """Whether it is of use on a base model only."""
        return self in (Format.PEFT, Format.NEMO2_LORA, Format.MBRIDGE_LORA)


@dataclass(frozen=True)
class Opened:
    """A checkpoint of a known format.

    Attributes
    ----------
    path : Path
        The file or folder: for Megatron Bridge the iteration's own, whatever was asked for.
    store : Store
        Its tensors under the names of the file.
    prefix : str
        Stands before every name of the dialect in the file.
    dialect : Dialect, optional
        None for a peft adapter.
    """

    path: Path
    format: Format
    store: Store
    dialect: Dialect | None
    prefix: str = ""

    @property
    def config_file(self) -> Path | None:
        """The YAML file in which Megatron's tools keep the architecture; None where there is none."""
        if self.format in (Format.NEMO2, Format.NEMO2_LORA):
            file = self.path / NEMO2_CONTEXT / NEMO2_CONFIG
        elif self.format in (Format.MBRIDGE, Format.MBRIDGE_LORA):
            file = self.path / MBRIDGE_CONFIG
        else:
            return None
        return file if file.is_file() else None


def sniff(path: Path) -> Format:
    """The format of a checkpoint.

    Raises
    ------
    InputError
        It is none that is known, or damaged.
    """
    return open_checkpoint(path).format


def open_checkpoint(path: Path) -> Opened:
    """Open a checkpoint of any format; no numbers are read.

    Raises
    ------
    InputError
        It does not exist, is of no known format, incomplete or damaged.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    if _PART.fullmatch(path.name):
        return _open_archive(_parts(path))
    if not path.exists():
        if first := sorted(path.parent.glob(f"{path.name}.part*")):
            return _open_archive(_parts(first[0]))
        raise InputError(f"checkpoint {path} does not exist")
    if path.suffix == ".safetensors":
        return _open_safetensors(path)
    if path.suffix == ".pt":
        return _open_archive([path])
    raise InputError(f"{path} is no checkpoint of a known format: {_LOOKED_FOR}")


def _open_safetensors(path: Path) -> Opened:
    if path.name == PEFT_WEIGHTS:
        return _open_folder(path.parent)
    store = SafetensorsStore(path)
    if FORMAT not in store.metadata:
        raise InputError(f"checkpoint {path} was not written by this project (no {FORMAT} in its header)")
    return Opened(path, Format.OURS, store, Dialect.VORTEX)


def _open_archive(paths: list[Path]) -> Opened:
    store = ArchiveStore(*map(Piece.whole, paths))
    prefix = _common_prefix(store)
    dialect = find_dialect(name.removeprefix(prefix) for name in store.infos)
    in_parts = bool(_PART.fullmatch(paths[0].name))
    if dialect is Dialect.VORTEX:
        format = Format.VORTEX_PARTS if in_parts else Format.VORTEX
    elif dialect is Dialect.SAVANNA:
        format = Format.SAVANNA_PARTS if in_parts else Format.SAVANNA
    else:
        raise InputError(
            f"{paths[0]} holds neither vortex's names (blocks.0.…, embedding_layer.weight) "
            "nor savanna's (sequential.2.…)"
        )
    return Opened(paths[0], format, store, dialect, prefix)


def _parts(path: Path) -> list[Path]:
    """All parts of a split file, in order.

    Raises
    ------
    InputError
        One in the middle is missing.
    """
    match = _PART.fullmatch(path.name)
    assert match is not None
    found = {}
    for candidate in path.parent.glob(f"{match['whole']}.part*"):
        if fellow := _PART.fullmatch(candidate.name):
            text = fellow["number"]
            found[int(text) if text.isdigit() else _letters(text)] = candidate
    numbers = sorted(found)
    missing = sorted(set(range(min(numbers[0], 1), numbers[-1] + 1)) - set(numbers)) if numbers else []
    if not numbers or missing:
        lost = f"part {missing[0]}" if missing else path.name
        raise InputError(f"checkpoint {path.parent / match['whole']} is incomplete: {lost} is missing")
    return [found[number] for number in numbers]


def _letters(text: str) -> int:
    """The number that `split` writes as letters: aa, ab, … az, ba."""
    number = 0
    for letter in text:
        number = number * 26 + ord(letter) - ord("a")
    return number


def _open_folder(path: Path) -> Opened:
    if (path / PEFT_CONFIG).is_file():
        if not (path / PEFT_WEIGHTS).is_file():
            raise InputError(f"{path} holds no adapter ({PEFT_WEIGHTS})")
        return Opened(path, Format.PEFT, SafetensorsStore(path / PEFT_WEIGHTS), None)
    if (path / OUR_WEIGHTS).is_file():
        return _open_safetensors(path / OUR_WEIGHTS)
    if (path / NEMO2_WEIGHTS).is_dir():
        return _open_distributed(path, path / NEMO2_WEIGHTS, Format.NEMO2, Format.NEMO2_LORA)
    if (path / MBRIDGE_LATEST).is_file():
        path = _latest_iteration(path)
    if (path / METADATA).is_file() and (path / MBRIDGE_CONFIG).is_file():
        return _open_distributed(path, path, Format.MBRIDGE, Format.MBRIDGE_LORA)
    if best := _best_of_training(path):
        raise InputError(f"{path} is no checkpoint, but a training: give {best}, whose validation loss is the lowest")
    if found := _inside(path):
        raise InputError(f"{path} is no checkpoint, but holds some: give {_one_of(found)}")
    raise InputError(f"{path} is no checkpoint of a known format: {_LOOKED_FOR}")


def _best_of_training(folder: Path) -> Path | None:
    """The best checkpoint of a run's training by NVIDIA's tools; None where the folder is none."""
    file = folder / TRAINED_CHECKPOINTS
    rows = read_json(file) if file.is_file() else None
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return next((folder / str(row["path"]) for row in rows if row.get("best") and "path" in row), None)


def _inside(folder: Path) -> list[Path]:
    """What may be checkpoints in a folder, by their names alone: in a download, or the folder of a run's stage."""
    found = []
    # Stage `convert` links to what it need not convert. Depth and number are bounded, so that no circle matters.
    for place, folders, files in islice(os.walk(folder, followlinks=True), _MOST_FOLDERS):
        here = Path(place)
        is_one = {METADATA, MBRIDGE_CONFIG} <= {*files} or {PEFT_CONFIG, OUR_WEIGHTS, MBRIDGE_LATEST} & {*files}
        if here != folder and (is_one or (here / NEMO2_WEIGHTS / METADATA).is_file()):
            found.append(here)
            folders.clear()
        elif len(here.relative_to(folder).parts) >= _DEEPEST:
            folders.clear()
        else:
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += sorted({here / _whole_name(name) for name in files if _whole_name(name).endswith(".pt")})
    return found


def _whole_name(name: str) -> str:
    """Of a part the name of the whole file."""
    match = _PART.fullmatch(name)
    return match["whole"] if match else name


def _one_of(paths: list[Path]) -> str:
    shown = ", or ".join(map(str, paths[:_MOST_NAMED]))
    return f"{shown}, or one of {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else shown


def _latest_iteration(folder: Path) -> Path:
    text = (folder / MBRIDGE_LATEST).read_text(encoding="utf-8", errors="replace").strip()
    if text == "release":
        return folder / text
    if not text.isdecimal():
        raise InputError(f"{folder / MBRIDGE_LATEST} holds {text[:40]!r} instead of the number of an iteration")
    iteration = folder / f"iter_{int(text):07d}"
    if not iteration.is_dir():
        raise InputError(f"{folder / MBRIDGE_LATEST} names iteration {text}, but {iteration.name} does not exist")
    return iteration


def _open_distributed(path: Path, weights: Path, whole: Format, lora: Format) -> Opened:
    store = DistributedStore(weights)
    prefix = _common_prefix(store)
    names = [name.removeprefix(prefix) for name in store.infos]
    dialect = find_dialect(names)
    if dialect not in (Dialect.MEGATRON, Dialect.MEGATRON_PLAIN):
        raise InputError(f"{path} holds no weights under Megatron's names (decoder.layers.0.…)")
    has_adapter = any(".adapter." in name for name in names)
    return Opened(path, lora if has_adapter else whole, store, dialect, prefix)


def _common_prefix(store: Store) -> str:
    """What stands before the names: NeMo2's, savanna's and data-parallel wrappers' `module.`, once or more."""
    prefix = ""
    while any(name.startswith(f"{prefix}module.") for name in store.infos):
        prefix += "module."
    return prefix


def is_complete(folder: Path) -> bool:
    """Whether a distributed checkpoint was written to its end: every shard is there in full length.

    NeMo2 puts `NAME-unfinished` beside a folder while it writes.
    """
    folder = Path(folder)
    if folder.with_name(f"{folder.name}-unfinished").exists():
        return False
    try:
        opened = open_checkpoint(folder)
        if not isinstance(opened.store, DistributedStore):
            return True
        read_json(opened.store.path / "metadata.json")
        for file in opened.store.files:
            opened.store.check_file(file)
    except InputError:
        return False
    return opened.config_file is not None
