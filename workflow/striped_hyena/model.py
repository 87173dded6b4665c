"""StripedHyena 2 in plain PyTorch, with the parameter names of the published checkpoints.

Shapes: B batch, L positions, D width. Modules take (B, L, D) and give (B, L, D).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workflow.striped_hyena.config import (
    ATTENTION,
    LONG,
    MEDIUM_FILTER_LENGTH,
    POLES,
    PROJECTION_FILTER_LENGTH,
    SHORT,
    SHORT_FILTER_LENGTH,
    ModelConfig,
)
from workflow.striped_hyena.filters import (
    causal_convolution,
    long_convolution,
    modal_impulse,
    modal_ringing,
    modal_state,
)

#: Parameters that stay in float32 whatever the precision.
FLOAT32_NAMES = ("log_poles", "residues", "inv_freq")
#: Layers that write to the residual stream.
OUTPUT_PROJECTIONS = ("out_proj", "out_filter_dense", "l3")


@dataclass
class LayerState:
    """What one layer remembers of the positions so far.

    Attributes
    ----------
    projected : Tensor, optional
        (B, 3·D, 2) last projections, before the short convolution.
    gated : Tensor, optional
        (B, D, taps − 1) last inputs of a short or medium filter.
    modes : Tensor, optional
        (B, D, 16) state of a long filter.
    keys, values : Tensor, optional
        (B, heads, positions, head width).
    """

    projected: Tensor | None = None
    gated: Tensor | None = None
    modes: Tensor | None = None
    keys: Tensor | None = None
    values: Tensor | None = None


@dataclass
class DecodingState:
    """Memory of a sequence that is read in chunks or generated. Begin with `DecodingState.empty(config)`."""

    layers: list[LayerState]
    positions: int = 0

    @classmethod
    def empty(cls, config: ModelConfig) -> DecodingState:
        """State before the first position."""
        return cls([LayerState() for _ in config.pattern])


@dataclass
class Output:
    """Logits (B, L, vocabulary), and the hidden states asked for: layer number → (B, L, D)."""

    logits: Tensor
    hidden: dict[int, Tensor] = field(default_factory=dict)


class RMSNorm(nn.Module):
    """scale · x / (‖x‖₂ / √D + ε); the ε stands outside the root (Zhang & Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        norm = x.norm(2, dim=-1, keepdim=True) * x.shape[-1] ** -0.5
        normed: Tensor = self.scale * (x / (norm + self.epsilon))
        return normed


class GatedMLP(nn.Module):
    """l3(act(l1 x) · l2 x); act is the exact GELU in the first layer and the identity in every other."""

    def __init__(self, width: int, inner: int, *, first_layer: bool) -> None:
        super().__init__()
        self.l1 = nn.Linear(width, inner, bias=False)
        self.l2 = nn.Linear(width, inner, bias=False)
        self.l3 = nn.Linear(inner, width, bias=False)
        self.activation: nn.Module = nn.GELU() if first_layer else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D)."""
        out: Tensor = self.l3(self.activation(self.l1(x)) * self.l2(x))
        return out


class HyenaFilter(nn.Module):
    """The parameters of one layer's filters, under the published names.

    `short_filter_weight` (3·D, 1, 3) is the convolution of the projections. The layer's own filter is `h`
    (groups, 1, taps) in `S` and `D` layers, and `log_poles` (D, 16, 1) with `residues` (D, 16) in `H`
    layers. `D` (D,), the skip, is absent in `S` layers.
    """

    def __init__(self, config: ModelConfig, kind: str) -> None:
        super().__init__()
        self.short_filter_weight = nn.Parameter(torch.empty(3 * config.width, 1, PROJECTION_FILTER_LENGTH))
        if kind == LONG:
            self.log_poles = nn.Parameter(torch.empty(config.width, POLES, 1))
            self.residues = nn.Parameter(torch.empty(config.width, POLES))
        else:
            taps = SHORT_FILTER_LENGTH if kind == SHORT else MEDIUM_FILTER_LENGTH
            self.h = nn.Parameter(torch.empty(config.filter_groups, 1, taps))
        if kind != SHORT:
            self.D = nn.Parameter(torch.zeros(config.width))


class Block(nn.Module):
    """x ← mix(pre_norm(x)) + x, then x ← mlp(post_norm(x)) + x. The two kinds of layer fill in `mix`."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.pre_norm = RMSNorm(config.width, config.norm_epsilon)
        self.post_norm = RMSNorm(config.width, config.norm_epsilon)
        self.mlp = GatedMLP(config.width, config.mlp_width, first_layer=layer == 0)

    def forward(self, x: Tensor, mask: Tensor | None, state: LayerState | None) -> Tensor:
        """(B, L, D) → (B, L, D); mask (B, L) is 1 at valid positions."""
        x = self.mix(self.pre_norm(x), mask, state) + x
        out: Tensor = self.mlp(self.post_norm(x)) + x
        return out

    def mix(self, x: Tensor, mask: Tensor | None, state: LayerState | None) -> Tensor:
        """Mix positions."""
        raise NotImplementedError


class HyenaBlock(Block):
    """Gated causal convolution: y = x2 · filter(x1 · v), with x2, x1, v interleaved in one projection."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.kind = config.pattern[layer]
        self.projections = nn.Linear(config.width, 3 * config.width, bias=False)
        self.filter = HyenaFilter(config, self.kind)
        self.out_filter_dense = nn.Linear(config.width, config.width)

    def mix(self, x: Tensor, mask: Tensor | None, state: LayerState | None) -> Tensor:
        """Mix positions. Filters are computed in float32 whatever the precision around them."""
        z = self.projections(x).transpose(1, 2)
        with torch.autocast(x.device.type, enabled=False):
            z = self._convolve_projections(z, state)
            x2, x1, v = z[:, 0::3], z[:, 1::3], z[:, 2::3]
            u = x1 * v
            if mask is not None:
                # No valid position looks at padding; zeros keep it out of the transforms' rounding as well.
                u = u * mask[:, None, :].to(u.dtype)
            y = x2 * self._filter(u, state)
        out: Tensor = self.out_filter_dense(y.transpose(1, 2))
        return out

    def _convolve_projections(self, z: Tensor, state: LayerState | None) -> Tensor:
        previous = None if state is None else state.projected
        if state is not None:
            state.projected = _last(z, PROJECTION_FILTER_LENGTH - 1, previous)
        taps = self.filter.short_filter_weight[:, 0].float()
        return causal_convolution(z.float(), taps, None if previous is None else previous.float()).to(z.dtype)

    def _filter(self, u: Tensor, state: LayerState | None) -> Tensor:
        if self.kind == LONG:
            return self._long_filter(u, state)
        taps = self.filter.h[:, 0]
        taps = taps.repeat_interleave(u.shape[1] // len(taps), dim=0)
        previous = None if state is None else state.gated
        if state is not None:
            state.gated = _last(u, taps.shape[1] - 1, previous)
        if self.kind == SHORT:
            return causal_convolution(u, taps, previous)
        return self._with_skip(long_convolution(u, taps, previous), u)

    def _long_filter(self, u: Tensor, state: LayerState | None) -> Tensor:
        log_poles, residues = self.filter.log_poles[..., 0].float(), self.filter.residues.float()
        length = u.shape[-1]
        y = long_convolution(u, modal_impulse(log_poles, residues, length))
        if state is not None:
            if state.modes is not None:
                y = y + modal_ringing(log_poles, residues, state.modes, length)
            state.modes = modal_state(log_poles, u, state.modes)
        return self._with_skip(y, u)

    def _with_skip(self, y: Tensor, u: Tensor) -> Tensor:
        return (y + u.float() * self.filter.D.float()[:, None]).to(u.dtype)


def _last(signal: Tensor, count: int, previous: Tensor | None) -> Tensor:
    """Last `count` samples of the sequence so far, zeros before its beginning."""
    joined = signal if previous is None else torch.cat([previous, signal], dim=-1)
    return F.pad(joined, (max(count - joined.shape[-1], 0), 0))[..., -count:]


class Rotary(nn.Module):
    """Rotary position embedding over the whole head, in halves (Su et al. 2021, arXiv:2104.09864)."""

    inv_freq: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.position_scale = config.rope_scale
        exponents = torch.arange(0, config.head_width, 2).float() / config.head_width
        self.register_buffer("inv_freq", config.rope_base**-exponents)

    def forward(self, x: Tensor, first_position: int) -> Tensor:
        """Rotate x (B, heads, L, head width) whose first position in the sequence is `first_position`."""
        positions = torch.arange(first_position, first_position + x.shape[2], device=x.device).float()
        angles = torch.outer(positions / self.position_scale, self.inv_freq.float())
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Causal multi-head attention. Rows of `Wqkv` are ordered (head, q|k|v, head width), as in the files."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.Wqkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out_proj = nn.Linear(config.width, config.width)
        self.rotary_emb = Rotary(config)

    def forward(self, x: Tensor, state: LayerState | None) -> Tensor:
        """(B, L, D) → (B, L, D)."""
        B, L, D = x.shape
        q, k, v = self.Wqkv(x).view(B, L, self.heads, 3, D // self.heads).permute(3, 0, 2, 1, 4)
        past = 0 if state is None or state.keys is None else state.keys.shape[2]
        q, k = self.rotary_emb(q, past), self.rotary_emb(k, past)
        if state is not None:
            if state.keys is not None and state.values is not None:
                k, v = torch.cat([state.keys, k], dim=2), torch.cat([state.values, v], dim=2)
            state.keys, state.values = k, v
        mask = torch.ones(L, past + L, dtype=torch.bool, device=x.device).tril(past) if past else None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        out: Tensor = self.out_proj(y.transpose(1, 2).reshape(B, L, D))
        return out


class AttentionBlock(Block):
    """A block whose mixer is attention."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.inner_mha_cls = Attention(config)

    def mix(self, x: Tensor, mask: Tensor | None, state: LayerState | None) -> Tensor:
        """Mix positions. Padding on the right needs no mask: no valid position looks at it."""
        out: Tensor = self.inner_mha_cls(x, state)
        return out


class StripedHyena2(nn.Module):
    """The model: token ids (B, L) → logits (B, L, vocabulary); logits at position i predict token i + 1.

    A new model has the published training initialisation for its weights; `load_checkpoint` replaces them.

    Parameters
    ----------
    config : ModelConfig
        Shape of the model.
    activation_checkpointing : bool
        Recompute each block in the backward pass instead of keeping its activations.
    """

    def __init__(self, config: ModelConfig, *, activation_checkpointing: bool = False) -> None:
        super().__init__()
        self.config = config
        self.activation_checkpointing = activation_checkpointing
        self.embedding_layer = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(
            (AttentionBlock if kind == ATTENTION else HyenaBlock)(config, layer)
            for layer, kind in enumerate(config.pattern)
        )
        self.norm = RMSNorm(config.width, config.norm_epsilon)
        initialise(self)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        state: DecodingState | None = None,
        hidden_layers: Sequence[int] = (),
    ) -> Output:
        """Run the model.

        Parameters
        ----------
        ids : Tensor
            (B, L) token ids: byte values.
        mask : Tensor, optional
            (B, L), 1 for valid positions and 0 for padding, which stands on the right.
        state : DecodingState, optional
            Memory of the positions before these; updated in place. Not together with a mask.
        hidden_layers : sequence of int
            Layers whose outputs are returned, 0 … layers − 1; negative numbers count from the end.

        Raises
        ------
        ValueError
            Mask and state together, no positions, or a layer that does not exist.
        """
        if mask is not None and state is not None:
            raise ValueError("a decoding state takes sequences of equal length, without a mask")
        if ids.shape[-1] == 0:
            raise ValueError("the sequence is empty")
        wanted = {self._layer_number(layer): layer for layer in hidden_layers}
        hidden: dict[int, Tensor] = {}
        x = self.embedding_layer(ids)
        for number, block in enumerate(self.blocks):
            layer_state = None if state is None else state.layers[number]
            if self.activation_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, mask, layer_state, use_reentrant=False)
            else:
                x = block(x, mask, layer_state)
            if number in wanted:
                hidden[wanted[number]] = x
        if state is not None:
            state.positions += ids.shape[-1]
        return Output(F.linear(self.norm(x), self.embedding_layer.weight), hidden)

    def _layer_number(self, layer: int) -> int:
        number = layer + len(self.blocks) if layer < 0 else layer
        if not 0 <= number < len(self.blocks):
            raise ValueError(f"layer {layer} does not exist: the model has {len(self.blocks)}")
        return number

    def to_bfloat16(self) -> StripedHyena2:
        """Weights to bfloat16, in place, but for the poles, the residues and the rotary frequencies."""
        for name, tensor in [*self.named_parameters(), *self.named_buffers()]:
            if not name.endswith(FLOAT32_NAMES):
                tensor.data = tensor.data.to(torch.bfloat16)
        return self


@torch.no_grad()
def initialise(model: StripedHyena2) -> None:
    """Random weights as in the models' own training (savanna): every rule as the published code has it.

    Linear layers N(0, √(2 / 5D)); the output projections, which write to the residual stream, N(0, 2 / (layers·√D));
    poles spread by exp U(log 0.01, log 0.1) / e; residues 0.1 · N(0, 1) / √16.
    """
    config = model.config
    spread = math.sqrt(2 / (5 * config.width))
    output_spread = 2 / (len(config.pattern) * math.sqrt(config.width))
    nn.init.normal_(model.embedding_layer.weight, std=spread)
    for name, parameter in model.blocks.named_parameters():
        owner, _, kind = name.rpartition(".")
        if kind == "log_poles":
            gamma = torch.empty_like(parameter).uniform_(math.log(0.01), math.log(0.1))
            parameter.copy_(-torch.exp(gamma - 1))
        elif kind == "residues":
            nn.init.normal_(parameter, std=0.1 / math.sqrt(POLES))
        elif kind in ("short_filter_weight", "h"):
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[-1]))
        elif kind in ("D", "bias"):
            nn.init.zeros_(parameter)
        elif kind == "weight":
            nn.init.normal_(parameter, std=output_spread if owner.endswith(OUTPUT_PROJECTIONS) else spread)
