"""Sizes and constants of a StripedHyena 2 model."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

#: Layer letters, as in the published configurations.
SHORT, MEDIUM, LONG, ATTENTION = "S", "D", "H", "*"
SHORT_FILTER_LENGTH = 7
MEDIUM_FILTER_LENGTH = 128
PROJECTION_FILTER_LENGTH = 3
POLES = 16


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a StripedHyena 2 (Ku et al. 2025, arXiv:2503.01868; Brixi et al. 2025, Evo 2).

    Attributes
    ----------
    pattern : str
        One letter a layer: `S` short hyena (filter of 7), `D` medium hyena (128), `H` long hyena
        (16 real poles a channel), `*` attention.
    width : int
        Channels of the residual stream.
    heads : int
        Attention heads; the head width is `width // heads`.
    mlp_width : int
        Channels inside the gated MLP.
    filter_groups : int
        Distinct filters of `S` and `D` layers; each serves `width // filter_groups` neighbouring channels.
    rope_base, rope_scale : float
        Base of the rotary embedding, and the number that positions are divided by (context extension).
    vocabulary : int
        Token ids are byte values; 512 rows as published.
    norm_epsilon : float
        Added outside the root.

    Raises
    ------
    ValueError
        Letters or sizes that do not fit.
    """

    pattern: str
    width: int
    heads: int
    mlp_width: int
    filter_groups: int
    rope_base: float = 1e4
    rope_scale: float = 1.0
    vocabulary: int = 512
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        unknown = set(self.pattern) - {SHORT, MEDIUM, LONG, ATTENTION}
        if unknown or not self.pattern:
            raise ValueError(f"pattern {self.pattern!r} may hold the letters S, D, H and * only")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads of even width")
        if self.width % self.filter_groups:
            raise ValueError(f"width {self.width} does not divide into {self.filter_groups} filter groups")

    @property
    def head_width(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """Number of trainable numbers; the tied output embedding counts once."""
        kinds = Counter(self.pattern)
        width, hyena_layers = self.width, len(self.pattern) - kinds[ATTENTION]
        every_block = 2 * width + 3 * width * self.mlp_width
        # projections, short filter, output and its bias
        every_hyena = 3 * width * width + 3 * width * PROJECTION_FILTER_LENGTH + width * width + width
        return (
            self.vocabulary * width
            + width
            + len(self.pattern) * every_block
            + hyena_layers * every_hyena
            + kinds[SHORT] * self.filter_groups * SHORT_FILTER_LENGTH
            + kinds[MEDIUM] * (self.filter_groups * MEDIUM_FILTER_LENGTH + width)
            + kinds[LONG] * (2 * width * POLES + width)
            + kinds[ATTENTION] * (4 * width * width + width)
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field; peft looks for this name."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON with every field."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Read what `to_json` wrote. Raises ValueError on unknown or missing fields."""
        values: dict[str, Any] = json.loads(text)
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown fields of a model configuration: {', '.join(sorted(unknown))}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"incomplete model configuration: {error}") from None


_1B = ModelConfig("SDH*SDHSDH*SDHSDH*SDHSDH*", width=1920, heads=15, mlp_width=5120, filter_groups=128)
_7B = ModelConfig("SDH*SDHSDH*SDHSDH*SDHSDH*SDHSDH*", width=4096, heads=32, mlp_width=11008, filter_groups=256)
_40B = ModelConfig(
    "SDH*SDHSDH*SDHSDH*SDHSDH*SDHSDH*SDH*SDHSDH*SDHSDH*",
    width=8192,
    heads=64,
    mlp_width=21888,
    filter_groups=512,
    rope_base=1e6,
)
_20B = ModelConfig(
    "SDH*SDHSDH*SDHSDH*SDHSDH",
    width=8192,
    heads=64,
    mlp_width=22528,
    filter_groups=512,
    rope_base=1e6,
    rope_scale=128,
)

#: The published models, and the tiny one that ships with this project.
PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig("SDH*SDH", width=112, heads=4, mlp_width=304, filter_groups=16),
    "evo2_1b_base": _1B,
    "evo2_7b_base": _7B,
    "evo2_7b_262k": replace(_7B, rope_scale=32),
    "evo2_7b": replace(_7B, mlp_width=11264, rope_scale=128),
    "evo2_20b": _20B,
    "evo2_40b_base": _40B,
    "evo2_40b": replace(_40B, mlp_width=22528, rope_scale=128),
}
