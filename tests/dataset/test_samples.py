from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.conftest import random_bases, write_token_file
from workflow.dataset.bases import TokenBases
from workflow.dataset.blending import Blend
from workflow.dataset.samples import TrainingSamples, validation_samples
from workflow.genome.alphabet import reverse_complement


def samples_of(files: list[TokenBases], weights: list[float] | None = None, **changes: object) -> TrainingSamples:
    settings = {"context_length": 10, "seed": 1, "reverse_complement": 0.5} | changes
    return TrainingSamples(files, weights or [1.0] * len(files), **settings)  # type: ignore[arg-type]


#: What the first version of this module drew from one file: runs of before must be reproduced.
FIRST_SAMPLES = [
    (0, 4, 10, False),
    (0, 84, 10, True),
    (0, 64, 10, True),
    (1, 15, 10, False),
    (0, 34, 10, True),
    (0, 24, 10, False),
    (0, 74, 10, False),
    (1, 25, 10, True),
    (1, 5, 10, False),
    (2, 0, 5, False),
    (0, 14, 10, True),
    (0, 44, 10, True),
    (0, 54, 10, False),
    (1, 3, 10, True),
    (0, 45, 10, True),
]


def test_one_file_gives_the_samples_of_before(tmp_path: Path) -> None:
    drawn = itertools.islice(samples_of([random_bases(tmp_path, [100, 37, 5])]).from_position(0), 15)
    assert [(s.document, s.start, s.length, s.reverse) for s in drawn] == FIRST_SAMPLES


@settings(max_examples=40)
@given(
    files=st.lists(
        st.tuples(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.floats(0.1, 5)), min_size=1, max_size=3
    ),
    context=st.integers(1, 25),
    count=st.integers(0, 60),
)
def test_samples_lie_inside_their_documents_and_the_cover_is_counted(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[list[int], float]], context: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    lengths, weights = zip(*files, strict=True)
    samples = samples_of(
        [random_bases(folder, held, seed) for seed, held in enumerate(lengths)], list(weights), context_length=context
    )
    seen = [[np.zeros(length, bool) for length in held] for held in lengths]
    for sample in itertools.islice(samples.from_position(0), count):
        length = lengths[sample.file][sample.document]
        assert sample.start >= 0
        assert sample.start + sample.length <= length
        assert sample.length == min(context, length)
        assert len(samples[sample]) == sample.length
        seen[sample.file][sample.document][sample.start : sample.start + sample.length] = True
    assert samples.bases_covered(count) == sum(int(document.sum()) for held in seen for document in held)
    assert samples.bases == sum(map(sum, lengths))


def test_a_run_can_be_taken_up_anywhere(tmp_path: Path) -> None:
    for files in ([[100, 37, 5]], [[100, 37, 5], [60], [8, 9, 30]]):
        held = [random_bases(tmp_path, lengths, seed) for seed, lengths in enumerate(files)]
        samples = samples_of(held, [3.0, 2.0, 1.0][: len(held)])
        whole = list(itertools.islice(samples.from_position(0), 60))
        for position in (0, 1, 13, 14, 40, 59):
            assert list(itertools.islice(samples.from_position(position), 60 - position)) == whole[position:]


def test_files_of_equal_samples_follow_one_another_as_in_megatron(tmp_path: Path) -> None:
    files = [random_bases(tmp_path, [20] * 5, seed) for seed in range(3)]
    drawn = [s.file for s in itertools.islice(samples_of(files, [5, 3, 2]).from_position(0), 200)]
    assert drawn == list(itertools.islice(Blend(np.array([5, 3, 2])).from_position(0), 200))


def test_weights_are_shares_of_the_bases_however_long_the_samples(tmp_path: Path) -> None:
    samples = samples_of([random_bases(tmp_path, [100] * 3), random_bases(tmp_path, [2] * 9, 1)], [0.25, 0.75])
    bases = np.zeros(2)
    for sample in itertools.islice(samples.from_position(0), 5000):
        bases[sample.file] += sample.length
    np.testing.assert_allclose(bases / bases.sum(), [0.25, 0.75], atol=0.01)
    assert np.median(samples.lengths) == 2
    assert set(samples.lengths) == {2, 10}


def test_files_have_random_numbers_of_their_own(tmp_path: Path) -> None:
    samples = samples_of([random_bases(tmp_path, [300], seed) for seed in (0, 1)])
    drawn = list(itertools.islice(samples.from_position(0), 40))
    first, second = ([(s.start, s.reverse) for s in drawn if s.file == file] for file in (0, 1))
    assert first != second


def test_every_base_is_seen_within_a_few_epochs(tmp_path: Path) -> None:
    samples = samples_of([random_bases(tmp_path, [95, 40, 12])])
    assert samples.bases_covered(400) == 95 + 40 + 12


def test_seed_and_strand(tmp_path: Path) -> None:
    held = [random_bases(tmp_path, [300])]
    assert not any(s.reverse for s in itertools.islice(samples_of(held, reverse_complement=0.0).from_position(0), 50))
    assert all(s.reverse for s in itertools.islice(samples_of(held, reverse_complement=1.0).from_position(0), 50))
    first, other = (list(itertools.islice(samples_of(held, seed=seed).from_position(0), 30)) for seed in (1, 2))
    assert first != other
    samples = samples_of(held)
    for sample in itertools.islice(samples.from_position(0), 30):
        forward = held[0].read(0, sample.start, sample.start + sample.length)
        np.testing.assert_array_equal(samples[sample], reverse_complement(forward) if sample.reverse else forward)


def test_tags_are_whole_and_beside_the_count(tmp_path: Path) -> None:
    """Two bars lie around every tag in a sample, so that a loss can leave out what is between them."""
    tag, bases = b"|d__Acta;p__Gata|", b"ACGTTGCAACGGA"
    document = b"".join(tag + bases for _ in range(20))
    tokens = write_token_file(tmp_path / "x", [document, bases])
    held = TokenBases(tokens, np.array([len(tag), 0]), len(tag) + len(bases))
    assert held.counts.tolist() == [20 * len(bases), len(bases)]
    samples = samples_of([held], context_length=30)
    assert samples.bases == 21 * len(bases)
    for sample in itertools.islice(samples.from_position(0), 100):
        parts = samples[sample].tobytes().split(b"|")
        assert set(parts[1::2]) <= {tag[1:-1]}
        assert sum(map(len, parts[::2])) == sample.length


def test_validation_samples_are_spread_and_do_not_overlap(tmp_path: Path) -> None:
    held = random_bases(tmp_path, [95, 7])
    whole = [held.read(0, 0, 95), held.read(1, 0, 7)]
    everything = validation_samples([held], [1.0], context_length=10, count=1000)
    np.testing.assert_array_equal(np.concatenate(everything), np.concatenate(whole))
    few = validation_samples([held], [1.0], context_length=10, count=3)
    assert len(few) == 3
    np.testing.assert_array_equal(few[0], whole[0][:10])
    np.testing.assert_array_equal(few[-1], whole[1])


def test_validation_samples_of_several_files(tmp_path: Path) -> None:
    files = [random_bases(tmp_path, [1000]), random_bases(tmp_path, [1000], 1), random_bases(tmp_path, [20], 2)]
    chosen = validation_samples(files, [0.5, 0.25, 0.25], context_length=10, count=40)
    assert len(chosen) == 20 + 10 + 2
    np.testing.assert_array_equal(chosen[0], files[0].read(0, 0, 10))
    np.testing.assert_array_equal(chosen[20], files[1].read(0, 0, 10))
    np.testing.assert_array_equal(np.concatenate(chosen[30:]), files[2].read(0, 0, 20))
