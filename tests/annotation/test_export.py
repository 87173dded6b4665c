from pathlib import Path

import gffutils
import pytest

from workflow.annotation.export import main
from workflow.annotation.gff3 import import_annotation
from workflow.annotation.table import write_empty_annotation


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "s\tx\tgene\t1\t9\t.\t+\t.\tID=g\ns\tx\tmRNA\t1\t9\t.\t+\t.\tID=t;Parent=g\n"
    (tmp_path / "a.gff3").write_text(lines)
    folder = tmp_path / "run" / "prepare"
    folder.mkdir(parents=True)
    assert main([str(tmp_path / "run"), str(tmp_path / "x.db")]) == 2
    assert "annotation.parquet does not exist: run stage=prepare first" in capsys.readouterr().err
    write_empty_annotation(folder / "annotation.parquet")
    assert main([str(tmp_path / "run"), str(tmp_path / "x.db")]) == 2
    assert "holds no features" in capsys.readouterr().err
    import_annotation(tmp_path / "a.gff3", folder / "annotation.parquet", {"s": 10})
    assert main([str(tmp_path / "run"), str(tmp_path / "x.db")]) == 0
    database = gffutils.FeatureDB(str(tmp_path / "x.db"))
    assert [child.id for child in database.children("g")] == ["t"]
