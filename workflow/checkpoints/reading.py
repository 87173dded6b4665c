"""Weights of any format as one lazy table, and as a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from workflow.checkpoints.adapters import AdaptedTable, Adapter, open_adapter
from workflow.checkpoints.architecture import settle, stored_architecture
from workflow.checkpoints.archives import ArchiveStore
from workflow.checkpoints.formats import Format, Opened, open_checkpoint
from workflow.checkpoints.names import FP8_STATE, Dialect, find_pattern
from workflow.checkpoints.stores import TensorTable
from workflow.checkpoints.tables import ModelTable, VortexTable
from workflow.errors import InputError
from workflow.striped_hyena.config import ModelConfig
from workflow.striped_hyena.fp8 import Scales, scales_of
from workflow.striped_hyena.model import StripedHyena2


@dataclass(frozen=True)
class Weights:
    """A model's weights on disk.

    Attributes
    ----------
    path : Path
        Of the base.
    format : Format
        Of the base.
    config : ModelConfig
        The architecture.
    tensors : TensorTable
        Tensors by vortex's names, in the order of a model's state. Each is read when it is asked for.
    adapter : Adapter, optional
        Added to them.
    """

    path: Path
    format: Format
    config: ModelConfig
    tensors: TensorTable
    adapter: Adapter | None = None


def read_weights(path: Path, config: ModelConfig | None = None, *, adapter: Path | None = None) -> Weights:
    """Open the weights of a checkpoint, and check every name and shape. No numbers are read yet.

    Parameters
    ----------
    path : Path
        File or folder of any format; for an adapter, the base model that its files name is looked for.
    config : ModelConfig, optional
        The architecture: needed where neither the checkpoint nor its shapes tell it, else checked.
    adapter : Path, optional
        An adapter of any format, added to the weights. The tensors that it changes come in float32.

    Raises
    ------
    InputError
        Anything about the files: missing, damaged, incomplete, of another architecture.
    """
    opened = open_checkpoint(path)
    if opened.format.is_adapter:
        if adapter is not None:
            raise InputError(f"{path} is an adapter itself ({opened.format}): give the base model")
        return read_weights(_base_of(path), config, adapter=path)
    assert opened.dialect is not None
    config = _architecture(opened, config)
    tensors = ModelTable(opened, config)
    if adapter is None:
        return Weights(opened.path, opened.format, config, tensors)
    added = open_adapter(adapter)
    return Weights(opened.path, opened.format, config, AdaptedTable(tensors, added), added)


def load_model(path: Path, config: ModelConfig | None = None, *, adapter: Path | None = None) -> StripedHyena2:
    """Load a checkpoint of any format as a model.

    Without an adapter the weights keep the precision of the file, and are memory-mapped where the format allows it;
    with one they are float32, since small shifts would be lost in bfloat16.

    Parameters and errors are those of `read_weights`.
    """
    weights = read_weights(path, config, adapter=adapter)
    with torch.device("meta"):
        model = StripedHyena2(weights.config)
    adapted = weights.adapter is not None
    state = {name: tensor.float() if adapted else tensor for name, tensor in weights.tensors.items()}
    model.load_state_dict(state, strict=True, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


def fp8_scales(path: Path) -> dict[str, Scales]:
    """FP8 scales of the hyena projections, as Transformer Engine left them in a published `.pt`, in parts or not.

    Returns
    -------
    dict
        Scales of input and weight by layer; empty where the file holds none, and for other formats.

    Raises
    ------
    InputError
        The file is missing or damaged, or a state is none of Transformer Engine's.
    """
    opened = open_checkpoint(path)
    if opened.dialect is not Dialect.VORTEX or not isinstance(opened.store, ArchiveStore):
        return {}
    store = opened.store
    # Old files hold each state as a file, newer ones as a tensor of its bytes.
    states = store.others | {name: store.read(name) for name in store.infos if name.endswith(FP8_STATE)}
    return scales_of({name.removeprefix(opened.prefix): state for name, state in states.items()}, str(path))


def _architecture(opened: Opened, asked: ModelConfig | None) -> ModelConfig:
    assert opened.dialect is not None
    stored = stored_architecture(opened)
    if stored is not None or asked is not None:
        return settle(opened.path, stored, asked, None, {})
    pattern = find_pattern((name.removeprefix(opened.prefix) for name in opened.store.infos), opened.dialect)
    infos = VortexTable(opened, pattern).infos if pattern else {}
    return settle(opened.path, None, None, pattern, infos)


def _base_of(path: Path) -> Path:
    """The base checkpoint that an adapter's files name.

    Raises
    ------
    InputError
        They name none, or it is not there.
    """
    base = open_adapter(path).base
    if base is None:
        raise InputError(f"{path} is an adapter and names no base model: give one")
    if not Path(base).exists():
        raise InputError(f"{path} is an adapter of {base}, which is not there: give the base model")
    return Path(base)
