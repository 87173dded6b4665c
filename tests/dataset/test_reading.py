from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.dataset.conftest import write_token_file
from workflow.dataset.reading import open_split
from workflow.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two train files and one of val; the configuration names the folder where they were written."""
    rows = []
    for name, documents in (("x_train", [b"ACGT", b"AC"]), ("x_genic_train", [b"|d|GGGG|d|G"]), ("x_val", [b"TT"])):
        write_token_file(tmp_path / name, documents)
        rows += [(name, 3 if b"|" in document else 0) for document in documents]
    pd.DataFrame(rows, columns=["file", "tag"]).to_parquet(tmp_path / "documents.parquet")
    entries = [
        {"dataset_prefix": f"/elsewhere/{name}", "dataset_split": split, "dataset_weight": weight}
        for name, split, weight in (
            ("x_train", "train", 0.75),
            ("x_genic_train", "train", 0.25),
            ("x_val", "validation", 1.0),
        )
    ]
    (tmp_path / "training_data_config.yaml").write_text(yaml.safe_dump(entries))
    return tmp_path


def test_files_of_a_split_with_their_weights(folder: Path) -> None:
    files, weights = open_split(folder, "train", 7)
    assert weights == [0.75, 0.25]
    assert [file.counts.tolist() for file in files] == [[4, 2], [5]]
    (file,), weights = open_split(folder, "val", 7)
    assert (file.counts.tolist(), weights) == ([2], [1.0])


@pytest.mark.parametrize("name", ["training_data_config.yaml", "documents.parquet", "x_genic_train.bin"])
def test_an_incomplete_folder(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name} does not exist: run stage=preprocess first"):
        open_split(folder, "train", 7)


def test_documents_of_another_run(folder: Path) -> None:
    pd.read_parquet(folder / "documents.parquet")[1:].to_parquet(folder / "documents.parquet")
    with pytest.raises(InputError, match=r"documents\.parquet tells of 1 documents of x_train: run stage=preprocess"):
        open_split(folder, "train", 7)
