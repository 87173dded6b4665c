from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.checkpoints.conftest import CONFIG, MBRIDGE, MBRIDGE_FULL, NEMO2, SAVANNA, SEQUENCES, VORTEX, logits
from workflow.checkpoints import compare, load_model, write_ours
from workflow.errors import InputError
from workflow.striped_hyena import StripedHyena2

BASES = {name: np.frombuffer(bases.encode(), np.uint8) for name, bases in SEQUENCES.items()}


def test_the_same_weights_in_two_formats_are_identical() -> None:
    found = compare(SAVANNA, MBRIDGE, sequences=BASES)
    assert found.identical and len(found.tensors) == len(load_model(MBRIDGE).state_dict())
    assert found.nll is not None and found.nll[0] == found.nll[1]
    assert found.largest_logprob_difference == 0


def test_the_most_different_tensor_comes_first(tmp_path: Path) -> None:
    model = load_model(MBRIDGE)
    with torch.no_grad():
        model.norm.scale[3] += 0.5
        model.blocks[1].post_norm.scale[0] -= 0.25
    write_ours(model, tmp_path / "x.safetensors")
    found = compare(MBRIDGE, tmp_path / "x.safetensors", sequences=BASES)
    assert [(tensor.name, tensor.difference) for tensor in found.tensors[:3]] == [
        ("norm.scale", 0.5),
        ("blocks.1.post_norm.scale", 0.25),
        (found.tensors[2].name, 0.0),
    ]
    assert found.tensors[0].dtypes == ("bfloat16", "bfloat16")
    assert not found.identical and found.largest_logprob_difference is not None
    assert found.largest_logprob_difference > 1e-3


def test_the_likelihood_is_that_of_the_engine() -> None:
    found = compare(VORTEX, MBRIDGE_FULL, CONFIG, BASES)
    expected = []
    for model in (load_model(VORTEX, CONFIG), load_model(MBRIDGE_FULL)):
        total, count = 0.0, 0
        for bases in SEQUENCES.values():
            targets = torch.tensor(list(bases.encode()))
            observed = logits(model, bases, begin=True)[:-1].log_softmax(-1).gather(1, targets[:, None])[:, 0]
            scored = targets != ord("N")
            total, count = total - float(observed[scored].sum()), count + int(scored.sum())
        expected.append(total / count)
    assert found.nll == pytest.approx(expected, abs=1e-5)
    assert found.nll is not None and found.nll[1] < found.nll[0] - 1


def test_tiny_differences_of_rounding_are_seen() -> None:
    found = compare(SAVANNA, NEMO2)
    different = {tensor.name for tensor in found.tensors if tensor.difference}
    assert different == {"blocks.1.filter.h", "blocks.2.filter.log_poles", "blocks.2.filter.residues"}


def test_different_architectures_are_refused(tmp_path: Path) -> None:
    write_ours(StripedHyena2(replace(CONFIG, mlp_width=80)), tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="another architecture than asked for: mlp_width 80 instead of 96"):
        compare(NEMO2, tmp_path / "x.safetensors")


def test_sequences_without_bases_are_refused() -> None:
    with pytest.raises(InputError, match="hold no A, C, G or T"):
        compare(NEMO2, MBRIDGE, sequences={"n": np.frombuffer(b"NNNN", np.uint8)})
