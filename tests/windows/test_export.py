"""Windows of one split as FASTA."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.windows.export import export, main


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose windows lie in their FASTA in another order than in their table."""
    folder = tmp_path / "run" / "prepare" / "windows"
    folder.mkdir(parents=True)
    (tmp_path / "given.fa").write_text(">b\nACGT\nac\n>c\nNNNN\n>a\nGGTTA\n")
    import_fasta(tmp_path / "given.fa", folder / "tiling.fa")
    table = pd.DataFrame({"sequence_id": ["a", "b", "c"], "split": ["test", "test", "val"], "length": [5, 6, 4]})
    table.to_parquet(folder / "tiling.parquet")
    return tmp_path / "run"


def test_one_line_a_window_in_the_order_of_the_table(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.fa"
    assert export(run / "prepare", out) == 2
    assert out.read_text() == ">a\nGGTTA\n>b\nACGTac\n"


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a folder" / "out.fa"
    out.parent.mkdir()
    assert main([str(run), str(out), "--split", "val"]) == 0
    assert out.read_text() == ">c\nNNNN\n"
    assert "1 windows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--split", "train"), "no tiling windows in train"),
        (("--windows", "genes"), r"genes.parquet does not exist"),
    ],
)
def test_no_such_windows(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out.fa"
    assert main([str(run), str(out), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1
    assert not out.exists()


def test_no_folder_to_write_to(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), str(tmp_path / "absent" / "out.fa")]) == 2
    assert "absent" in capsys.readouterr().err


def test_a_run_without_windows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        export(tmp_path, tmp_path / "out.fa")
