from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workflow.backends.nvidia import predictions
from workflow.backends.nvidia.predictions import Predictions
from workflow.errors import InputError, ToolError
from workflow.striped_hyena.scoring import SequenceScore

#: What both generations of the tools wrote from one set of weights, and what they scored.
NVIDIA = Path(__file__).parents[2] / "data" / "nvidia"
NEMO2, MBRIDGE = "nemo2-2.7.1", "mbridge-2026.05"
NAMES = ["zeta", "alpha", "mid"]
BASES = [b"ACGTACGTAA", b"acgtNNACGTACGTACGTACG", b"TTTTT"]
SEQUENCES = [np.frombuffer(bases, np.uint8) for bases in BASES]
LENGTHS = [len(bases) for bases in BASES]
#: Two computations of bfloat16 logits.
ROUNDING = 0.02


def written(version: str, mode: str, *, begin_token: bool) -> Predictions:
    return Predictions(NVIDIA / version / mode, NAMES, LENGTHS, begin_token=begin_token)


def scores_of(version: str, mode: str, *, begin_token: bool) -> list[SequenceScore]:
    return list(written(version, mode, begin_token=begin_token).scores(SEQUENCES.__getitem__))


def test_the_fasta_is_that_which_was_scored() -> None:
    records = (NVIDIA / "input.fasta").read_text().split(">")[1:]
    assert [record.split()[0] for record in records] == NAMES
    assert [record.split("\n")[1].encode() for record in records] == BASES


# ---------------------------------------------------------------- what the tools wrote


@pytest.mark.parametrize("version", [NEMO2, MBRIDGE])
@pytest.mark.parametrize(
    ("mode", "kind", "begin_token"),
    [
        ("predict_epoch_logits", "logits", True),
        ("predict_batch_subdir", "logits", False),
        ("predict_lp_per_token", "per_token", False),
        ("predict_lp_mean", "collapsed", False),
    ],
)
def test_the_kind_is_told_from_the_files(version: str, mode: str, kind: str, begin_token: bool) -> None:
    assert written(version, mode, begin_token=begin_token).kind == kind


@pytest.mark.parametrize("version", [NEMO2, MBRIDGE])
def test_scores_are_log_probabilities_among_all_tokens(version: str) -> None:
    file = torch.load(
        NVIDIA / version / "predict_epoch_logits" / "predictions__rank_0__dp_rank_0.pt", weights_only=True
    )
    logprobs = file["token_logits"].double().log_softmax(-1).numpy()
    # The tool numbers sorted names: alpha, mid, zeta.
    for row, score, bases in zip(
        (2, 0, 1), scores_of(version, "predict_epoch_logits", begin_token=True), BASES, strict=True
    ):
        expected = logprobs[row, : len(bases)]
        np.testing.assert_allclose(score.logprobs, expected[:, list(b"ACGT")], atol=1e-5)
        observed = [expected[i, base] for i, base in enumerate(bases.upper()) if base in b"ACGT"]
        assert (score.n, score.total) == (len(observed), pytest.approx(sum(observed), abs=1e-4))
        assert score.outside_acgt == pytest.approx(1 - np.exp(expected[:, list(b"ACGT")]).sum(-1).mean(), abs=1e-6)


@pytest.mark.parametrize("version", [NEMO2, MBRIDGE])
@pytest.mark.parametrize("mode", ["predict_batch_logits", "predict_batch_subdir"])
def test_without_a_begin_token_the_first_base_has_no_score(version: str, mode: str) -> None:
    for score, bases in zip(scores_of(version, mode, begin_token=False), BASES, strict=True):
        assert np.isnan(score.logprobs[0]).all()
        assert np.isfinite(score.logprobs[1:]).all()
        assert score.n == sum(base in b"ACGT" for base in bases[1:].upper())
        assert np.isfinite([score.total, score.outside_acgt]).all()


@pytest.mark.parametrize(
    ("mode", "begin_token"),
    [("predict_epoch_logits", True), ("predict_batch_logits", False), ("predict_batch_subdir", False)],
)
def test_both_generations_score_alike(mode: str, begin_token: bool) -> None:
    pairs = zip(
        scores_of(NEMO2, mode, begin_token=begin_token), scores_of(MBRIDGE, mode, begin_token=begin_token), strict=True
    )
    for nemo2, mbridge in pairs:
        np.testing.assert_allclose(nemo2.logprobs, mbridge.logprobs, atol=ROUNDING)
        assert nemo2.n == mbridge.n


def test_a_begin_token_shifts_nothing_but_the_first_bases() -> None:
    """Far from the start the model hardly notices it, so that a slip by one base would show."""
    with_token, without = (
        scores_of(MBRIDGE, mode, begin_token=begin_token)[1].logprobs[8:]
        for mode, begin_token in (("predict_epoch_logits", True), ("predict_batch_logits", False))
    )
    shifted = np.abs(with_token[1:] - without[:-1]).max()
    assert np.abs(with_token - without).max() < 0.1 * shifted


@pytest.mark.parametrize("version", [NEMO2, MBRIDGE])
def test_per_token_values_are_those_of_the_logits(version: str) -> None:
    per_token = list(written(version, "predict_lp_per_token", begin_token=False).observed_logprobs())
    for values, score, bases in zip(
        per_token, scores_of(version, "predict_batch_logits", begin_token=False), BASES, strict=True
    ):
        codes = np.array(["ACGT".find(chr(base)) for base in bases.upper()])
        known = np.flatnonzero(codes >= 0)
        assert len(values) == len(bases)
        np.testing.assert_allclose(values[known], score.logprobs[known, codes[known]], atol=ROUNDING)


@pytest.mark.parametrize("version", [NEMO2, MBRIDGE])
def test_sequence_scores_of_all_modes_agree(version: str) -> None:
    mean = written(version, "predict_lp_mean", begin_token=False).sequence_scores("mean")
    per_token = written(version, "predict_lp_per_token", begin_token=False).sequence_scores()
    assert mean["sequence_id"].tolist() == NAMES
    assert mean["n"].tolist() == per_token["n"].tolist() == [length - 1 for length in LENGTHS]
    for column in ("sum", "mean"):
        np.testing.assert_allclose(mean[column], per_token[column], rtol=1e-3)
    with_token = written(version, "predict_lp_sum_bos", begin_token=True).sequence_scores("sum")
    of_logits = scores_of(version, "predict_epoch_logits", begin_token=True)
    assert with_token["n"].tolist() == LENGTHS
    np.testing.assert_allclose(with_token["mean"] * LENGTHS, with_token["sum"])
    # alpha holds two N, which the tool counts and a score does not.
    for sequence in (0, 2):
        assert with_token["sum"][sequence] == pytest.approx(of_logits[sequence].total, rel=2e-3)


def test_only_bases_count_where_the_sequences_are_known() -> None:
    found = written(MBRIDGE, "predict_lp_per_token_bos", begin_token=True).sequence_scores(fetch=SEQUENCES.__getitem__)
    of_logits = scores_of(MBRIDGE, "predict_epoch_logits", begin_token=True)
    assert found["n"].tolist() == [score.n for score in of_logits] == [10, 19, 5]
    np.testing.assert_allclose(found["sum"], [score.total for score in of_logits], rtol=2e-3)


def test_embeddings_are_those_of_the_bases() -> None:
    file = torch.load(NVIDIA / MBRIDGE / "predict_emb_last" / "predictions__rank_0__dp_rank_0.pt", weights_only=True)
    found = list(written(MBRIDGE, "predict_emb_last", begin_token=False).embeddings())
    for row, states, length in zip((2, 0, 1), found, LENGTHS, strict=True):
        np.testing.assert_array_equal(states, file["hidden_embeddings"][row, :length].numpy())


# ---------------------------------------------------------------- files made by rule


class Made:
    """Prediction files of a made-up run: each value follows from the sequence and the position."""

    def __init__(self, folder: Path, lengths: list[int], *, begin_token: bool = True, tokens: bool = False) -> None:
        self.folder, self.lengths, self.begin_token, self.tokens = folder, lengths, begin_token, tokens
        rng = np.random.default_rng(0)
        self.names = [f"s{number}" for number in range(len(lengths))]
        rng.shuffle(self.names)
        self.bases = [np.frombuffer(b"ACGTNacgt", np.uint8)[rng.integers(0, 9, length)] for length in lengths]
        self.logits = [torch.from_numpy(rng.normal(size=(length + 1, 512)).astype(np.float32)) for length in lengths]
        folder.mkdir(parents=True)
        self.index = {name: number for number, name in enumerate(sorted(self.names))}
        (folder / "seq_idx_map.json").write_text(json.dumps(self.index))

    def batch(self, sequences: list[int], extra: int = 0) -> dict[str, torch.Tensor]:
        """Some sequences as the tool writes them, padded with values that mean nothing."""
        begin = int(self.begin_token)
        width = max(self.lengths[sequence] for sequence in sequences) + begin + extra
        logits, mask = (
            torch.full((len(sequences), width, 512), 7.0),
            torch.zeros(len(sequences), width, dtype=torch.int64),
        )
        tokens = torch.zeros(len(sequences), width, dtype=torch.int64)
        for row, sequence in enumerate(sequences):
            length = self.lengths[sequence]
            logits[row, : length + begin] = self.logits[sequence][1 - begin :]
            mask[row, begin : begin + length] = 1
            upper = np.frombuffer(self.bases[sequence].tobytes().upper(), np.uint8)
            tokens[row, begin : begin + length] = torch.from_numpy(upper.astype(np.int64))
        seq_idx = torch.tensor([self.index[self.names[sequence]] for sequence in sequences])
        batch = {"token_logits": logits, "pad_mask": mask, "seq_idx": seq_idx}
        return batch | ({"tokens": tokens} if self.tokens else {})

    def write(self, place: str, sequences: list[int], **changed: torch.Tensor) -> Path:
        path = self.folder / place
        path.parent.mkdir(exist_ok=True)
        torch.save(self.batch(sequences) | changed, path)
        return path

    def read(self, **settings: int) -> Predictions:
        return Predictions(self.folder, self.names, self.lengths, begin_token=self.begin_token, **settings)

    def check(self) -> None:
        """All scores are as made, in the order of the FASTA."""
        found = list(self.read().scores(self.bases.__getitem__))
        assert len(found) == len(self.lengths)
        for score, logits, bases in zip(found, self.logits, self.bases, strict=True):
            expected = logits.double().log_softmax(-1)[: len(bases), list(b"ACGT")].numpy()
            unscored = 0 if self.begin_token else 1
            np.testing.assert_allclose(score.logprobs[unscored:], expected[unscored:], atol=1e-5)
            codes = np.array(["ACGT".find(chr(base).upper()) for base in bases])[unscored:]
            observed = expected[unscored:][np.arange(len(codes)), codes][codes >= 0]
            assert score.n == len(observed)
            assert score.total == pytest.approx(observed.sum(), abs=1e-3)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    return lambda lengths, **settings: Made(tmp_path / "predictions", lengths, **settings)


@pytest.mark.parametrize("begin_token", [True, False])
@pytest.mark.parametrize("tokens", [True, False])
def test_ranks_batches_and_sub_folders(make: Callable[..., Made], begin_token: bool, tokens: bool) -> None:
    made = make([5, 9, 1, 12, 7, 3, 8, 2], begin_token=begin_token, tokens=tokens)
    made.write("predictions__rank_0__dp_rank_0__batch_0.pt", [6, 0], batch_idx=torch.tensor([0]))
    made.write("predictions__rank_1__dp_rank_1__batch_0.pt", [3], batch_idx=torch.tensor([0]))
    made.write("subdir_2/predictions__rank_0__dp_rank_0__batch_1.pt", [1, 7], batch_idx=torch.tensor([1]))
    made.write("subdir_2/predictions__rank_1__dp_rank_1__batch_1.pt", [5, 2, 4], batch_idx=torch.tensor([1]))
    made.check()


def test_the_names_of_2_6_3(make: Callable[..., Made]) -> None:
    made = make([5, 9, 4])
    made.write("predictions__rank_0.pt", [2, 1])
    made.write("predictions__rank_3.pt", [0])
    made.check()


def test_many_alternating_files_are_read_a_few_at_a_time(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_CHUNK", 3)
    monkeypatch.setattr(predictions, "_MOST_OPEN", 2)
    monkeypatch.setattr(predictions, "_MOST_MAPPED", 20_000)
    made = make([7, 10, 3, 8, 9, 6, 4, 5, 2, 1])
    for file in range(5):
        made.write(f"predictions__rank_{file}__dp_rank_{file}.pt", [file, 9 - file])
    made.check()


@given(st.data())
def test_any_deal_of_sequences_gives_the_same_scores(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    made = Made(
        tmp_path_factory.mktemp("deal") / "p",
        lengths,
        begin_token=data.draw(st.booleans()),
        tokens=data.draw(st.booleans()),
    )
    order = data.draw(st.permutations(range(len(lengths))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(lengths)), max_size=3)) | {len(lengths)})
    for file, (start, stop) in enumerate(zip([0, *cuts], cuts, strict=False)):
        made.write(f"predictions__rank_{file}__dp_rank_{file}.pt", list(order[start:stop]))
    made.check()


def test_rows_that_fill_up_a_batch_are_counted(make: Callable[..., Made]) -> None:
    made = make([5, 9, 4])
    made.write("predictions__rank_0__dp_rank_0.pt", [0, 1])
    rounded = made.batch([2, 0])
    rounded["token_logits"][1] = rounded["token_logits"][1].bfloat16().float()
    torch.save(rounded, made.folder / "predictions__rank_1__dp_rank_1.pt")
    assert made.read().duplicates == 1
    made.check()


def test_a_single_base_without_a_begin_token_has_nothing_to_score(make: Callable[..., Made]) -> None:
    made = make([1, 4], begin_token=False)
    made.write("predictions__rank_0__dp_rank_0.pt", [0, 1])
    score = next(made.read().scores(made.bases.__getitem__))
    assert (score.n, score.total) == (0, 0.0)
    assert np.isnan(score.logprobs).all()
    assert np.isnan(score.outside_acgt)


def test_a_model_from_scratch_may_know_fewer_tokens(make: Callable[..., Made]) -> None:
    made = make([6])
    logits = made.batch([0])["token_logits"][..., :256].clone()
    made.write("predictions__rank_0__dp_rank_0.pt", [0], token_logits=logits)
    (score,) = made.read().scores(made.bases.__getitem__)
    np.testing.assert_allclose(score.logprobs, logits[0, :6].log_softmax(-1)[:, list(b"ACGT")].numpy(), atol=1e-5)


# ---------------------------------------------------------------- log-probabilities made by rule


def per_token_file(folder: Path, values: list[list[float]], mask: list[list[bool]] | None = None) -> Predictions:
    folder.mkdir()
    names = [f"s{row}" for row in range(len(values))]
    (folder / "seq_idx_map.json").write_text(json.dumps({name: row for row, name in enumerate(names)}))
    content = {"log_probs_seqs": torch.tensor(values), "seq_idx": torch.arange(len(values))}
    if mask is not None:
        content["loss_mask"] = torch.tensor(mask)
    torch.save(content, folder / "predictions__rank_0__dp_rank_0.pt")
    return Predictions(folder, names, [4, 2][: len(values)], begin_token=False)


def test_padding_is_no_perfect_prediction(tmp_path: Path) -> None:
    table = per_token_file(tmp_path / "p", [[-1.0, -2.0, -3.0], [-5.0, 0.0, -0.0]]).sequence_scores()
    assert table.to_dict("list") == {
        "sequence_id": ["s0", "s1"],
        "n": [3, 1],
        "sum": [-6.0, -5.0],
        "mean": [-2.0, -5.0],
    }


def test_a_perfect_prediction_is_no_padding(tmp_path: Path) -> None:
    table = per_token_file(tmp_path / "p", [[-1.0, 0.0, -3.0], [-5.0, 0.0, 0.0]]).sequence_scores()
    assert table["n"].tolist() == [3, 1]
    assert table["mean"].tolist() == pytest.approx([-4 / 3, -5])


@pytest.mark.parametrize(
    ("values", "mask", "sequence"),
    [
        ([[-1.0, -2.0, -3.0], [-5.0, -1.0, 0.0]], None, "s1"),
        ([[-1.0, -2.0], [-5.0, 0.0]], None, "s0"),
        ([[-1.0, -2.0, -3.0], [-5.0, 0.0, 0.0]], [[True, True, False], [True, False, False]], "s0"),
        ([[-1.0, -2.0, -3.0], [-5.0, -9.0, 0.0]], [[True, True, True], [True, True, False]], "s1"),
    ],
)
def test_per_token_values_must_fit_the_lengths(
    tmp_path: Path, values: list[list[float]], mask: list[list[bool]] | None, sequence: str
) -> None:
    with pytest.raises(ToolError, match=rf"sequence {sequence} does not have \d scored positions"):
        per_token_file(tmp_path / "p", values, mask).sequence_scores()


def test_collapsed_values_are_sums_or_means(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "seq_idx_map.json").write_text('{"a": 0, "b": 1, "c": 2}')
    content = {"log_probs_seqs": torch.tensor([-6.0, -4.0, float("nan")]), "seq_idx": torch.tensor([0, 1, 2])}
    torch.save(content, folder / "predictions__rank_0__dp_rank_0.pt")
    # One base without a begin token leaves nothing to predict, whatever the tool writes.
    found = Predictions(folder, ["b", "a", "c"], [3, 4, 1], begin_token=False)
    sums, means = found.sequence_scores("sum"), found.sequence_scores("mean")
    assert sums["n"].tolist() == [2, 3, 0]
    assert sums["sum"].tolist() == [-4, -6, 0]
    np.testing.assert_array_equal(sums["mean"], [-2, -2, np.nan])
    assert means["sum"].tolist() == [-8, -18, 0]
    np.testing.assert_array_equal(means["mean"], [-4, -6, np.nan])
    content["log_probs_seqs"][1] = 0
    torch.save(content, folder / "predictions__rank_0__dp_rank_0.pt")
    with pytest.raises(ToolError, match="sequence b has a log-probability of 0"):
        Predictions(folder, ["b", "a", "c"], [3, 4, 1], begin_token=False).sequence_scores("sum")


# ---------------------------------------------------------------- faults


def good(make: Callable[..., Made]) -> Made:
    """Four sequences on two ranks."""
    made = make([5, 9, 4, 6], tokens=True)
    made.write("predictions__rank_0__dp_rank_0.pt", [0, 1])
    made.write("predictions__rank_1__dp_rank_1.pt", [2, 3])
    return made


def missing_rank(made: Made) -> str:
    (made.folder / "predictions__rank_1__dp_rank_1.pt").unlink()
    return rf"lacks the sequence {made.names[2]} and 1 others of 4; there are files of rank 0"


def no_files(made: Made) -> str:
    for path in made.folder.glob("*.pt"):
        path.unlink()
    return "holds no predictions"


def cut_short(made: Made) -> str:
    path = made.folder / "predictions__rank_1__dp_rank_1.pt"
    path.write_bytes(path.read_bytes()[:-5000])
    return r"predictions__rank_1__dp_rank_1\.pt is cut short"


def emptied(made: Made) -> str:
    (made.folder / "predictions__rank_1__dp_rank_1.pt").write_bytes(b"")
    return r"predictions__rank_1__dp_rank_1\.pt is cut short"


def code_inside(made: Made) -> str:
    # Of a class that no package declares safe, as megatron-core does with those of pathlib.
    content = {"token_logits": Fraction(1, 3), "seq_idx": torch.tensor([0])}
    torch.save(content, made.folder / "predictions__rank_1__dp_rank_1.pt")
    return r"predictions__rank_1__dp_rank_1\.pt is damaged \(UnpicklingError\)"


def a_list(made: Made) -> str:
    torch.save([1, 2], made.folder / "predictions__rank_1__dp_rank_1.pt")
    return r"predictions__rank_1__dp_rank_1\.pt does not hold predictions"


def without_logits(made: Made) -> str:
    torch.save({"seq_idx": torch.tensor([0])}, made.folder / "predictions__rank_0__dp_rank_0.pt")
    return r"predictions__rank_0__dp_rank_0\.pt does not hold what predictions have, but seq_idx"


def without_mask(made: Made) -> str:
    batch = made.batch([2, 3])
    del batch["pad_mask"]
    torch.save(batch, made.folder / "predictions__rank_1__dp_rank_1.pt")
    return r"predictions__rank_1__dp_rank_1\.pt does not hold what predictions have"


def another_kind(made: Made) -> str:
    content = {"log_probs_seqs": torch.tensor([-1.0, -1.0]), "seq_idx": torch.tensor([0, 1])}
    torch.save(content, made.folder / "predictions__rank_1__dp_rank_1.pt")
    return r"predictions__rank_1__dp_rank_1\.pt holds other keys than predictions__rank_0"


def uneven(made: Made) -> str:
    made.write("predictions__rank_1__dp_rank_1.pt", [2, 3], seq_idx=torch.tensor([0, 1, 2]))
    return "holds token_logits and seq_idx of different shapes"


def narrow_vocabulary(made: Made) -> str:
    for rank, sequences in enumerate(([0, 1], [2, 3])):
        logits = made.batch(sequences)["token_logits"][..., :300].clone()
        made.write(f"predictions__rank_{rank}__dp_rank_{rank}.pt", sequences, token_logits=logits)
    return "holds logits of 300 tokens, an Evo 2 model knows 512 or 256"


def unknown_number(made: Made) -> str:
    made.write("predictions__rank_1__dp_rank_1.pt", [2, 3], seq_idx=torch.tensor([7, 1]))
    return r"predictions__rank_1__dp_rank_1\.pt holds the unknown sequence number 7 of 4"


def doubled_with_other_values(made: Made) -> str:
    logits = made.batch([0])["token_logits"] + 3 * torch.randn(512)
    made.write("predictions__rank_2__dp_rank_2.pt", [0], token_logits=logits)
    return rf"sequence {made.names[0]} is in predictions__rank_2__dp_rank_2\.pt as well, with other values"


def no_map(made: Made) -> str:
    (made.folder / "seq_idx_map.json").unlink()
    return r"seq_idx_map\.json does not exist"


def damaged_map(made: Made) -> str:
    (made.folder / "seq_idx_map.json").write_text('{"s0": 0')
    return r"seq_idx_map\.json, line 1: not valid JSON"


def map_with_a_gap(made: Made) -> str:
    (made.folder / "seq_idx_map.json").write_text('{"s0": 0, "s1": 1, "s2": 2, "s3": 5}')
    return r"seq_idx_map\.json does not number the sequences from 0"


def map_of_words(made: Made) -> str:
    (made.folder / "seq_idx_map.json").write_text('{"s0": "a", "s1": 1, "s2": 2, "s3": 3}')
    return r"seq_idx_map\.json does not number the sequences from 0"


def map_of_others(made: Made) -> str:
    (made.folder / "seq_idx_map.json").write_text('{"s0": 0, "s1": 1, "s2": 2, "other": 3}')
    return "does not know the sequence s3 of the FASTA"


def map_with_more(made: Made) -> str:
    (made.folder / "seq_idx_map.json").write_text('{"s0": 0, "s1": 1, "s2": 2, "s3": 3, "s4": 4}')
    return "knows the sequence s4, which is not in the FASTA"


def one_name_twice(made: Made) -> str:
    made.names[1] = made.names[0]
    return f"two sequences are called {made.names[0]}"


def longer_fasta(made: Made) -> str:
    made.lengths[2] += 1
    made.bases[2] = np.append(made.bases[2], made.bases[2][:1])
    return rf"sequence {made.names[2]} has 4 valid positions and 5 bases in the FASTA"


def other_letters(made: Made) -> str:
    made.bases[3] = np.frombuffer(b"ACGTAC", np.uint8)
    return rf"sequence {made.names[3]} was predicted from other letters"


def hole_in_the_mask(made: Made) -> str:
    mask = torch.cat([made.batch([2, 3])["pad_mask"], torch.ones(2, 1, dtype=torch.int64)], dim=1)
    mask[1, 3] = 0
    logits = torch.randn(*mask.shape, 512)
    tokens = torch.zeros_like(mask)
    made.write("predictions__rank_1__dp_rank_1.pt", [2, 3], pad_mask=mask, token_logits=logits, tokens=tokens)
    made.lengths[2] += 1
    made.bases[2] = np.append(made.bases[2], made.bases[2][:1])
    return rf"sequence {made.names[2]} has padding between its bases"


def without_begin_token(made: Made) -> str:
    mask = made.batch([2, 3])["pad_mask"].roll(-1, dims=1)
    made.write("predictions__rank_1__dp_rank_1.pt", [2, 3], pad_mask=mask)
    return rf"sequence {made.names[2]} was predicted without a begin token"


def with_begin_token(made: Made) -> str:
    made.begin_token = False
    return rf"sequence {made.names[0]} was predicted with a begin token"


def not_finite(made: Made) -> str:
    logits = made.batch([2, 3])["token_logits"]
    logits[1, 2, 300] = float("nan")
    made.write("predictions__rank_1__dp_rank_1.pt", [2, 3], token_logits=logits)
    return rf"sequence {made.names[3]} has values that are not finite"


FAULTS = [
    missing_rank,
    no_files,
    cut_short,
    emptied,
    code_inside,
    a_list,
    without_logits,
    without_mask,
    another_kind,
    uneven,
    narrow_vocabulary,
    unknown_number,
    doubled_with_other_values,
    no_map,
    damaged_map,
    map_with_a_gap,
    map_of_words,
    map_of_others,
    map_with_more,
    one_name_twice,
    longer_fasta,
    other_letters,
    hole_in_the_mask,
    without_begin_token,
    with_begin_token,
    not_finite,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_told_in_one_line(make: Callable[..., Made], fault: Callable[[Made], str]) -> None:
    made = good(make)
    message = fault(made)
    with pytest.raises(InputError) as caught:
        list(made.read().scores(made.bases.__getitem__))
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_files_without_a_fault_are_read(make: Callable[..., Made]) -> None:
    good(make).check()


def test_every_cut_is_noticed(make: Callable[..., Made]) -> None:
    made = make([3])
    path = made.write("predictions__rank_0__dp_rank_0.pt", [0])
    whole = path.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 40, dtype=int):
        path.write_bytes(whole[:size])
        with pytest.raises(ToolError, match="is cut short"):
            made.read()


@pytest.mark.parametrize(
    ("version", "mode"),
    [(NEMO2, "predict_batch_logits"), (NEMO2, "predict_lp_per_token"), (MBRIDGE, "predict_lp_per_token")],
)
def test_positions_of_context_parallel_ranks_are_refused(version: str, mode: str) -> None:
    with pytest.raises(ToolError, match=r"shuffled order: predict with parallel\.context=1"):
        Predictions(NVIDIA / version / mode, NAMES, LENGTHS, begin_token=False, context_parallel=2)


@pytest.mark.parametrize(("version", "mode"), [(NEMO2, "predict_lp_mean"), (MBRIDGE, "predict_batch_logits")])
def test_what_has_no_order_or_a_checked_one_is_read(version: str, mode: str) -> None:
    found = Predictions(NVIDIA / version / mode, NAMES, LENGTHS, begin_token=False, context_parallel=2)
    assert found.names == NAMES


def test_another_kind_than_asked_for_is_refused() -> None:
    found = written(NEMO2, "predict_lp_mean", begin_token=False)
    with pytest.raises(ToolError, match="predictions of the kind collapsed, not logits"):
        list(found.scores(SEQUENCES.__getitem__))
    with pytest.raises(ToolError, match="predictions of the kind collapsed, not embeddings"):
        list(found.embeddings())


# ---------------------------------------------------------------- memory

_READ_LARGE = """
import sys
from pathlib import Path
import numpy as np
from workflow.backends.nvidia.predictions import Predictions

def peak():
    # Not getrusage: its peak is inherited from the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))

folder, rows, length = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = [f"{row:03d}" for row in range(rows)]
bases = np.full(length, ord("A"), np.uint8)
before = peak()
for score in Predictions(folder, names, [length] * rows, begin_token=True).scores(lambda i: bases):
    assert score.n == length
print(peak() - before)
"""


def test_a_large_file_never_is_in_memory(tmp_path: Path) -> None:
    """300 MB of logits, as one file of the epoch mode."""
    rows, length = 30, 4881
    logits = torch.zeros(rows, length + 1, 512)
    mask = torch.ones(rows, length + 1, dtype=torch.int64)
    mask[:, 0] = 0
    content = {"token_logits": logits, "pad_mask": mask, "seq_idx": torch.arange(rows)}
    torch.save(content, tmp_path / "predictions__rank_0__dp_rank_0.pt")
    (tmp_path / "seq_idx_map.json").write_text(json.dumps({f"{row:03d}": row for row in range(rows)}))
    assert (tmp_path / "predictions__rank_0__dp_rank_0.pt").stat().st_size > 3e8
    command = [sys.executable, "-c", _READ_LARGE, str(tmp_path), str(rows), str(length)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100
