"""Embeddings are the model's own hidden states, of every sequence alone, in any batch and at any length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.striped_hyena.conftest import random_bases
from workflow.genome.alphabet import reverse_complement
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.embedding import embed_sequences, embedding_rows
from workflow.striped_hyena.stretches import Reader

LAYERS = (0, 3, 4)
#: States reach 10 and more, and transforms of another length round otherwise.
TOLERANCE = 1e-3
POOLINGS = ("mean", "max", "first", "last", "all", "both_strands")


def sequences(*lengths: int) -> list[np.ndarray]:
    return [random_bases(1, length, seed)[0].numpy().astype(np.uint8) for seed, length in enumerate(lengths)]


def states(model: StripedHyena2, bases: np.ndarray) -> np.ndarray:
    """Outputs of the layers at each base, by the model's own forward pass: (layers, length, width)."""
    ids = torch.from_numpy(np.concatenate([[0], bases]).astype(np.int64))[None]
    with torch.no_grad():
        hidden = model(ids, hidden_layers=LAYERS).hidden
    return torch.stack([hidden[layer][0, 1:] for layer in LAYERS]).numpy()


def embed(model: StripedHyena2, wanted: list[np.ndarray], pooling: str, **settings: int) -> list[np.ndarray]:
    given = {"batch_tokens": 600, "chunk": 400, "overlap": 100} | settings
    return list(embed_sequences(model, wanted, layers=LAYERS, pooling=pooling, **given))  # type: ignore[arg-type]


def test_each_pooling_is_of_the_hidden_states(model: StripedHyena2) -> None:
    bases = sequences(37)[0]
    whole = states(model, bases)
    turned = reverse_complement(bases)
    expected = {
        "mean": whole.mean(1),
        "max": whole.max(1),
        "first": whole[:, 0],
        "last": whole[:, -1],
        "all": whole,
        "both_strands": np.concatenate([whole[:, 17], states(model, turned[:19])[:, -1]], axis=1),
    }
    for pooling in POOLINGS:
        (found,) = embed(model, [bases], pooling)
        assert found.dtype == np.float32
        if pooling == "both_strands":
            (at_18,) = embed(model, [bases], pooling, position=18)
            assert np.array_equal(at_18, found)  # the middle of 37
        np.testing.assert_allclose(found, expected[pooling], atol=TOLERANCE, err_msg=pooling)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_equal_alone_and_in_any_batch(model: StripedHyena2, pooling: str) -> None:
    wanted = sequences(1, 150, 2, 33, 700, 34, 35)
    together = embed(model, wanted, pooling)
    assert len(together) == len(wanted)
    for bases, found in zip(wanted, together, strict=True):
        (alone,) = embed(model, [bases], pooling, batch_tokens=1)
        np.testing.assert_allclose(found, alone, atol=TOLERANCE)


def test_both_readings_end_at_the_place(model: StripedHyena2) -> None:
    """Base i is seen by the second half with position i, by the first with i + 1, by neither from further away."""
    (bases,) = sequences(40)
    other = bases.copy()
    other[20] = ord("A") if bases[20] != ord("A") else ord("C")
    width = model.config.width
    for position, first_differs, second_differs in ((20, False, True), (21, True, False)):
        one, two = (embed(model, [x], "both_strands", position=position)[0] for x in (bases, other))
        assert np.allclose(one[:, :width], two[:, :width]) != first_differs
        assert np.allclose(one[:, width:], two[:, width:]) != second_differs
    # The reverse complement at the mirrored place has the halves exchanged.
    (mirrored,) = embed(model, [reverse_complement(bases)], "both_strands", position=27)
    (found,) = embed(model, [bases], "both_strands", position=13)
    np.testing.assert_allclose(mirrored, np.roll(found, width, axis=1), atol=TOLERANCE)
    # At the ends both read the base that stands there.
    (at_start,) = embed(model, [bases], "both_strands", position=0)
    np.testing.assert_allclose(at_start[:, :width], states(model, bases[:1])[:, -1], atol=TOLERANCE)
    np.testing.assert_allclose(at_start[:, width:], states(model, reverse_complement(bases))[:, -1], atol=TOLERANCE)
    with pytest.raises(ValueError, match="position 41 lies beyond a sequence of 40 bases"):
        embed(model, [bases], "both_strands", position=41)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_long_sequences_are_read_in_stretches(model: StripedHyena2, pooling: str) -> None:
    """Each base from the stretch that has most before it, as reading that stretch alone gives it."""
    (bases,) = sequences(95)
    (found,) = embed(model, [bases], pooling, chunk=40, overlap=15, batch_tokens=100)
    # Stretches begin at 0, 25, 50, 75; after the first, 15 bases are context.
    pieces = [states(model, bases[0:40]), states(model, bases[25:65])[:, 15:]]
    pieces += [states(model, bases[50:90])[:, 15:], states(model, bases[75:95])[:, 15:]]
    whole = np.concatenate(pieces, axis=1)
    assert whole.shape[1] == 95
    turned = reverse_complement(bases)
    expected = {
        "mean": whole.mean(1),
        "max": whole.max(1),
        "all": whole,
        "first": whole[:, 0],
        "last": states(model, bases[55:])[:, -1],
        "both_strands": np.concatenate([states(model, bases[7:47])[:, -1], states(model, turned[8:48])[:, -1]], axis=1),
    }
    np.testing.assert_allclose(found, expected[pooling], atol=TOLERANCE)
    # One stretch that holds all is exact.
    (at_once,) = embed(model, [bases], pooling, chunk=95, overlap=94)
    (easily,) = embed(model, [bases], pooling, chunk=4000, overlap=0)
    np.testing.assert_array_equal(at_once, easily)


@given(
    st.integers(1, 300),
    st.integers(1, 60).flatmap(lambda chunk: st.tuples(st.just(chunk), st.integers(0, chunk - 1))),
    st.sampled_from(("mean", "all")),
)
def test_each_base_counts_once(length: int, chunks: tuple[int, int], pooling: str) -> None:
    chunk, overlap = chunks
    reader = Reader(pooling, chunk, overlap)
    found = list(reader.stretches(length))
    counted = [base for stretch in found for base in range(stretch.start + stretch.first, stretch.stop)]
    assert counted == list(range(length))
    assert [stretch.is_last for stretch in found] == [False] * (len(found) - 1) + [True]
    assert max(map(len, found)) <= chunk
    assert reader.tokens(length) >= len(found) * (max(map(len, found)) + 1)
    for stretch in found[1:]:
        assert stretch.first == overlap


def test_groups_do_not_depend_on_what_came_before(model: StripedHyena2) -> None:
    """Shards that begin at the border of a group are equal, bit for bit."""
    wanted, reader = sequences(*([50] * 10)), Reader("both_strands", 400)
    settings = {"layers": LAYERS, "batch_tokens": 4 * reader.tokens(50)}
    whole = [rows[0] for rows in embedding_rows(model, wanted, reader, **settings)]  # type: ignore[arg-type]
    part = [rows[0] for rows in embedding_rows(model, wanted[4:], reader, **settings)]  # type: ignore[arg-type]
    np.testing.assert_array_equal(whole[4:], part)


def test_an_overlap_that_leaves_nothing() -> None:
    with pytest.raises(ValueError, match="an overlap of 4 does not fit into chunks of 4"):
        Reader("mean", 4, 4)
