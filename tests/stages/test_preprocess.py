import json
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from megatron.core.datasets.blended_dataset import BlendedDataset
from megatron.core.datasets.indexed_dataset import IndexedDataset
from megatron.core.datasets.utils import Split

from tests.dataset.conftest import SEQUENCES, prepared
from workflow.config import SPLITS, GenomeConfig, MixtureConfig
from workflow.dataset.blending import Blend
from workflow.dataset.reading import open_split
from workflow.errors import InputError
from workflow.stages.context import StageContext
from workflow.stages.preprocess import preprocess

__all__ = ["prepared"]
CANE = "d__Eukaryota;p__Streptophyta;c__Magnoliopsida;o__Poales;f__Poaceae;g__Saccharum;s__officinarum"
MIXED = {"regions": 1.0, "genic": 3.0}


@pytest.fixture
def context(prepared: Path) -> StageContext:
    """A run whose `prepare` has finished; `preprocess` builds in a folder with another name than its final one."""
    run = prepared.parent
    (run / "building").mkdir()
    sets = {"tiling": {"dropped": {}, "mean_weight": {"train": 1.0, "val": None}}}
    (prepared / "windows.json").write_text(json.dumps(sets))
    config = SimpleNamespace(genome=GenomeConfig(name="cane.1", fasta="x.fa"), mixture=MixtureConfig(), seed=42)
    return StageContext(config=config, out=run / "building", run=run)  # type: ignore[arg-type]


def entries_of(folder: Path) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = yaml.safe_load((folder / "training_data_config.yaml").read_text())
    return entries


def published(context: StageContext) -> Path:
    return context.out.rename(context.run / "preprocess")


@pytest.mark.parametrize("weights", [{"regions": 1.0}, MIXED])
def test_tokens_lead_back_to_the_genome(context: StageContext, weights: dict[str, float]) -> None:
    context.config.mixture.weights = weights
    counts = preprocess(context)
    documents = pd.read_parquet(context.out / "documents.parquet")
    files = documents.groupby("file", sort=False)
    assert len(files) == counts["files"] == len(list(context.out.glob("*.bin")))
    for file, rows in files:
        tokens = IndexedDataset(str(context.out / str(file)))
        assert len(tokens) == len(rows)
        for row in rows.itertuples():
            bases = SEQUENCES[row.seqid][row.start : row.end]
            if row.strand == "-":
                bases = bases[::-1].translate(bytes.maketrans(b"ACGTacgt", b"TGCAtgca"))
            assert tokens[row.document].tobytes() == bases + b"\0"
            assert row.tag == 0
    for split in SPLITS:
        of_split = documents[documents["split"] == split]
        assert counts["documents"][split] == len(of_split)
        assert counts["tokens"][split] == (of_split["end"] - of_split["start"] + 1).sum()


def test_regions_alone_have_the_names_of_always(context: StageContext) -> None:
    counts = preprocess(context)
    expected = {f"cane.1_byte-level_{split}{suffix}" for split in SPLITS for suffix in (".bin", ".idx")}
    expected |= {f"{split}.fa" for split in SPLITS}
    expected |= {"documents.parquet", "genetic_codes.json", "preprocess_config.yaml", "training_data_config.yaml"}
    assert {path.name for path in context.out.iterdir()} == expected
    assert [entry["dataset_weight"] for entry in entries_of(context.out)] == [1.0, 1.0, 1.0]
    assert (context.out / "train.fa").read_text().startswith(">chr1:1-11\nCGTacgtRYN\n>chr10:0-30\n")
    assert counts["mixture"] == {"cane.1_byte-level_train": 1.0}


def test_a_mixture_has_a_file_a_set_with_its_weight(context: StageContext, capsys: pytest.CaptureFixture[str]) -> None:
    context.config.mixture.weights = MIXED
    counts = preprocess(context)
    weighted = 6 + 5 / 2 + 20 / 3
    weights = {
        (Path(str(entry["dataset_prefix"])).name, entry["dataset_split"]): entry["dataset_weight"]
        for entry in entries_of(context.out)
    }
    assert weights == {
        ("cane.1_byte-level_train", "train"): 0.25,
        ("cane.1_genic_copies1_byte-level_train", "train"): pytest.approx(0.75 * 6 / weighted),
        ("cane.1_genic_copies2_byte-level_train", "train"): pytest.approx(0.75 * 5 / 2 / weighted),
        ("cane.1_genic_copies3_byte-level_train", "train"): pytest.approx(0.75 * 20 / 3 / weighted),
        ("cane.1_byte-level_val", "validation"): 0.25,
        ("cane.1_genic_byte-level_val", "validation"): 0.75,
        ("cane.1_byte-level_test", "test"): 1.0,
    }
    assert counts["sets_left_out"] == {"train": 0, "val": 0, "test": 1}
    assert "  WARNING genic has nothing in test: it is left out" in capsys.readouterr().out


def test_configs_name_the_published_folder(context: StageContext) -> None:
    context.config.mixture.weights = MIXED
    preprocess(context)
    folder = published(context)
    for entry in entries_of(folder):
        assert Path(str(entry["dataset_prefix"])).is_absolute()
        assert len(IndexedDataset(str(entry["dataset_prefix"]))) > 0
    entries = yaml.safe_load((folder / "preprocess_config.yaml").read_text())
    assert [entry["output_prefix"] for entry in entries][:2] == ["cane.1_train", "cane.1_genic_copies1_train"]
    for entry in entries:
        (fasta,) = entry["datapaths"]
        assert Path(fasta).is_absolute() and Path(fasta).is_file()
        assert (entry["train_split"], entry["valid_split"], entry["test_split"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_stage_is_deterministic(context: StageContext, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    context.config.mixture = MixtureConfig(MIXED, lineage_spacing=120, lineage_dropout=0.5)
    context.config.genome.lineage = CANE
    preprocess(context)
    first = {path.name: path.read_bytes() for path in context.out.iterdir()}
    monkeypatch.setattr("workflow.genome.parallel.workers", lambda: threads)
    monkeypatch.setattr("workflow.dataset.splice._BLOCK_BYTES", 7)
    preprocess(context)
    assert {path.name: path.read_bytes() for path in context.out.iterdir()} == first


def test_tags_stand_before_every_stretch_and_the_local_engine_reads_past_them(context: StageContext) -> None:
    context.config.mixture.lineage_spacing = 106
    context.config.genome.lineages = {"chr10": CANE}
    preprocess(context)
    tag, bases = b"|" + CANE.encode() + b"|", SEQUENCES["chr10"][:30]
    stretch = 106 - len(tag)
    tagged = b"".join(tag + bases[at : at + stretch] for at in range(0, 30, stretch))
    tokens = IndexedDataset(str(context.out / "cane.1_byte-level_train"))
    assert [tokens[i].tobytes() for i in range(2)] == [b"CGTacgtRYN\0", tagged + b"\0"]
    (file,), weights = open_split(context.out, "train", 106)
    assert weights == [1.0]
    assert file.counts.tolist() == [10, 30]
    assert file.read(1, 0, 30).tobytes() == tagged
    documents = pd.read_parquet(context.out / "documents.parquet")
    assert documents["tag"].tolist() == [0, len(tag), 0, 0]


def test_megatron_blends_the_files_as_the_local_engine_does(
    context: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their dataset of documents, drawn again and again, in place of one that needs a GPU."""

    class Endless(torch.utils.data.Dataset):  # type: ignore[type-arg]
        index_split = Split.train

        def __init__(self, prefix: str) -> None:
            self.tokens, self.unique_identifiers = IndexedDataset(prefix), {"path": prefix}

        def __len__(self) -> int:
            return 1000

        def __getitem__(self, number: int) -> dict[str, np.ndarray]:
            return {"tokens": self.tokens[number % len(self.tokens)]}

    context.config.mixture.weights = MIXED
    preprocess(context)
    folder = published(context)
    train = [entry for entry in entries_of(folder) if entry["dataset_split"] == "train"]
    weights = [float(str(entry["dataset_weight"])) for entry in train]
    config = SimpleNamespace(defer_npy_index_mmap=False, path_to_cache=None, mid_level_dataset_surplus=0.0)
    blended = BlendedDataset([Endless(str(entry["dataset_prefix"])) for entry in train], weights, 300, config)
    theirs = [int(blended[number]["dataset_id"]) for number in range(300)]
    files, ours = open_split(folder, "train", 131_072)
    assert ours == weights
    assert list(islice(Blend(np.array(ours)).from_position(0), 300)) == theirs
    drawn = blended[0]["tokens"].tobytes()
    first = files[theirs[0]]
    assert drawn == first.read(0, 0, int(first.counts[0])).tobytes() + b"\0"


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ({"lineage": "Saccharum"}, r"genome\.lineage=Saccharum is not a lineage: write d__…"),
        ({"lineages": {"chr1": "x"}}, r"genome\.lineages\.chr1=x is not a lineage"),
        ({"lineages": {"chr": CANE}}, r"genome\.lineages names chr, which is no sequence of this genome: names match"),
    ],
)
def test_a_lineage_that_cannot_be_used(context: StageContext, genome: dict[str, object], message: str) -> None:
    for key, value in genome.items():
        setattr(context.config.genome, key, value)
    with pytest.raises(InputError, match=message):
        preprocess(context)


def test_a_set_that_does_not_exist(context: StageContext) -> None:
    context.config.mixture.weights = {"regions": 1.0, "cds": 1.0}
    with pytest.raises(InputError, match=r"mixture\.weights names cds, prepare made regions, genic only"):
        preprocess(context)


def test_an_empty_split_is_refused(context: StageContext) -> None:
    path = context.published("prepare") / "split.parquet"
    regions = pd.read_parquet(path)
    regions[regions["split"] != "val"].to_parquet(path)
    with pytest.raises(InputError, match="nothing of regions is in the val split: add a set"):
        preprocess(context)


def test_prepare_has_not_run(context: StageContext) -> None:
    (context.published("prepare") / "split.parquet").unlink()
    with pytest.raises(InputError, match=r"split\.parquet does not exist: run stage=prepare first"):
        preprocess(context)


def test_copies_that_a_mixture_passes_over_are_told(context: StageContext, capsys: pytest.CaptureFixture[str]) -> None:
    path = context.published("prepare") / "windows.json"
    path.write_text(json.dumps({"tiling": {"dropped": {"removed_copies": 3}, "mean_weight": {"train": 1.0}}}))
    preprocess(context)
    assert "WARNING whole regions are trained on base by base: windows.copies bears on window sets only" in (
        capsys.readouterr().out
    )
