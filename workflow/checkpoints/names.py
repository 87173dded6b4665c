"""Names of a model's tensors in every format: vortex (ours), savanna, and Megatron (NeMo2 and Megatron Bridge).

Only names and the rule that connects the numbers stand here, no tensors; `layouts` applies the rules. The
name of a layer follows from its number and its letter, so that a pattern is all one needs to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from workflow.striped_hyena.config import ATTENTION, LONG, MEDIUM, SHORT

#: NeMo2 puts this before every Megatron name; Megatron Bridge puts nothing.
NEMO2_PREFIX = "module."
#: Savanna files of any origin have these before their names.
SAVANNA_PREFIX = "module."
#: Savanna counts the embedding and a transposition as its first two layers.
_SAVANNA_FIRST_LAYER = 2
#: From the number of layers to savanna's number of the final norm: in the 20b model, and in all others.
FINAL_NORM_20B, FINAL_NORM = 2, 3
#: Our names of the linear layers that can take an adapter → Megatron's.
MEGATRON_LINEARS = {
    "projections": "dense_projection",
    "out_filter_dense": "dense",
    "Wqkv": "linear_qkv",
    "out_proj": "linear_proj",
    "l1": "linear_fc1",
    "l2": "linear_fc1",
    "l3": "linear_fc2",
}
EMBEDDING = "embedding_layer.weight"
#: The output embedding of vortex files: a copy of the input embedding.
TIED_COPY = "unembed.weight"
#: How the names end under which Transformer Engine keeps its FP8 state.
FP8_STATE = "._extra_state"
#: Beside the weights in real files, and not needed: FP8 state, positions of the long filter.
_IGNORED = re.compile(
    r".*\._extra_state(/shard_\S+)?|blocks\.\d+\.mixer\.mixer\.filter\.t|sequential\.\d+\.mixer\.mixer\.filter\.t"
)
#: Computed from the architecture, whatever a savanna or Megatron file says.
_ROTARY = re.compile(r"(.+\.)?rotary_(pos_)?emb\.inv_freq")
#: Everything in a distributed training checkpoint that is not a weight.
_TRAINING_STATE = re.compile(
    r"(chained_\d+\.)?(optimizer|rng_state|rerun_state_machine_state|opt_param_scheduler)[./].*"
)


class Dialect(Enum):
    """A way to name tensors."""

    VORTEX = "vortex"
    SAVANNA = "savanna"
    MEGATRON = "megatron"
    #: Megatron without Transformer Engine: the norms stand alone instead of inside the next linear layer.
    MEGATRON_PLAIN = "megatron without Transformer Engine"


class Rule(Enum):
    """How the numbers in one dialect follow from those in another."""

    #: The same tensor everywhere.
    SAME = "same"
    #: Taps (channels, taps); vortex has an axis of length 1 between.
    TAPS = "taps"
    #: The two halves l1 and l2 of the gated MLP; Megatron stacks them in one matrix.
    GATED = "gated"
    #: h · decay → h, cut to the taps that are used.
    DECAYED = "decayed"
    #: −exp(p) · exp(gamma) → log_poles.
    POLES = "poles"
    #: (width, poles), flat or not.
    RESIDUES = "residues"


@dataclass(frozen=True)
class Correspondence:
    """Tensors that say the same thing: their names in each dialect, and the rule between them.

    Attributes
    ----------
    vortex, savanna, megatron : tuple of str
        One or two names each. Megatron's without NeMo2's prefix, with Transformer Engine.
    plain_norm : str, optional
        Megatron's name without Transformer Engine, where it differs.
    """

    rule: Rule
    vortex: tuple[str, ...]
    savanna: tuple[str, ...]
    megatron: tuple[str, ...]
    plain_norm: str | None = None

    def names(self, dialect: Dialect) -> tuple[str, ...]:
        """The names in one dialect."""
        if dialect is Dialect.MEGATRON_PLAIN and self.plain_norm:
            return (self.plain_norm,)
        return {Dialect.VORTEX: self.vortex, Dialect.SAVANNA: self.savanna}.get(dialect, self.megatron)


def correspondences(pattern: str, final_norm: int = FINAL_NORM) -> list[Correspondence]:
    """Every tensor of a model, but for the rotary frequencies, which vortex alone stores.

    Parameters
    ----------
    pattern : str
        Layer letters.
    final_norm : int
        Number of savanna's final norm less the number of layers: `FINAL_NORM` or `FINAL_NORM_20B`.
    """
    table = [
        Correspondence(
            Rule.SAME,
            (EMBEDDING,),
            ("sequential.0.word_embeddings.weight",),
            ("embedding.word_embeddings.weight",),
        )
    ]
    for layer, kind in enumerate(pattern):
        table += _layer(layer, kind)
    last = f"sequential.{len(pattern) + final_norm}.norm.weight"
    return [*table, Correspondence(Rule.SAME, ("norm.scale",), (last,), ("decoder.final_norm.weight",))]


def _layer(layer: int, kind: str) -> list[Correspondence]:
    """The tensors of one layer."""
    vortex, savanna = f"blocks.{layer}.", f"sequential.{layer + _SAVANNA_FIRST_LAYER}."
    megatron = f"decoder.layers.{layer}."

    def entry(rule: Rule, ours: str, theirs: str, in_megatron: str, plain_norm: str | None = None) -> Correspondence:
        return Correspondence(
            rule,
            tuple(vortex + name for name in ours.split()),
            tuple(savanna + name for name in theirs.split()),
            tuple(megatron + name for name in in_megatron.split()),
            megatron + plain_norm if plain_norm else None,
        )

    if kind == ATTENTION:
        module, first, output, first_norm = "inner_mha_cls", "Wqkv", "out_proj", "input_layernorm.weight"
        first, output = f"{module}.{first}", f"{module}.{output}"
        in_first, in_output = "self_attention.linear_qkv", "self_attention.linear_proj"
    else:
        first, output, first_norm = "projections", "out_filter_dense", "norm.weight"
        in_first, in_output = "mixer.dense_projection", "mixer.dense"
    mlp, mlp_norm = "mlp.linear_fc1", "pre_mlp_layernorm.weight"
    table = [
        entry(Rule.SAME, "pre_norm.scale", "input_layernorm.weight", f"{in_first}.layer_norm_weight", first_norm),
        entry(Rule.SAME, f"{first}.weight", "mixer.dense_projection.weight", f"{in_first}.weight"),
        entry(Rule.SAME, f"{output}.weight", "mixer.dense.weight", f"{in_output}.weight"),
        entry(Rule.SAME, f"{output}.bias", "mixer.dense.bias", f"{in_output}.bias"),
        entry(Rule.SAME, "post_norm.scale", mlp_norm, f"{mlp}.layer_norm_weight", mlp_norm),
        entry(Rule.GATED, "mlp.l1.weight mlp.l2.weight", "mlp.w1.weight mlp.w2.weight", f"{mlp}.weight"),
        entry(Rule.SAME, "mlp.l3.weight", "mlp.w3.weight", "mlp.linear_fc2.weight"),
    ]
    return table + [entry(rule, ours, theirs, theirs) for rule, ours, theirs in _FILTERS[kind]]


_PROJECTION_FILTER = (Rule.TAPS, "filter.short_filter_weight", "mixer.hyena_proj_conv.short_conv_weight")
_SKIP = (Rule.SAME, "filter.D", "mixer.mixer.conv_bias")
_INNER = "mixer.mixer.filter"
#: The filters of each kind of layer; savanna and Megatron name them alike.
_FILTERS: dict[str, tuple[tuple[Rule, str, str], ...]] = {
    SHORT: (_PROJECTION_FILTER, (Rule.TAPS, "filter.h", "mixer.mixer.short_conv.short_conv_weight")),
    MEDIUM: (_PROJECTION_FILTER, _SKIP, (Rule.DECAYED, "filter.h", f"{_INNER}.h {_INNER}.decay")),
    LONG: (
        _PROJECTION_FILTER,
        _SKIP,
        (Rule.POLES, "filter.log_poles", f"{_INNER}.p {_INNER}.gamma"),
        (Rule.RESIDUES, "filter.residues", f"{_INNER}.R"),
    ),
    ATTENTION: (),
}

#: What tells the kind of a layer, in each dialect; the first that is there decides.
_LAYER_NAMES = {
    Dialect.VORTEX: re.compile(r"blocks\.(\d+)\.(.+)"),
    Dialect.SAVANNA: re.compile(r"sequential\.(\d+)\.(.+)"),
    Dialect.MEGATRON: re.compile(r"decoder\.layers\.(\d+)\.(.+)"),
}
_MARKS = {
    Dialect.VORTEX: (
        (ATTENTION, "inner_mha_cls.Wqkv.weight"),
        (LONG, "filter.log_poles"),
        (MEDIUM, "filter.D"),
        (SHORT, "filter.h"),
    ),
    Dialect.SAVANNA: (
        (LONG, f"{_INNER}.p"),
        (MEDIUM, f"{_INNER}.h"),
        (SHORT, "mixer.mixer.short_conv.short_conv_weight"),
        (ATTENTION, "mixer.dense_projection.weight"),
    ),
    Dialect.MEGATRON: (
        (ATTENTION, "self_attention.linear_qkv.weight"),
        (LONG, f"{_INNER}.p"),
        (MEDIUM, f"{_INNER}.h"),
        (SHORT, "mixer.mixer.short_conv.short_conv_weight"),
    ),
}


def find_dialect(names: Iterable[str]) -> Dialect | None:
    """The dialect of a table of weights, prefixes taken off; None when it is none of them."""
    names = set(names)
    if EMBEDDING in names or any(name.startswith("blocks.") for name in names):
        return Dialect.VORTEX
    if any(name.startswith("sequential.") for name in names):
        return Dialect.SAVANNA
    if any(name.startswith("decoder.") for name in names):
        plain = any(name.endswith(".pre_mlp_layernorm.weight") for name in names)
        return Dialect.MEGATRON_PLAIN if plain else Dialect.MEGATRON
    return None


def find_pattern(names: Iterable[str], dialect: Dialect) -> str | None:
    """The layer letters that a table of weights implies; None when a layer cannot be told."""
    dialect = Dialect.MEGATRON if dialect is Dialect.MEGATRON_PLAIN else dialect
    layers: dict[int, set[str]] = {}
    for name in names:
        if match := _LAYER_NAMES[dialect].fullmatch(name):
            layers.setdefault(int(match[1]), set()).add(match[2])
    if dialect is Dialect.SAVANNA:  # The embedding and the final norm are numbered among the layers.
        layers = {number - _SAVANNA_FIRST_LAYER: inner for number, inner in layers.items() if "mlp.w3.weight" in inner}
    letters = [
        next((kind for kind, mark in _MARKS[dialect] if mark in layers.get(layer, ())), None)
        for layer in range(max(layers, default=-1) + 1)
    ]
    return "".join(letter for letter in letters if letter) if letters and all(letters) else None


def find_final_norm(names: Iterable[str], pattern: str) -> int:
    """The place of savanna's final norm in this file, as `correspondences` takes it."""
    at_20b = f"sequential.{len(pattern) + FINAL_NORM_20B}.norm.weight"
    return FINAL_NORM_20B if at_20b in set(names) else FINAL_NORM


def is_ignored(name: str, dialect: Dialect) -> bool:
    """Whether a tensor of a real file is none that the model needs."""
    if _IGNORED.fullmatch(name) or (_TRAINING_STATE.fullmatch(name) and dialect is not Dialect.VORTEX):
        return True
    return dialect is not Dialect.VORTEX and _ROTARY.fullmatch(name) is not None


def is_optimizer_state(name: str) -> bool:
    """Whether this entry of a distributed checkpoint belongs to the optimizer."""
    return "optimizer" in name and _TRAINING_STATE.fullmatch(name) is not None
