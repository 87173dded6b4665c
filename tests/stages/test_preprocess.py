from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from megatron.core.datasets.indexed_dataset import IndexedDataset

from workflow.config import SPLITS, GenomeConfig, SplitConfig, WindowsConfig
from workflow.errors import InputError
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.prepare import prepare
from workflow.stages.preprocess import preprocess


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A run whose `prepare` has finished; `preprocess` builds in a folder with another name than its final one."""
    genome = GenomeConfig(name="phix.1", fasta="data/demo/phix174_NC_001422.1.fa")
    config = SimpleNamespace(genome=genome, split=SplitConfig(), windows=WindowsConfig(length=512), seed=42)
    for name in ("prepare", "building"):
        (tmp_path / "run" / name).mkdir(parents=True)
    prepare(StageContext(config=config, out=tmp_path / "run" / "prepare", run=tmp_path / "run"))
    return StageContext(config=config, out=tmp_path / "run" / "building", run=tmp_path / "run")


def test_tokens_lead_back_to_the_genome(context: StageContext) -> None:
    counts = preprocess(context)
    documents = pd.read_parquet(context.out / "documents.parquet")
    assert list(documents) == ["split", "document", "seqid", "start", "end", "group"]
    with Genome(context.published("prepare") / "genome.fa") as genome:
        for split in SPLITS:
            tokens = IndexedDataset(str(context.out / f"phix.1_byte-level_{split}"))
            rows = documents[documents["split"] == split]
            assert len(tokens) == len(rows) == counts["documents"][split]
            for row in rows.itertuples():
                expected = genome.fetch(row.seqid, row.start, row.end).tobytes() + b"\0"
                assert tokens[row.document].tobytes() == expected
            assert counts["tokens"][split] == sum(tokens.sequence_lengths)
            records = (context.out / f"{split}.fa").read_text().split()
            assert records[::2] == [f">{row.seqid}:{row.start}-{row.end}" for row in rows.itertuples()]
            assert [len(bases) + 1 for bases in records[1::2]] == tokens.sequence_lengths.tolist()


def test_configs_name_the_published_folder(context: StageContext) -> None:
    preprocess(context)
    published = context.out.rename(context.run / "preprocess")
    training = yaml.safe_load((published / "training_data_config.yaml").read_text())
    assert [entry["dataset_split"] for entry in training] == ["train", "validation", "test"]
    for entry in training:
        assert Path(entry["dataset_prefix"]).is_absolute()
        assert len(IndexedDataset(entry["dataset_prefix"])) > 0
    entries = yaml.safe_load((published / "preprocess_config.yaml").read_text())
    for entry, split in zip(entries, SPLITS, strict=True):
        assert entry["datapaths"] == [str(published / f"{split}.fa")]
        assert Path(entry["datapaths"][0]).is_file()
        assert (entry["train_split"], entry["valid_split"], entry["test_split"]) == (1.0, 0.0, 0.0)


def test_the_stage_is_deterministic(context: StageContext) -> None:
    preprocess(context)
    first = {path.name: path.read_bytes() for path in context.out.iterdir()}
    preprocess(context)
    assert {path.name: path.read_bytes() for path in context.out.iterdir()} == first


def test_an_empty_split_is_refused(context: StageContext) -> None:
    path = context.published("prepare") / "split.parquet"
    regions = pd.read_parquet(path)
    regions[regions["split"] != "val"].to_parquet(path)
    with pytest.raises(InputError, match="no region of the genome is in this split"):
        preprocess(context)


def test_prepare_has_not_run(context: StageContext) -> None:
    (context.published("prepare") / "split.parquet").unlink()
    with pytest.raises(InputError, match=r"split\.parquet does not exist"):
        preprocess(context)
