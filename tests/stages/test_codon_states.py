"""The stage `embed` with `embed.pooling=codon`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from evaluation.codons.clustering import SCORES, read
from tests.stages.conftest import Configure
from workflow.artifacts import read_json
from workflow.config import Config
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.pipeline import Run
from workflow.stages.context import StageContext
from workflow.stages.embed import embed
from workflow.striped_hyena import load_checkpoint

CODING = {"t1:a:0-300(+)": 300, "t2:a:400-520(-)": 121, "t3:b:0-30(+)": 30}
SPLITS = ("test", "test", "val")


@pytest.fixture(scope="module")
def config(configure: Configure) -> Config:
    given = ["embed.windows=cds", "embed.split=test", "embed.pooling=codon", "embed.layers=[1,-1]"]
    more = ["embed.chunk=90", "embed.overlap=50", "embed.batch_tokens=200"]
    return configure("stage=[convert,embed]", "train=none", "windows=genes", *given, *more)


@pytest.fixture(scope="module")
def run(config: Config) -> Path:
    """A run with the tiny model, and coding sequences of which one is no whole number of codons."""
    Run(replace(config, stage="convert")).execute()
    folder = Path(config.runs_folder) / config.run_name
    windows = folder / "prepare" / "windows"
    windows.mkdir(parents=True)
    text, index = "", ""
    for seed, (name, length) in enumerate(CODING.items()):
        bases = "".join(np.random.default_rng(seed).choice(list("ACGTacgtR"), length))
        index += f"{name}\t{length}\t{len(text) + len(name) + 2}\t{length}\t{length + 1}\n"
        text += f">{name}\n{bases}\n"
    (windows / "cds.fa").write_text(text)
    (windows / "cds.fa.fai").write_text(index)
    table = pd.DataFrame({"sequence_id": list(CODING), "split": SPLITS, "length": list(CODING.values())})
    table.to_parquet(windows / "cds.parquet")
    return folder


def context(config: Config, run: Path, out: Path) -> StageContext:
    out.mkdir(exist_ok=True)
    return StageContext(config, out, run, GateLog(asdict(config.gates)), run / "logs", fingerprint="0123456789abcdef")


def test_means_are_the_models_states(config: Config, run: Path, tmp_path: Path) -> None:
    counts = embed(context(config, run, tmp_path / "out"))
    model = load_checkpoint(run / "convert" / "model.safetensors").float().eval()
    sums, seen = np.zeros((64, 2, model.config.width)), np.zeros(64, int)
    sequences = (run / "prepare" / "windows" / "cds.fa").read_text().upper().replace("R", "N").split("\n")[1:4:2]
    for bases in sequences:
        # Stretches of 90 bases, of which all but the first begin with 50 that are context alone.
        for start in range(0, len(bases) - 50, 40):
            ids = torch.tensor([[0, *bases[start : start + 90].encode()]])
            with torch.inference_mode():
                hidden = model(ids, hidden_layers=(1, 6)).hidden
            for at in range(start + 50 if start else 0, min(start + 90, len(bases))):
                codon = bases[at - 2 : at + 1]
                if at % 3 == 2 and set(codon) <= set("ACGT"):
                    number = int("".join(str("ACGT".index(base)) for base in codon), 4)
                    sums[number] += np.stack([hidden[layer][0, at - start + 1] for layer in (1, 6)])
                    seen[number] += 1
    assert counts == {"sequences": 2, "codons": seen.sum(), "codons_that_occur": np.count_nonzero(seen)}
    assert pd.read_parquet(tmp_path / "out" / "codons.parquet")["n"].tolist() == seen.tolist()
    found = np.load(tmp_path / "out" / "codons.npy", allow_pickle=False)
    np.testing.assert_allclose(found[seen > 0], (sums[seen > 0] / seen[seen > 0, None, None]), atol=1e-3)
    assert np.isnan(found[seen == 0]).all()
    told = read_json(tmp_path / "out" / "embeddings.json")
    assert told["model"] == "base" and [layer["name"] for layer in told["layers"]] == ["blocks.1", "blocks.6"]
    # A control of the same shape with random weights, whose files are gone.
    untrained = np.load(tmp_path / "out" / "untrained" / "codons.npy", allow_pickle=False)
    assert untrained.shape == found.shape and np.nanmax(np.abs(untrained - found)) > 0.1
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    clustering = read(tmp_path / "out", 1, 0)
    assert clustering is not None
    assert clustering.table.groupby(["representation", "layer"], sort=False).size().to_dict() == {
        ("base", "blocks.1"): 2 * len(SCORES),
        ("base", "blocks.6"): 2 * len(SCORES),
        ("untrained", "blocks.1"): 2 * len(SCORES),
        ("untrained", "blocks.6"): 2 * len(SCORES),
        ("letters", ""): 2 * len(SCORES),
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"windows": "tiling"}, r"embed\.windows=tiling is no such set: use cds"),
        ({"split": "train"}, r"embed\.windows=cds: there are no such windows in train"),
    ],
)
def test_windows_that_hold_no_codons(
    config: Config, run: Path, tmp_path: Path, changes: dict[str, str], fault: str
) -> None:
    changed = replace(config, embed=replace(config.embed, **changes))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=fault):
        embed(context(changed, run, tmp_path / "out"))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"windows": None, "split": None, "input": "a.fa"}, "give embed.windows=cds"),
        ({"shards": 2}, "leave embed.shards out"),
    ],
)
def test_settings_that_do_not_go_together(config: Config, changes: dict[str, object], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        replace(config.embed, **changes)  # type: ignore[arg-type]
