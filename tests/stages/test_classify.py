from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.stages.conftest import Configure
from workflow.artifacts import read_json, read_manifest
from workflow.classification import neural, plain
from workflow.classification.workshop import Workshop
from workflow.config import Config
from workflow.dry_run import describe
from workflow.errors import InputError
from workflow.pipeline import Run
from workflow.pipeline.table import PIPELINE
from workflow.stages import classify

QUICK = ("classify.epochs=1", "classify.batch_size=8", "classify.kmer_lengths=[1,2]", "evaluation.bootstrap_samples=50")


def reads(count: int) -> pd.DataFrame:
    """Rich in A and T, or in G and C; of the latter the rarer kind begins with a run of G."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        kind = number % 3
        text = "".join(rng.choice(list("ACGT"), 40, p=[0.4, 0.1, 0.1, 0.4] if kind == 0 else [0.1, 0.4, 0.4, 0.1]))
        rows.append((f"s{number}", ("G" * 12 if kind == 2 else "") + text, "at" if kind == 0 else "gc", f"k{kind}"))
    table = pd.DataFrame(rows, columns=["name", "sequence", "group", "species"])
    return table.assign(split=np.array(["train", "train", "val", "test"])[np.arange(count) // 3 % 4])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reads.csv"
    reads(72).to_csv(path, index=False)
    return path


def configured(configure: Configure, table: Path, *overrides: str) -> Config:
    columns = ("classify.id_column=name", "classify.split=given", "classify.split_column=split")
    levels = "classify.labels=[group,species]"
    return configure(
        "stage=[convert,classify]", "train=none", f"classify.table={table}", levels, *columns, *QUICK, *overrides
    )


def test_methods_are_trained_compared_and_label_reads(
    configure: Configure, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(configure, table, "run_name=whole", "classify.methods=[kmer]")
    Run(config).execute()
    run = Path(config.runs_folder) / "whole"
    folder = run / "classify"
    about = read_json(folder / "classify.json")
    assert about["methods"] == ["kmer", "head"] and about["counts"] == {"train": 36, "val": 18, "test": 18}
    split = pd.read_parquet(folder / "split.parquet")
    assert split["id"].tolist() == [f"s{number}" for number in range(72)] and split["row"].tolist() == list(
        range(2, 74)
    )
    # A level may have the name of a column of the split's own.
    assert split["group"].isna().all() and split["true.group"].tolist() == reads(72)["group"].tolist()
    for method in about["methods"]:
        predicted = pd.read_parquet(folder / "methods" / method / "test.parquet")
        assert predicted["id"].tolist() == split.loc[split["split"] == "test", "id"].tolist()
        assert (predicted["predicted.group"] == predicted["true.group"]).mean() > 0.8, method
        # The path never names a species of the other kind.
        kinds = predicted["predicted.species"].map({"k0": "at", "k1": "gc", "k2": "gc"})
        assert (kinds == predicted["predicted.group"]).all()
    assert not (run / classify.STATE).exists()
    assert read_manifest(folder)["counts"]["train_sequences"] == 36

    # Another method beside them: those that are there are not trained again.
    trained: list[str] = []
    train_method = neural.train_method

    def counted(shop: Workshop, method: str) -> Path:
        trained.append(method)
        return train_method(shop, method)

    monkeypatch.setattr(neural, "train_method", counted)
    Run(configured(configure, table, "run_name=whole", "classify.methods=[kmer,ia3]")).execute()
    assert trained == ["ia3"]
    assert read_json(folder / "classify.json")["methods"] == ["kmer", "head", "ia3"]
    assert (folder / "report.html").exists() and (folder / "methods" / "ia3" / "model" / "adapter").is_dir()

    source = tmp_path / "wild reads.fastq.gz"
    chosen = reads(6)
    with gzip.open(source, "wt") as file:
        for name, text in chosen[["name", "sequence"]].itertuples(index=False):
            file.write(f"@{name} lane 1\n{text.lower()}\n+\n{'I' * len(text)}\n")
    model = folder / "methods" / "head" / "model"
    labelling = configure("stage=classify", "run_name=whole", f"classify.model={model}", f"classify.input={source}")
    assert f"writes {run / 'classify-wild_reads.fastq'}" in describe(Run(labelling))
    Run(labelling).execute()
    out = run / "classify-wild_reads.fastq"
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == chosen["name"].tolist()
    assert all(item["probability"] > 0.2 for line in lines for level in ("group", "species") for item in line[level])
    labelled = pd.read_csv(out / "predictions.csv")
    assert labelled["group"].tolist() == chosen["group"].tolist()
    assert read_manifest(out)["counts"]["sequences"] == 6
    assert Run(labelling).plan()[0].skip


def test_a_method_that_fails_takes_no_other_with_it(
    configure: Configure, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(configure, table, "run_name=failing", "classify.methods=[kmer]")
    kept = Path(config.runs_folder) / "failing" / classify.STATE

    def fails(shop: object, method: str) -> Path:
        raise InputError("no counts today.")

    with monkeypatch.context() as patched:
        patched.setattr(plain, "fit_method", fails)
        with pytest.raises(InputError, match=r"^kmer failed: no counts today\. What the other methods made is kept in"):
            Run(config).execute()
    assert [path.name for path in kept.glob("*/head")] == ["head"]
    before = (next(kept.glob("*/head")) / "method.json").read_text()
    Run(config).execute()
    folder = Path(config.runs_folder) / "failing" / "classify"
    assert (folder / "methods" / "head" / "method.json").read_text() == before and not kept.exists()


def test_what_decides_is_told_from_what_does_not(configure: Configure, table: Path) -> None:
    def settings(*overrides: str) -> dict[str, object]:
        config = configured(configure, table, *overrides)
        return PIPELINE["classify"].settings(config, Run(config)._settings)

    assert settings() == settings("classify.batch_tokens=100", "classify.top_k=1", "classify.threshold=0.9")
    assert settings() != settings("classify.epochs=2")
    assert settings() != settings("seed=7")


def test_other_backends_and_wrong_models_are_refused(configure: Configure, table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"backend=mbridge has no stage classify: use backend=local"):
        classify.refuse_other_backends(configured(configure, table, "backend=mbridge"))
    source = tmp_path / "reads.fasta"
    source.write_text(">a\nACGT\n")
    config = configure("stage=classify", f"classify.input={source}", f"classify.model={tmp_path}")
    with pytest.raises(InputError, match=r"classify\.model=.* is no folder of a trained classifier"):
        Run(config).plan()
