"""What a checkpoint holds, told without reading its weights."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from workflow.checkpoints.adapters import open_adapter
from workflow.checkpoints.architecture import fitting_presets, stored_architecture
from workflow.checkpoints.distributed import DistributedStore
from workflow.checkpoints.formats import Format, Opened, is_complete, open_checkpoint
from workflow.checkpoints.names import Dialect, find_pattern, is_optimizer_state
from workflow.checkpoints.stores import TensorInfo
from workflow.checkpoints.tables import VortexTable, attention_layers, frequencies
from workflow.errors import InputError
from workflow.striped_hyena.config import PRESETS, ModelConfig

_NEMO2_STEP = re.compile(r"step=(\d+)")
_NEMO2_SAMPLES = re.compile(r"consumed_samples=(\d+)")
_MBRIDGE_STEP = re.compile(r"iter_(\d+)")


@dataclass(frozen=True)
class AdapterDescription:
    """An adapter: its rank, its alpha (stated by the files or the tool's default), adapted layers, named base."""

    rank: int
    alpha: float
    alpha_is_stated: bool
    targets: list[str]
    layers: int
    base: str | None


@dataclass(frozen=True)
class Description:
    """What a checkpoint holds.

    Attributes
    ----------
    path : str
    format : Format
    models : list of str
        Published models of this architecture, or, where the file does not say it, of these shapes.
    config : ModelConfig, optional
        The architecture, where the files say it.
    parameters : int
        Trainable numbers of the model, the tied embedding once; of an adapter, its own.
    bytes : int
        Of these weights in their precision.
    layers : int
        Number of layers; 0 for an adapter.
    layers_by_kind : dict
        Layer letter → number.
    tensors_by_dtype : dict
        dtype → number of tensors, as they stand in the file.
    step, consumed_samples : int, optional
        Of a training.
    adapter : AdapterDescription, optional
    optimizer : bool
        Whether the optimizer's state is there: training can go on.
    complete : bool
        Whether no tensor is missing and every shard has its full length.
    missing, unknown : list of str
        Tensors that the model needs and the file lacks, and the other way round.
    """

    path: str
    format: Format
    models: list[str]
    config: ModelConfig | None
    parameters: int
    bytes: int
    layers: int
    layers_by_kind: dict[str, int]
    tensors_by_dtype: dict[str, int]
    step: int | None
    consumed_samples: int | None
    adapter: AdapterDescription | None
    optimizer: bool
    complete: bool
    missing: list[str]
    unknown: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"format": str(self.format)}


def describe(path: Path) -> Description:
    """Describe a checkpoint of any format from its metadata.

    Raises
    ------
    InputError
        It is of no known format, damaged, or lacks so much that its layers cannot be told.
    """
    opened = open_checkpoint(path)
    if opened.format.is_adapter:
        return _describe_adapter(opened)
    config = stored_architecture(opened)
    pattern = config.pattern if config else _pattern(opened)
    table = VortexTable(opened, pattern)
    infos = dict(table.infos)
    # Their shape tells the number of heads.
    beside = [frequencies(layer) for layer in attention_layers(pattern)]
    infos_beside = {name: opened.store.infos[name] for name in beside if name in opened.store.infos}
    lost = [name for name in beside if name not in opened.store.infos] if opened.dialect is Dialect.VORTEX else []
    models = [name for name, preset in PRESETS.items() if preset == config]
    if config is None:
        models = fitting_presets(pattern, infos | infos_beside)
    missing = table.missing
    step, samples = _progress(opened)
    return Description(
        path=str(opened.path),
        format=opened.format,
        models=models,
        config=config,
        parameters=sum(info.count for info in infos.values()),
        bytes=sum(info.bytes for info in infos.values()),
        layers=len(pattern),
        layers_by_kind=dict(Counter(pattern)),
        tensors_by_dtype=_dtypes(_weights_of(opened)),
        step=step,
        consumed_samples=samples,
        adapter=None,
        optimizer=_has_optimizer(opened),
        complete=not missing and _shards_are_complete(opened),
        missing=[*missing, *lost],
        unknown=table.unknown,
    )


def _describe_adapter(opened: Opened) -> Description:
    adapter = open_adapter(opened.path)
    step, samples = _progress(opened)
    return Description(
        path=str(opened.path),
        format=opened.format,
        models=[],
        config=stored_architecture(opened) if opened.format is not Format.PEFT else None,
        parameters=sum(info.count for info in adapter.infos),
        bytes=sum(info.bytes for info in adapter.infos),
        layers=0,
        layers_by_kind={},
        tensors_by_dtype=_dtypes(adapter.infos),
        step=step,
        consumed_samples=samples,
        adapter=AdapterDescription(
            adapter.rank, adapter.alpha, adapter.alpha_is_stated, adapter.targets, len(adapter.layers), adapter.base
        ),
        optimizer=_has_optimizer(opened),
        complete=_shards_are_complete(opened),
        missing=[],
        unknown=[],
    )


def _pattern(opened: Opened) -> str:
    assert opened.dialect is not None
    pattern = find_pattern((name.removeprefix(opened.prefix) for name in opened.store.infos), opened.dialect)
    if pattern is None:
        raise InputError(f"checkpoint {opened.path} is incomplete: the kind of a layer cannot be told from its tensors")
    return pattern


def _weights_of(opened: Opened) -> list[TensorInfo]:
    return [info for name, info in opened.store.infos.items() if not is_optimizer_state(name)]


def _dtypes(infos: Iterable[TensorInfo]) -> dict[str, int]:
    return dict(Counter(str(info.dtype).removeprefix("torch.") for info in infos))


def _has_optimizer(opened: Opened) -> bool:
    return any(is_optimizer_state(name) for name in opened.store.infos)


def _shards_are_complete(opened: Opened) -> bool:
    return not isinstance(opened.store, DistributedStore) or is_complete(opened.path)


def _progress(opened: Opened) -> tuple[int | None, int | None]:
    """Step and samples of a training: from the small state files, else from the name of the folder.

    The state files may hold objects of NVIDIA's programs; then `weights_only` refuses them and the name must do.
    """
    if opened.format in (Format.MBRIDGE, Format.MBRIDGE_LORA):
        state = _plain_state(opened.path / "train_state.pt")
        by_name = _number(_MBRIDGE_STEP, opened.path.name)
        return _whole(state.get("step")) or by_name, _whole(state.get("consumed_train_samples"))
    if opened.format in (Format.NEMO2, Format.NEMO2_LORA):
        state = _plain_state(opened.store.path / "common.pt")
        # NeMo counts steps from 0 in names, and the steps that are done in its state.
        last = _number(_NEMO2_STEP, opened.path.name)
        data = state.get("PreTrainingDataModule")
        samples = _whole(data.get("consumed_samples")) if isinstance(data, dict) else None
        step = _whole(state.get("global_step"))
        step = step if step is not None else None if last is None else last + 1
        return step, samples if samples is not None else _number(_NEMO2_SAMPLES, opened.path.name)
    return None, None


def _plain_state(path: Path) -> dict[str, Any]:
    """A small state file, as far as it is plain data; else nothing."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _whole(value: Any) -> int | None:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return int(value) if isinstance(value, int | float) else None


def _number(pattern: re.Pattern[str], name: str) -> int | None:
    match = pattern.search(name)
    return int(match[1]) if match else None
