from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow.dataset.megatron import TokenFile, TokenWriter
from workflow.dataset.samples import TrainingSamples, validation_samples
from workflow.genome.alphabet import reverse_complement


def token_file(folder: Path, lengths: list[int]) -> TokenFile:
    rng = np.random.default_rng(0)
    with TokenWriter(folder / "tokens") as writer:
        for length in lengths:
            writer.add_document([np.frombuffer(b"ACGTacgt", np.uint8)[rng.integers(0, 8, length)]])
    return TokenFile(folder / "tokens")


def samples_of(tokens: TokenFile, **changes: object) -> TrainingSamples:
    settings = {"context_length": 10, "seed": 1, "reverse_complement": 0.5} | changes
    return TrainingSamples(tokens, **settings)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    context=st.integers(1, 25),
    count=st.integers(0, 60),
)
def test_samples_lie_inside_their_documents_and_the_cover_is_counted(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], context: int, count: int
) -> None:
    tokens = token_file(tmp_path_factory.mktemp("tokens"), lengths)
    samples = samples_of(tokens, context_length=context)
    seen = [np.zeros(length, bool) for length in lengths]
    for sample in itertools.islice(samples.from_position(0), count):
        assert sample.start >= 0
        assert sample.start + sample.length <= lengths[sample.document]
        assert sample.length == min(context, lengths[sample.document])
        seen[sample.document][sample.start : sample.start + sample.length] = True
    assert samples.bases_covered(count) == sum(int(document.sum()) for document in seen)
    assert samples.bases == sum(lengths)


def test_a_run_can_be_taken_up_anywhere(tmp_path: Path) -> None:
    samples = samples_of(token_file(tmp_path, [100, 37, 5]))
    whole = list(itertools.islice(samples.from_position(0), 60))
    for position in (0, 1, 13, 14, 40, 59):
        assert list(itertools.islice(samples.from_position(position), 60 - position)) == whole[position:]


def test_every_base_is_seen_within_a_few_epochs(tmp_path: Path) -> None:
    samples = samples_of(token_file(tmp_path, [95, 40, 12]))
    assert samples.bases_covered(400) == 95 + 40 + 12


def test_seed_and_strand(tmp_path: Path) -> None:
    tokens = token_file(tmp_path, [300])
    assert not any(s.reverse for s in itertools.islice(samples_of(tokens, reverse_complement=0.0).from_position(0), 50))
    assert all(s.reverse for s in itertools.islice(samples_of(tokens, reverse_complement=1.0).from_position(0), 50))
    first, other = (list(itertools.islice(samples_of(tokens, seed=seed).from_position(0), 30)) for seed in (1, 2))
    assert first != other
    samples = samples_of(tokens)
    for sample in itertools.islice(samples.from_position(0), 30):
        forward = np.asarray(tokens[0][sample.start : sample.start + sample.length])
        np.testing.assert_array_equal(samples[sample], reverse_complement(forward) if sample.reverse else forward)


def test_validation_samples_are_spread_and_do_not_overlap(tmp_path: Path) -> None:
    tokens = token_file(tmp_path, [95, 7])
    everything = validation_samples(tokens, context_length=10, count=1000)
    joined = np.concatenate(everything)
    np.testing.assert_array_equal(joined, np.concatenate([tokens[0][:-1], tokens[1][:-1]]))
    few = validation_samples(tokens, context_length=10, count=3)
    assert len(few) == 3
    np.testing.assert_array_equal(few[0], tokens[0][:10])
    np.testing.assert_array_equal(few[-1], tokens[1][:-1])
