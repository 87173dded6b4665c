"""Shape of the model that a run is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow.config import ModelConfig
from workflow.errors import InputError

if TYPE_CHECKING:
    from workflow.striped_hyena.config import ModelConfig as Shape


def shape_of(model: ModelConfig) -> Shape | None:
    """The preset that `model.architecture` names; None where PyTorch, which its package needs, is not installed.

    Raises
    ------
    InputError
        There is no such preset.
    """
    try:
        from workflow.striped_hyena.config import PRESETS
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None
    if model.architecture not in PRESETS:
        raise InputError(f"model.architecture={model.architecture} does not exist: use one of {', '.join(PRESETS)}")
    return PRESETS[model.architecture]
