"""Reading and writing weights: published vortex-format `.pt` files, and our safetensors.

Names and row orders are the published ones, so that loading and saving lose nothing.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from workflow.errors import InputError
from workflow.striped_hyena.config import ModelConfig
from workflow.striped_hyena.model import StripedHyena2

#: Key of the header under which the configuration stands. One key: safetensors writes several in any order.
FORMAT = "striped_hyena_2"
#: In published files, and not needed: FP8 scales, and the positions of the long filter.
_IGNORED = re.compile(r".*\._extra_state|blocks\.\d+\.mixer\.mixer\.filter\.t")
_TIED_COPY = "unembed.weight"
_PARAMETRIZED = re.compile(r"(.*)\.parametrizations\.(.*)\.original")


def load_checkpoint(path: Path, config: ModelConfig | None = None) -> StripedHyena2:
    """Load a model in the precision of the file, memory-mapped.

    Parameters
    ----------
    path : Path
        `.safetensors` written by `save_checkpoint`, or a published `.pt` in vortex's names.
    config : ModelConfig, optional
        Needed for a `.pt`, which does not hold it; for safetensors it is checked against the file's.

    Raises
    ------
    InputError
        The file is missing, damaged or of another format; a parameter is missing, unknown or of another
        shape; the output embedding is not the input embedding; or the configuration does not fit.
    """
    tensors, stored = _read(path)
    if stored is not None and config is not None and stored != config:
        raise InputError(f"{path} holds another architecture ({stored.to_json()}) than asked for ({config.to_json()})")
    config = stored or config
    if config is None:
        raise InputError(f"{path} does not say its architecture: name it with model.architecture")
    with torch.device("meta"):
        model = StripedHyena2(config)
    _check_names(path, tensors, model)
    model.load_state_dict(tensors, strict=True, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


def save_checkpoint(model: StripedHyena2, path: Path) -> None:
    """Write weights and configuration as safetensors, atomically."""
    save_weights(published_weights(model), model.config, path)


def save_weights(weights: Mapping[str, Tensor], config: ModelConfig, path: Path) -> None:
    """Write weights under their published names, and the configuration of their model, as `save_checkpoint` does."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    save_file(tensors, temporary, metadata={FORMAT: config.to_json()})
    os.replace(temporary, path)


def published_weights(model: StripedHyena2) -> dict[str, Tensor]:
    """The state dict under the published names: a parametrised weight counts as what it stands for."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if match := _PARAMETRIZED.fullmatch(name):
            owner, kind = match.groups()
            name, tensor = f"{owner}.{kind}", getattr(model.get_submodule(owner), kind)
        weights[name] = tensor
    return weights


def inspect_checkpoint(model: StripedHyena2) -> dict[str, Any]:
    """What a checkpoint holds: parameters, layers by kind, tensors by dtype, bytes."""
    tensors = model.state_dict().values()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": len(model.config.pattern),
        "layers_by_kind": dict(Counter(model.config.pattern)),
        "width": model.config.width,
        "tensors_by_dtype": dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    }


def _read(path: Path) -> tuple[dict[str, Tensor], ModelConfig | None]:
    if not path.exists():
        raise InputError(f"checkpoint {path} does not exist")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".pt":
        return _read_published(path), None
    raise InputError(f"checkpoint {path}: the name must end in .safetensors or .pt")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], ModelConfig]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise InputError(f"checkpoint {path} was not written by this project (no {FORMAT} in its header)")
            return {name: file.get_tensor(name) for name in file.keys()}, ModelConfig.from_json(metadata[FORMAT])  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"checkpoint {path} is damaged: {error}") from None


def _read_published(path: Path) -> dict[str, Tensor]:
    try:
        with torch.serialization.safe_globals([io.BytesIO]):
            content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"checkpoint {path} is damaged or not a plain table of weights: {reason}") from None
    if not isinstance(content, dict):
        raise InputError(f"checkpoint {path} holds a {type(content).__name__}, not a table of weights")
    tensors = {name: value for name, value in content.items() if not _IGNORED.fullmatch(str(name))}
    tied = tensors.pop(_TIED_COPY, None)
    embedding = tensors.get("embedding_layer.weight")
    if tied is not None and embedding is not None and not torch.equal(tied, embedding):
        raise InputError(f"checkpoint {path}: {_TIED_COPY} differs from embedding_layer.weight; this model ties them")
    return tensors


def _check_names(path: Path, tensors: dict[str, Tensor], model: StripedHyena2) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) if isinstance(tensor, Tensor) else None for name, tensor in tensors.items()}
    problems = [
        ("missing", sorted(set(expected) - set(found))),
        ("unknown", sorted(set(found) - set(expected))),
        (
            "of another shape",
            [
                f"{name} {found[name]} instead of {shape}"
                for name, shape in expected.items()
                if name in found and found[name] != shape
            ],
        ),
    ]
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in problems if names)
    if told:
        raise InputError(f"checkpoint {path} does not fit the architecture: {told}")
