"""The folder of a trained classifier: all that labelling needs, to be moved to any machine.

`model.json` (what it is), `labels.json` (the classes), `model.safetensors` (the backbone; of adapters the one that they
were trained on), `adapter/` (peft's format), `heads.safetensors` (heads, the standard of the features, and of a
regression that of the numbers).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from workflow.artifacts import read_json, write_json
from workflow.classification.classifier import Classifier
from workflow.classification.methods import KEEPS_BASE, Trainable
from workflow.errors import InputError
from workflow.labels import LabelEncoding
from workflow.striped_hyena import load_checkpoint, save_checkpoint
from workflow.striped_hyena.adapters import load_adapter

VERSION = 1
_MODEL, _LABELS, _WEIGHTS, _ADAPTER, _HEADS = (
    "model.json",
    "labels.json",
    "model.safetensors",
    "adapter",
    "heads.safetensors",
)


@dataclass(frozen=True)
class Recipe:
    """What a trained classifier is, beside its weights.

    Attributes
    ----------
    method, task, pooling, decoding, precision : str
        As in the section `classify` of the configuration.
    layer : int, optional
        As there; the backbone ends with it.
    max_length : int
        Most bases that are read at once.
    architecture : dict
        Of the backbone.
    trained_on : dict
        Run, model, table, sequences by split, seed.
    versions : dict
        Of the programs.
    """

    method: str
    task: str
    layer: int | None
    pooling: str
    decoding: str
    precision: str
    max_length: int
    architecture: dict[str, Any]
    trained_on: dict[str, Any]
    versions: dict[str, Any]

    @property
    def per_base(self) -> bool:
        """Whether it labels bases, not sequences."""
        return self.task == "per_base"


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier that labels.

    Attributes
    ----------
    recipe : Recipe
    encoding : LabelEncoding
        Of a regression its levels are the columns, without classes.
    classifier : Classifier
    mean, deviation : ndarray, (levels,) float64
        Of a regression, what its heads' numbers are multiplied with and moved by; else 0 and 1.
    """

    recipe: Recipe
    encoding: LabelEncoding
    classifier: Classifier
    mean: np.ndarray
    deviation: np.ndarray


def save_trained(
    folder: Path,
    recipe: Recipe,
    encoding: LabelEncoding,
    trainable: Trainable,
    standard: tuple[np.ndarray, np.ndarray],
    base: Path | None,
) -> None:
    """Write a trained classifier.

    Parameters
    ----------
    folder : Path
        Made here.
    standard : tuple of ndarray
        `mean` and `deviation` of `TrainedClassifier`.
    base : Path, optional
        A file that holds the backbone as it was before the training; it is linked, where it lies on the same disk.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    classifier = trainable.classifier
    heads = {name: value for name, value in classifier.state_dict().items() if not name.startswith("backbone.")}
    heads |= {"target_mean": torch.from_numpy(standard[0]), "target_deviation": torch.from_numpy(standard[1])}
    save_file({name: value.cpu().contiguous() for name, value in heads.items()}, folder / _HEADS)
    if trainable.adapter is not None:
        _save_adapter(trainable, folder / _ADAPTER)
    if base is not None:
        link_or_copy(base, folder / _WEIGHTS)
    elif trainable.method in KEEPS_BASE:
        raise ValueError("the backbone before the training has to be given: an adapter stands around it now")
    else:
        save_checkpoint(classifier.backbone, folder / _WEIGHTS)
    write_json(folder / _LABELS, encoding.to_json())
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in model_files(folder)}
    write_json(folder / _MODEL, {"version": VERSION, **asdict(recipe), "files": sizes})


def load_trained(folder: Path) -> TrainedClassifier:
    """Read what `save_trained` wrote, on the CPU, ready to label.

    Raises
    ------
    InputError
        The folder is none of these, of another version, incomplete or damaged.
    """
    recipe = _read_recipe(folder)
    encoding = LabelEncoding.from_json(read_json(folder / _LABELS), folder / _LABELS)
    backbone = load_checkpoint(folder / _WEIGHTS)
    backbone = backbone.to_bfloat16() if _is_half(recipe) else backbone.float()
    outputs = [1] * len(encoding.levels) if recipe.task == "regression" else encoding.sizes()
    try:
        if (folder / _ADAPTER).exists():
            # Merged into bfloat16 weights, small shifts would be rounded away.
            backbone = load_adapter(backbone, folder / _ADAPTER, merge=not _is_half(recipe))
        heads = load_file(folder / _HEADS)
        standard = heads.pop("target_mean").numpy(), heads.pop("target_deviation").numpy()
        classifier = Classifier(
            backbone,
            outputs,
            final_norm=recipe.layer is None,
            pooling=recipe.pooling,
            per_base=recipe.per_base,
            precision=recipe.precision,
        )
        missing, unknown = classifier.load_state_dict(heads, strict=False)
        if unknown or any(not name.startswith("backbone.") for name in missing):
            raise KeyError(f"its heads are not those of {_LABELS}")
    except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"{folder} is damaged ({str(error).splitlines()[0]}); {_TAKE_ANEW}") from None
    classifier.eval().requires_grad_(False)
    return TrainedClassifier(recipe, encoding, classifier, *standard)


def model_files(folder: Path) -> list[Path]:
    """Files of a classifier's folder but `model.json`, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _MODEL)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk is another one."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


_TAKE_ANEW = "take the folder methods/METHOD/model of a finished stage=classify anew, as a whole"


def _read_recipe(folder: Path) -> Recipe:
    path = folder / _MODEL
    if not path.exists():
        raise InputError(f"classify.model={folder} is no folder of a trained classifier (no {_MODEL}); {_TAKE_ANEW}")
    content = read_json(path)
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise InputError(
            f"{path}: a classifier of version {version}, this program reads version {VERSION}; train it again"
        )
    names = [field.name for field in fields(Recipe)]
    if missing := [name for name in (*names, "files") if name not in content]:
        raise InputError(f"{path} says nothing of {', '.join(missing)}; {_TAKE_ANEW}")
    for name, size in content["files"].items():
        found = (folder / name).stat().st_size if (folder / name).exists() else None
        if found != size:
            what = "is missing" if found is None else f"has {found:,} bytes instead of {size:,}"
            raise InputError(f"{folder / name} {what}; {_TAKE_ANEW}")
    return Recipe(**{name: content[name] for name in names})


def _is_half(recipe: Recipe) -> bool:
    """Whether the backbone computed with weights in bfloat16 in training."""
    return recipe.precision == "bf16" and recipe.method in KEEPS_BASE


def _save_adapter(trainable: Trainable, folder: Path) -> None:
    assert trainable.adapter is not None
    trainable.adapter.save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    # peft keeps the names in sets, whose order changes from process to process, and where the base model lay.
    settings = read_json(folder / "adapter_config.json")
    ordered = {
        key: sorted(value) for key, value in settings.items() if key in ("target_modules", "feedforward_modules")
    }
    write_json(folder / "adapter_config.json", settings | ordered | {"base_model_name_or_path": None})
