from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.per_base import stream as module
from evaluation.per_base.classes import NO_CLASS, ClassTrack
from evaluation.per_base.stream import Chunk, stream
from workflow.artifacts import InputError, PerBaseScores

Store = Callable[..., PerBaseScores]
EVEN = np.full((4, 4), np.log(0.25))


class Even:
    """A baseline that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, list[int], slice]] = []

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        self.asked.append((bases.tobytes(), starts.tolist(), rows))
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def only(chunks: list[Chunk]) -> Chunk:
    (chunk,) = chunks
    return chunk


def test_what_a_piece_holds(tmp_path: Path, store: Store) -> None:
    logprobs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 4))
    baseline = Even()
    found = only(list(stream({"base": store(tmp_path, [logprobs, EVEN], [b"AcgN", b"TTtt"])}, {"markov": baseline})))
    assert (found.rows, found.starts.tolist()) == (slice(0, 2), [0, 4, 8])
    assert found.codes.tolist() == [0, 1, 2, 4, 3, 3, 3, 3]
    assert found.scored.tolist() == [True, True, True, False] + [True] * 4
    assert found.repeat.tolist() == [False, True, True, False, False, False, True, True]
    assert found.classes is None
    assert (list(found.models), found.reverse) == (["base", "markov"], {})
    assert found.models["base"].logprobs.dtype == np.float16
    np.testing.assert_allclose(found.models["base"].nll[:3], -logprobs[range(3), range(3)], atol=2e-3)
    assert np.isnan(found.models["base"].nll[3])
    assert found.models["markov"].nll[0] == pytest.approx(np.log(4))
    assert baseline.asked == [(b"AcgNTTtt", [0, 4], slice(0, 2))]


def test_a_base_that_one_model_lacks_is_scored_by_none(tmp_path: Path, store: Store) -> None:
    first_missing = EVEN.copy()
    first_missing[0] = np.nan
    base = store(tmp_path / "base", [first_missing], [b"ACGT"])
    adapted = store(tmp_path / "adapted", [EVEN], [b"ACGT"])
    found = only(list(stream({"base": base, "adapted": adapted})))
    assert found.scored.tolist() == [False, True, True, True]
    assert np.isnan(found.models["adapted"].nll[0])
    # Read backwards, the first base that is read is the window's last.
    both = store(tmp_path / "both", [EVEN], [b"ACGT"], reverse=[first_missing])
    assert only(list(stream({"base": base, "adapted": both}))).scored.tolist() == [False, True, True, False]


def test_reverse_predictions_are_turned_to_the_window(tmp_path: Path, store: Store) -> None:
    # Read on the other strand the window AACG is CGTT: certain about each of these.
    certain = np.full((4, 4), -20.0)
    certain[range(4), [1, 2, 3, 3]] = -0.5
    found = only(list(stream({"base": store(tmp_path, [EVEN], [b"AACG"], reverse=[certain])})))
    assert found.reverse["base"].nll.tolist() == [0.5] * 4
    assert found.models["base"].nll == pytest.approx([np.log(4)] * 4, abs=1e-3)


def test_classes_follow_the_windows(tmp_path: Path, store: Store, track: Callable[..., Path]) -> None:
    prepared = track(tmp_path / "prepare", np.arange(12) % 12, {"s": 12})
    opened = store(tmp_path, [EVEN] * 3, [b"ACGT"] * 3, strand=["+", "-", "+"], start=[1, 4, 0], end=[5, 8, 12])
    found = only(list(stream({"base": opened}, classes=ClassTrack(prepared))))
    assert found.classes is not None
    assert found.classes.tolist() == [1, 2, 3, 4, 7, 6, 5, 4, *[NO_CLASS] * 4]


def test_windows_stay_whole_and_a_long_one_stands_alone(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_POSITIONS", 4)
    lengths = [2, 2, 9, 1, 1, 1]
    opened = store(tmp_path, [np.full((n, 4), np.log(0.25)) for n in lengths], [b"A" * n for n in lengths])
    chunks = list(stream({"base": opened}))
    assert [chunk.rows for chunk in chunks] == [slice(0, 2), slice(2, 3), slice(3, 6)]
    assert [chunk.starts.tolist() for chunk in chunks] == [[0, 2, 4], [0, 9], [0, 1, 2, 3]]


def test_an_unfinished_pass_leaves_no_thread(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_POSITIONS", 4)
    before = threading.active_count()
    chunks = stream({"base": store(tmp_path, [EVEN] * 50, [b"ACGT"] * 50)})
    assert next(chunks).rows == slice(0, 1)
    chunks.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_different_windows_cannot_be_paired(tmp_path: Path, store: Store) -> None:
    base = store(tmp_path / "base", [EVEN], [b"ACGT"])
    for number, other in enumerate(
        [([EVEN], [b"ACGA"], {}), ([EVEN] * 2, [b"ACGT"] * 2, {}), ([EVEN], [b"ACGT"], {"seqid": "t"})]
    ):
        adapted = store(tmp_path / f"adapted{number}", other[0], other[1], **other[2])
        with pytest.raises(InputError, match=r"base and .*adapted\d hold different windows"):
            list(stream({"base": base, "adapted": adapted}))


@pytest.mark.parametrize("name", ["logprobs.npy", "logprobs_reverse.npy"])
def test_logits_are_refused(tmp_path: Path, store: Store, name: str) -> None:
    logits = np.full((4, 4), 0.5)
    forward, backward = (logits, EVEN) if name == "logprobs.npy" else (EVEN, logits)
    with pytest.raises(InputError, match=rf"{name}: the probabilities of A, C, G, T add up to more than 1"):
        list(stream({"base": store(tmp_path, [forward], [b"ACGT"], reverse=[backward])}))


def test_rounding_to_16_bits_is_no_fault(tmp_path: Path, store: Store) -> None:
    logprobs = np.log(np.random.default_rng(1).dirichlet(np.full(4, 0.3), 4000).clip(1e-6))
    logprobs -= np.log(np.exp(logprobs).sum(axis=1, keepdims=True))
    assert only(list(stream({"base": store(tmp_path, [logprobs], [b"A" * 4000])}))).scored.all()


def test_probability_zero_of_what_is_there_is_refused(tmp_path: Path, store: Store) -> None:
    impossible = EVEN.copy()
    impossible[2] = [0, -np.inf, -np.inf, -np.inf]
    with pytest.raises(InputError, match="window w1 has probability 0"):
        list(stream({"base": store(tmp_path, [EVEN, impossible], [b"ACGT", b"ACGT"])}))
    assert only(list(stream({"base": store(tmp_path, [EVEN, impossible], [b"ACGT", b"ACAT"])}))).scored.all()


def test_probability_zero_in_the_other_direction_names_its_file(tmp_path: Path, store: Store) -> None:
    impossible = EVEN.copy()
    impossible[2] = [0, -np.inf, -np.inf, -np.inf]
    with pytest.raises(InputError, match=r"logprobs_reverse\.npy: an observed base of window w0 has probability 0"):
        list(stream({"base": store(tmp_path, [EVEN], [b"ACGT"], reverse=[impossible])}))
