from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from tests.stages.conftest import Configure
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.infer import infer

SHORT = ("infer.length=30", "infer.prompt_length=20", "infer.n_prompts=3", "infer.samples=2")


def run_infer(configure: Configure, run: Path, out: Path, *overrides: str) -> pd.DataFrame:
    config = configure("train=none", *SHORT, *overrides)
    out.mkdir()
    infer(StageContext(config, out, run, GateLog(asdict(config.gates))))
    return pd.read_parquet(out / "generations.parquet")


def test_prompts_come_from_the_test_regions_with_what_follows_them(
    configure: Configure, prepared: Path, tmp_path: Path
) -> None:
    table = run_infer(configure, prepared, tmp_path / "out")
    assert len(table) == 6
    regions = pd.read_parquet(prepared / "prepare" / "split.parquet").query("split == 'test'")
    with Genome(prepared / "prepare" / "genome.fa") as genome:
        for row in table.itertuples():
            seqid, _, span = str(row.prompt_id).rpartition(":")
            start, end = map(int, span.split("-"))
            assert ((regions["seqid"] == seqid) & (regions["start"] <= start) & (end + 30 <= regions["end"])).any()
            assert genome.fetch(seqid, start, end + 30).tobytes().decode() == f"{row.prompt}{row.truth}"
    assert table["sequence"].str.fullmatch("[ACGT]{30}").all()
    assert table["logprob_mean"].tolist() == pytest.approx((table["logprob_sum"] / 30).tolist())
    assert table["seed"].is_unique
    fasta = (tmp_path / "out" / "generations.fa").read_text()
    assert fasta.count(">") == 6 and table["sequence"].iloc[5] in fasta


def test_genes_are_prompts_beside_the_others(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "genes.csv"
    rows = [
        "gene,reference_protein,genomic_sequence,cds_start",
        f"abc,MKL,{'ACGTT' * 16},30",
        f"xyz,MKL,{'GGATC' * 7},",
    ]
    path.write_text("\n".join(rows) + "\n")
    table = run_infer(configure, prepared, tmp_path / "out", f"infer.genes={path}", "infer.gene_prompt_share=0.6")
    assert table.groupby("kind", sort=False)["prompt_id"].nunique().to_dict() == {"window": 3, "gene": 2}
    genes = pd.read_parquet(tmp_path / "out" / "genes.parquet")
    assert genes["prompt_length"].tolist() == [60, 35]
    written = table[table["kind"] == "gene"].groupby("prompt_id")[["prompt", "truth"]].first()
    assert written.loc["gene:abc"].tolist() == ["ACGTT" * 12, "ACGTT" * 4]
    assert written.loc["gene:xyz", "prompt"] == "GGATC" * 7 and pd.isna(written.loc["gene:xyz", "truth"])
    assert table["sequence"].str.fullmatch("[ACGT]{30}").all()
    assert (table["first_logprob"] < 0).all()
    given = run_infer(configure, prepared, tmp_path / "given", f"infer.genes={path}", "infer.prompts=[ACGT]")
    assert given["kind"].drop_duplicates().tolist() == ["given", "gene"]


def test_generation_is_repeated_by_its_seed(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    first, second, other = (
        run_infer(configure, prepared, tmp_path / name, *extra)["sequence"].tolist()
        for name, extra in (("a", ()), ("b", ("infer.batch_size=1",)), ("c", ("seed=7",)))
    )
    assert first == second
    assert first != other


def test_impossible_prompts_are_refused(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no test region holds infer.prompt_length \+ infer.length = 100020"):
        run_infer(configure, prepared, tmp_path / "a", "infer.length=100000")
    with pytest.raises(InputError, match="prompt prompt_1 holds letters other than A, C, G, T"):
        run_infer(configure, prepared, tmp_path / "b", "infer.prompts=[ACGU]")
    with pytest.raises(InputError, match="prompt prompt_1 is empty: give it bases or leave it out"):
        run_infer(configure, prepared, tmp_path / "empty", "infer.prompts=['']")
    (tmp_path / "genes.csv").write_text("gene,reference_protein,genomic_sequence,cds_start\nabc,M,ATG,0\n")
    with pytest.raises(InputError, match=r"prompt gene:abc is empty: set a larger infer\.gene_prompt_share"):
        run_infer(
            configure, prepared, tmp_path / "g", f"infer.genes={tmp_path / 'genes.csv'}", "infer.gene_prompt_share=0.1"
        )
    with pytest.raises(InputError, match=r"nowhere\.fa does not exist"):
        run_infer(configure, prepared, tmp_path / "c", "infer.prompt_file=nowhere.fa")
