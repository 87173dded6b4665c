from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.classification.conftest import TINY, dna, model
from workflow.classification.backbone import shorten
from workflow.classification.classifier import Classifier
from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement


def as_bases(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)


READS = [as_bases(dna(length, length)) for length in (9, 30, 17, 1)]


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last", "per_base"])
def test_padding_never_counts(pooling: str) -> None:
    classifier = Classifier(model(), [3, 2], pooling=pooling, per_base=pooling == "per_base").eval()
    with torch.no_grad():
        together = classifier(READS)
        alone = [torch.cat(parts) for parts in zip(*(classifier([read]) for read in READS), strict=True)]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_mean_is_that_of_the_states_at_the_bases_after_the_last_norm() -> None:
    backbone = model()
    ids = torch.from_numpy(np.concatenate([[0], READS[1]]).astype(np.int64))[None]
    with torch.no_grad():
        states = backbone(ids, hidden_layers=[-1]).hidden[-1]
        found = Classifier(backbone, [2]).features(READS[1:2])
        torch.testing.assert_close(found[0], backbone.norm(states)[0, 1:].mean(0))
        # A layer that is named is that block's output, and the blocks after it are not needed.
        named = backbone(ids, hidden_layers=[1]).hidden[1][0, -1]
        short = Classifier(shorten(backbone, -3), [2], final_norm=False, pooling="last")
        torch.testing.assert_close(short.features(READS[1:2])[0], named)
        assert len(short.backbone.blocks) == 2 and short.backbone.config.pattern == TINY.pattern[:2]


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"classify\.layer=4 does not exist: the model has the layers 0 to 3"):
        shorten(model(), 4)


def test_a_base_is_seen_from_both_sides() -> None:
    classifier = Classifier(model(), [2], per_base=True).eval()
    read, other = READS[1].copy(), READS[1].copy()
    other[20] = ord("A") if other[20] != ord("A") else ord("C")
    with torch.no_grad():
        one, two = classifier.features([read]), classifier.features([other])
        turned = classifier.features([np.ascontiguousarray(reverse_complement(read))])
    width = TINY.width
    # The long filters' transforms carry rounding everywhere.
    changed = ((one - two).abs() > 1e-4).reshape(len(read), 2, width).any(-1)
    # Forward states know of it from there on, those of the other strand up to there.
    assert torch.equal(changed[:, 0], torch.arange(len(read)) >= 20)
    assert torch.equal(changed[:, 1], torch.arange(len(read)) <= 20)
    # Of the other strand's reading, the halves are exchanged and the order is turned.
    torch.testing.assert_close(torch.cat([turned[:, width:], turned[:, :width]], -1).flip(0), one)


def test_features_are_standardised_and_one_that_does_not_vary_is_harmless() -> None:
    classifier = Classifier(model(), [2])
    mean, deviation = np.arange(16.0), np.full(16, 2.0)
    deviation[3] = 0
    classifier.standardise(mean, deviation)
    features = torch.randn(4, 16)
    spread = torch.from_numpy(np.where(deviation == 0, 1, deviation)).float()
    expected = classifier.linear_heads[0]((features - torch.arange(16.0)) / spread)
    torch.testing.assert_close(classifier.judge(features)[0], expected)
