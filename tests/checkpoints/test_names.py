from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workflow.checkpoints.layouts import to_savanna, to_vortex
from workflow.checkpoints.names import (
    FINAL_NORM,
    FINAL_NORM_20B,
    Correspondence,
    Dialect,
    Rule,
    correspondences,
    find_dialect,
    find_final_norm,
    find_pattern,
    is_ignored,
    is_optimizer_state,
)
from workflow.errors import InputError
from workflow.striped_hyena import ModelConfig, StripedHyena2

PATTERNS = st.text("SDH*", min_size=1, max_size=12)


@given(PATTERNS, st.sampled_from(list(Dialect)), st.sampled_from([FINAL_NORM, FINAL_NORM_20B]))
def test_each_dialect_names_every_tensor_once_and_tells_the_layers(pattern: str, dialect: Dialect, norm: int) -> None:
    names = [name for entry in correspondences(pattern, norm) for name in entry.names(dialect)]
    assert len(set(names)) == len(names)
    assert find_dialect(names) is dialect
    assert find_pattern(names, dialect) == pattern
    assert not any(is_ignored(name, dialect) for name in names)
    if dialect is Dialect.SAVANNA:
        assert find_final_norm(names, pattern) == norm


@given(PATTERNS)
def test_vortex_names_are_the_parameters_of_the_model(pattern: str) -> None:
    config = ModelConfig(pattern, width=8, heads=2, mlp_width=16, filter_groups=4)
    with torch.device("meta"):
        parameters = {name for name, _ in StripedHyena2(config).named_parameters()}
    assert {name for entry in correspondences(pattern) for name in entry.vortex} == parameters


def to_megatron(entry: Correspondence, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Savanna's tensors, the halves of the gated MLP stacked."""
    return (torch.cat(list(tensors)),) if entry.rule is Rule.GATED else to_savanna(entry, tensors)


@given(PATTERNS, st.integers(0, 2**31), st.booleans())
def test_savanna_or_megatron_and_back_is_the_same_function(pattern: str, seed: int, zero_pole: bool) -> None:
    torch.manual_seed(seed)
    config = ModelConfig(pattern, width=8, heads=2, mlp_width=16, filter_groups=4)
    weights = dict(StripedHyena2(config).named_parameters())
    for entry in correspondences(pattern):
        ours = [weights[name].detach() for name in entry.vortex]
        if entry.vortex[0].endswith("log_poles") and zero_pole:
            ours[0][0] = 0.0
        for dialect, write in ((Dialect.SAVANNA, to_savanna), (Dialect.MEGATRON, to_megatron)):
            there = write(entry, ours)
            assert len(there) == len(entry.names(dialect))
            for mine, again in zip(ours, to_vortex(entry, there, dialect), strict=True):
                torch.testing.assert_close(again, mine, rtol=1e-5, atol=0)


@given(PATTERNS, st.integers(0, 2**31))
def test_megatron_stacks_the_two_halves_of_the_mlp(pattern: str, seed: int) -> None:
    torch.manual_seed(seed)
    l1, l2 = torch.randn(6, 4), torch.randn(6, 4)
    entry = next(entry for entry in correspondences(pattern) if len(entry.vortex) == 2)
    halves = to_vortex(entry, [torch.cat([l1, l2])], Dialect.MEGATRON)
    assert torch.equal(halves[0], l1) and torch.equal(halves[1], l2)


def test_published_places() -> None:
    """Places in the published files of the 7b and the 20b model."""
    seven = {entry.vortex[0]: entry for entry in correspondences("SDH*SDHSDH*SDHSDH*SDHSDH*SDHSDH*")}
    assert seven["norm.scale"].savanna == ("sequential.35.norm.weight",)
    assert seven["blocks.0.pre_norm.scale"].savanna == ("sequential.2.input_layernorm.weight",)
    assert seven["blocks.2.filter.log_poles"].megatron == (
        "decoder.layers.2.mixer.mixer.filter.p",
        "decoder.layers.2.mixer.mixer.filter.gamma",
    )
    assert seven["blocks.3.pre_norm.scale"].megatron == (
        "decoder.layers.3.self_attention.linear_qkv.layer_norm_weight",
    )
    assert seven["blocks.3.pre_norm.scale"].plain_norm == "decoder.layers.3.input_layernorm.weight"
    assert seven["blocks.4.pre_norm.scale"].plain_norm == "decoder.layers.4.norm.weight"
    twenty = correspondences("SDH*SDHSDH*SDHSDH*SDHSDH", FINAL_NORM_20B)
    assert twenty[-1].savanna == ("sequential.26.norm.weight",)


def test_a_growing_pole_has_no_savanna_parameters() -> None:
    entry = next(entry for entry in correspondences("H") if entry.vortex[0].endswith("log_poles"))
    with pytest.raises(InputError, match="growing pole"):
        to_savanna(entry, [torch.full((8, 16, 1), 0.1)])


def test_what_real_files_carry_beside_the_weights() -> None:
    for name in ("blocks.0.projections._extra_state", "blocks.2.mixer.mixer.filter.t"):
        assert is_ignored(name, Dialect.VORTEX)
    for name in (
        "output_layer._extra_state/shard_0_1",
        "optimizer.distributed.dp_group_idx_0.gbuf_idx_0.dtype_(torch.bfloat16, torch.float32).bucket_idx_0.param",
        "rng_state/shard_0.0_1.1",
        "rotary_pos_emb.inv_freq",
    ):
        assert is_ignored(name, Dialect.MEGATRON), name
    assert is_optimizer_state("chained_0.optimizer.state.exp_avg")
    assert not is_optimizer_state("decoder.final_norm.weight")
    assert not is_ignored("decoder.layers.0.mixer.mixer.filter.t2", Dialect.MEGATRON)


def test_tables_of_something_else() -> None:
    assert find_dialect(["transformer.h.0.attn.weight"]) is None
    assert find_pattern(["blocks.0.pre_norm.scale"], Dialect.VORTEX) is None
    assert find_pattern(["blocks.1.filter.D", "blocks.1.filter.h"], Dialect.VORTEX) is None
