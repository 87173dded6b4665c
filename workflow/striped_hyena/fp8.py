"""FP8 as the published models were trained with it, emulated: the hyena projections see rounded numbers.

On Hopper the projections multiply numbers of the kind e4m3 (4 bits of exponent, 3 of mantissa, largest 448;
Micikevicius et al. 2022, arXiv:2209.05433) and add up in float32. Input and weight are each multiplied by a scale
that brings them into that range, and the product is divided by both. The scales of training are stored with the
weights.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow.errors import InputError

__all__ = ["Fp8Linear", "Scales", "emulate_fp8", "round_e4m3", "scales_of"]

Model = TypeVar("Model", bound=nn.Module)
#: Scale of the input and of the weight of a layer: what they are multiplied by before they are rounded.
Scales = tuple[float, float]
#: Largest number of e4m3.
LARGEST = 448.0
#: Values below this are taken for zero.
_SMALLEST = 1e-30
_STATE = re.compile(r"(blocks\.\d+\.projections)\._extra_state")
_LAYER = re.compile(r"(?:.*\.)?(blocks\.\d+\.projections)(?:\.base_layer)?")


def round_e4m3(values: Tensor) -> Tensor:
    """The nearest e4m3 numbers, ties to even; what is larger than 448 becomes 448.

    Returns
    -------
    Tensor
        float8_e4m3fn, in the shape of `values`.
    """
    return values.clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)


class Fp8Linear(nn.Module):
    """A linear layer without bias whose input and weight are rounded to e4m3.

    Parameters
    ----------
    weight : Tensor
        (outputs, inputs).
    scales : (float, float), optional
        Those of input and weight. Without, the largest value of the weight, and that of the input at each
        position, becomes 448. A scale for each position keeps a score free of what else is in the batch, and
        of what follows in the sequence.
    """

    weight_e4m3: Tensor

    def __init__(self, weight: Tensor, scales: Scales | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        weight = weight.detach().float()
        self.input_scale = scales[0] if scales else None
        self.weight_scale = scales[1] if scales else float(_scale_to_largest(weight.abs().max()))
        self.register_buffer("weight_e4m3", round_e4m3(weight * self.weight_scale))

    @property
    def weight(self) -> Tensor:
        """The rounded weight at its own scale, float32."""
        return self.weight_e4m3.float() / self.weight_scale

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs), in the dtype of x.

        The products are made of e4m3 numbers, which bfloat16 and float32 hold exactly.
        """
        wide = x.float()
        scale: Tensor | float | None = self.input_scale
        if scale is None:
            scale = _scale_to_largest(wide.abs().amax(dim=-1, keepdim=True))
        rounded = round_e4m3(wide * scale).to(x.dtype)
        product = F.linear(rounded, self.weight_e4m3.to(x.dtype))
        scaled: Tensor = product.float() / (scale * self.weight_scale)
        return scaled.to(x.dtype)


def emulate_fp8(model: Model, scales: Mapping[str, Scales] | None = None) -> Model:
    """Put an `Fp8Linear` in the place of every hyena projection, in place.

    Parameters
    ----------
    model : Module
        A StripedHyena2, or one with adapters beside its weights: those stay as they are.
    scales : mapping, optional
        Scales by layer, `blocks.N.projections`, as `scales_of` gives them. Without, each layer finds its
        own.

    Raises
    ------
    InputError
        There are scales, but not of exactly the hyena layers of this model.
    """
    layers = {
        match[1]: name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (match := _LAYER.fullmatch(name))
    }
    if scales and (wrong := sorted(scales.keys() ^ layers.keys())):
        raise InputError(f"the FP8 scales do not fit this model: {wrong[0]} is missing in one of both")
    for layer, name in layers.items():
        owner, _, attribute = name.rpartition(".")
        weight = model.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        setattr(model.get_submodule(owner), attribute, Fp8Linear(weight, scales[layer] if scales else None))
    return model


def scales_of(content: Mapping[str, Any], place: str) -> dict[str, Scales]:
    """Scales among the contents of a published checkpoint, by layer.

    Parameters
    ----------
    content : mapping
        Values by published name; the states are `blocks.N.projections._extra_state`.
    place : str
        Where they come from, for messages.

    Raises
    ------
    InputError
        A state is none of Transformer Engine's.
    """
    found = {}
    for name, state in content.items():
        if match := _STATE.fullmatch(str(name)):
            scales = _read_state(state, f"{place}: {name}")
            if scales:
                found[match[1]] = scales
    return found


def _read_state(state: Any, place: str) -> Scales | None:
    """Scales in one `_extra_state`: a file within the file, which holds a table with `scale_fwd`."""
    if state is None or (isinstance(state, Tensor) and state.numel() == 0):
        return None
    if isinstance(state, Tensor):
        state = io.BytesIO(state.cpu().numpy().tobytes())
    if not isinstance(state, io.BytesIO):
        raise InputError(f"{place} holds a {type(state).__name__}, not the FP8 state of a layer")
    if not state.getbuffer().nbytes:
        return None
    state.seek(0)
    table = _load(state, place)
    scale = table.get("scale_fwd") if isinstance(table, dict) else None
    if not isinstance(scale, Tensor) or scale.numel() < 2:
        raise InputError(f"{place} has no scale_fwd of input and weight")
    input_scale, weight_scale = scale.flatten()[:2].tolist()
    if not (0 < input_scale < float("inf") and 0 < weight_scale < float("inf")):
        raise InputError(f"{place}: the scales {input_scale} and {weight_scale} must be positive")
    return input_scale, weight_scale


def _load(file: io.BytesIO, place: str) -> Any:
    """What torch.save wrote, on the CPU; plain values and tensors only."""
    try:
        with torch.serialization.safe_globals([io.BytesIO]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        reason = str(error).partition(".")[0].splitlines()[0]
        raise InputError(f"{place} is damaged or not a plain table: {reason}") from None


def _scale_to_largest(largest: Tensor) -> Tensor:
    """448 over the largest value; finite where all are zero."""
    return LARGEST / largest.clamp(min=_SMALLEST)
