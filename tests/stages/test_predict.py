from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.stages.conftest import Configure
from workflow.artifacts import PerBaseScores
from workflow.backends import SequenceSet
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.genome.alphabet import reverse_complement
from workflow.genome.fasta import sequence_lengths
from workflow.stages.context import StageContext
from workflow.stages.predict import predict
from workflow.stages.readings import forgetting_files
from workflow.striped_hyena import load_checkpoint, save_checkpoint


def context(configure: Configure, run: Path, out: Path, *overrides: str) -> StageContext:
    config = configure("train=none", *overrides)
    out.mkdir()
    return StageContext(config, out, run, GateLog(asdict(config.gates)))


def test_scores_agree_with_the_stored_probabilities(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    here = context(configure, prepared, tmp_path / "out")
    counts = predict(here)
    store = PerBaseScores(tmp_path / "out" / "base")
    scores = pd.read_parquet(tmp_path / "out" / "base" / "scores.parquet")
    windows = pd.read_parquet(prepared / "prepare" / "windows" / "tiling.parquet").query("split == 'test'")
    assert scores["sequence_id"].tolist() == windows["sequence_id"].tolist() == store.index["sequence_id"].tolist()
    assert store.logprobs.dtype == np.float16 and not np.isnan(store.logprobs).any()
    for row, score in enumerate(scores.itertuples()):
        logprobs, bases = store.window(row)
        columns = np.array(["ACGT".index(chr(base)) for base in bases & 0xDF])
        observed = logprobs[np.arange(len(bases)), columns].astype(np.float64)
        assert score.n == len(bases)
        assert score.sum == pytest.approx(observed.sum(), abs=len(bases) * 5e-4)
        assert score.mean == pytest.approx(score.sum / score.n)
    assert counts["base_nll_nats_per_base"] == pytest.approx(-scores["sum"].sum() / scores["n"].sum())


def test_gate_mass_outside_acgt(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    good = context(configure, prepared, tmp_path / "good")
    predict(good)
    (gate,) = [result for result in good.gates.results if result.name == "mass_outside_acgt"]
    assert gate.passed and gate.subject == "base"

    blind = tmp_path / "run"
    shutil.copytree(prepared, blind)
    model = load_checkpoint(prepared / "convert" / "model.safetensors")
    with torch.no_grad():
        model.embedding_layer.weight.zero_()
    save_checkpoint(model, blind / "convert" / "model.safetensors")
    with pytest.raises(GateError, match=r"gate mass_outside_acgt: saw 99\.22% of the base model's probability"):
        predict(context(configure, blind, tmp_path / "stopped"))
    warned = context(configure, blind, tmp_path / "warned", "gates.mass_outside_acgt=warn")
    assert predict(warned)["base_nll_nats_per_base"] == pytest.approx(np.log(512), abs=1e-4)
    assert not next(result for result in warned.gates.results if result.name == "mass_outside_acgt").passed


def test_gate_context_length_sees_what_the_windows_really_are(
    configure: Configure, prepared: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(prepared, run)
    windows = pd.read_parquet(run / "prepare" / "windows" / "tiling.parquet")
    windows["length"] = 60
    windows.to_parquet(run / "prepare" / "windows" / "tiling.parquet", index=False)
    with pytest.raises(GateError, match="gate context_length: saw 60 bases of context in scored windows"):
        predict(context(configure, run, tmp_path / "out"))


def test_a_split_without_windows_is_refused(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(prepared, run)
    windows = pd.read_parquet(run / "prepare" / "windows" / "tiling.parquet")
    windows[windows["split"] != "test"].to_parquet(run / "prepare" / "windows" / "tiling.parquet", index=False)
    with pytest.raises(InputError, match="the split test has no tiling windows"):
        predict(context(configure, run, tmp_path / "out"))


def test_bfloat16_scores_are_near_those_of_float32(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    exact = predict(context(configure, prepared, tmp_path / "fp32"))
    rounded = predict(context(configure, prepared, tmp_path / "bf16", "predict.precision=bf16"))
    assert rounded["base_nll_nats_per_base"] == pytest.approx(exact["base_nll_nats_per_base"], abs=0.01)
    assert rounded["base_nll_nats_per_base"] != exact["base_nll_nats_per_base"]


def test_both_directions(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    """The other direction of a window is what its reverse complement gets, turned back."""
    one_way = context(configure, prepared, tmp_path / "one", "predict.forgetting=null")
    predict(one_way)
    both = context(configure, prepared, tmp_path / "both", "predict.forgetting=null", "predict.reverse_complement=true")
    predict(both)
    assert PerBaseScores(tmp_path / "one" / "base").reverse is None
    store, forward = PerBaseScores(tmp_path / "both" / "base"), PerBaseScores(tmp_path / "one" / "base")
    assert store.reverse is not None
    assert np.abs(store.logprobs.astype(float) - forward.logprobs).max() < 2e-3
    bases = np.asarray(store.window(0)[1])
    turned = reverse_complement(bases)
    (score,) = both.backend().score(
        both.config, both.models()["base"], SequenceSet(["w"], np.array([len(turned)]), lambda _: turned)
    )
    expected = score.logprobs[::-1, ::-1]
    assert np.abs(store.reverse[: len(bases)].astype(float) - expected).max() < 2e-3
    # Column b of a row is the probability of base b there: that of the base that is there is a likelihood.
    codes = np.array(["ACGT".index(chr(base)) for base in bases & 0xDF])
    observed = store.reverse[: len(bases)].astype(float)[np.arange(len(bases)), codes]
    assert observed.sum() == pytest.approx(score.total, abs=len(bases) * 5e-4)


def test_other_organisms(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    """Long records are cut, short ones stay whole, and the windows of the genome are scored as without them."""
    records = tmp_path / "others.fa"
    letters = np.random.default_rng(0).choice(list("ACGTacgt"), 1500)
    records.write_text(f">Oryza_sativa|one\n{''.join(letters)}\n>Mus|two extra words\n{''.join(letters[:200])}\n")
    here = context(configure, prepared, tmp_path / "out", f"predict.forgetting={records}")
    predict(here)
    store = PerBaseScores(tmp_path / "out" / "forgetting" / "base")
    places = store.index[["sequence_id", "seqid", "start", "end", "length"]].to_numpy().tolist()
    assert places == [
        ["Oryza_sativa|one:0-1024(+)", "Oryza_sativa|one", 0, 1024, 1024],
        ["Oryza_sativa|one:1024-1500(+)", "Oryza_sativa|one", 1024, 1500, 476],
        ["Mus|two:0-200(+)", "Mus|two", 0, 200, 200],
    ]
    assert store.bases[:1500].tobytes().decode() == "".join(letters)
    alone = context(configure, prepared, tmp_path / "alone", "predict.forgetting=null")
    predict(alone)
    assert not (tmp_path / "alone" / "forgetting").exists()
    with_others, without = (PerBaseScores(tmp_path / name / "base") for name in ("out", "alone"))
    assert np.abs(with_others.logprobs.astype(float) - without.logprobs).max() < 2e-3


def test_the_shipped_sequences_of_other_organisms(configure: Configure) -> None:
    (path,) = forgetting_files(configure("train=none"))
    lengths = sequence_lengths(path)
    assert len(lengths) == 5 and sum(lengths.values()) == 59_408
    assert {name.split("|")[0] for name in lengths} >= {"Homo_sapiens", "Arabidopsis_thaliana", "phage_phiX174"}
