"""Embeddings by mbridge's `predict_evo2`, as the emulator plays it: those of the embedded engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.backends.nvidia.conftest import Configure
from workflow.backends.base import SequenceSet
from workflow.backends.embedding import EmbeddingPlan, plan_embedding
from workflow.backends.nvidia.embedding import embed_in_parts
from workflow.errors import InputError
from workflow.pipeline import Run
from workflow.striped_hyena import ModelConfig, StripedHyena2
from workflow.striped_hyena.embedding import embedding_rows
from workflow.striped_hyena.stretches import Reader

LAYERS = (0, 2)


@pytest.fixture(scope="module")
def model() -> StripedHyena2:
    torch.manual_seed(0)
    return StripedHyena2(ModelConfig("SH*", width=16, heads=2, mlp_width=24, filter_groups=4)).eval()


def tool(model: StripedHyena2, layer: int, fasta: Path, out: Path) -> None:
    """What mbridge's tool writes: hidden states behind the begin token, rows in the order of the sorted names."""
    lines = fasta.read_text().split()
    records = dict(zip((name[1:] for name in lines[::2]), lines[1::2], strict=True))
    names, longest = sorted(records), max(map(len, records.values())) + 1
    ids, mask = torch.zeros(len(names), longest, dtype=torch.int64), torch.zeros(len(names), longest, dtype=torch.int64)
    for row, name in enumerate(names):
        ids[row, 1 : len(records[name]) + 1] = torch.tensor(list(records[name].encode()))
        mask[row, 1 : len(records[name]) + 1] = 1
    with torch.inference_mode():
        hidden = model(ids, hidden_layers=[layer]).hidden[layer]
    out.mkdir()
    (out / "seq_idx_map.json").write_text(json.dumps({name: row for row, name in enumerate(names)}))
    content = {"hidden_embeddings": hidden, "pad_mask": mask, "seq_idx": torch.arange(len(names)), "tokens": ids}
    torch.save(content, out / "predictions__rank_0__dp_rank_0.pt")


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last", "all", "both_strands"])
def test_equal_to_the_embedded_engine(model: StripedHyena2, tmp_path: Path, pooling: str) -> None:
    letters, random = np.frombuffer(b"ACGT", np.uint8), np.random.default_rng(0)
    wanted = [letters[random.integers(4, size=length)] for length in (30, 1, 95, 12)]
    plan = EmbeddingPlan(LAYERS, 3, 16, Reader(pooling, 40, 15))
    sequences = SequenceSet(list("abcd"), np.array([30, 1, 95, 12]), lambda row: wanted[row])
    starts: list[int] = []

    def predict(layer: int, fasta: Path, out: Path, longest: int) -> None:
        assert longest <= 40
        starts.append(layer)
        tool(model, layer, fasta, out)

    # The disk holds the states of about two stretches at a time.
    raw_gigabytes = 2 * 41 * 2 * 16 * 4 / 1e9
    found = list(embed_in_parts(sequences, plan, tmp_path / "raw", predict, raw_gigabytes=raw_gigabytes))
    expected = list(embedding_rows(model, wanted, plan.reader, layers=LAYERS, batch_tokens=200))
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), atol=1e-4)
    assert starts == list(LAYERS) * (len(starts) // 2) and (pooling == "first" or len(starts) > 2)
    assert not (tmp_path / "raw").exists()


def test_commands_of_a_dry_run(mbridge: Configure, tmp_path: Path) -> None:
    """One start for each layer, with sequences no longer than a chunk."""
    settings = (f"runs_folder={tmp_path}", "embed.input=reads.fa", "embed.layers=[3,-1]", "embed.batch_tokens=32768")
    lines, _ = Run(mbridge(*settings)).script("embed")
    starts = [line for line in lines if "predict_evo2" in line]
    assert [line.partition("--embedding-layer ")[2].split()[0] for line in starts] == ["3", "31"]
    assert all("--micro-batch-size 4 " in line and "--prepend-bos" in line for line in starts)
    assert all(line.startswith("#") for line in "\n".join(lines).split("\n"))
    assert plan_embedding(mbridge(*settings)).reader.chunk == 8192


def test_nemo2_has_no_embeddings(nemo2: Configure, tmp_path: Path) -> None:
    config = nemo2(f"runs_folder={tmp_path}", "embed.input=reads.fa")
    with pytest.raises(InputError, match=r"predict_evo2 of nemo2 2\.7\.1 writes no embeddings: use backend=mbridge"):
        Run(config).script("embed")
