from pathlib import Path

import pandas as pd
import pytest

from workflow.errors import InputError
from workflow.splits.user_table import split_by_table

LENGTHS = {"a": 1_000, "b": 500, "c": 500}
CONTIGS = pd.DataFrame(
    [("a", 0, 400), ("a", 450, 1_000), ("b", 0, 500), ("c", 0, 500)], columns=["seqid", "start", "end"]
)
GROUPS = {"a": "1", "b": "2", "c": "2"}


def divided(path: Path, text: str):
    (path / "split.csv").write_text(text)
    return split_by_table(CONTIGS, GROUPS, LENGTHS, path / "split.csv", 100)


def test_whole_sequences_and_parts(tmp_path: Path) -> None:
    split, unnamed = divided(tmp_path, "seqid,split,start,end\na,train,0,600\na,val,650,\nb,test,,\n")
    assert split.regions.to_numpy().tolist() == [
        ["a", 0, 400, "train", "1"],
        ["a", 450, 600, "train", "1"],
        ["a", 650, 1_000, "val", "1"],
        ["b", 0, 500, "test", "2"],
    ]
    assert unnamed == 50 + 500
    assert (split.method, split.purged) == ("table", 0)


def test_without_coordinates(tmp_path: Path) -> None:
    split, unnamed = divided(tmp_path, "seqid,split\nc,val\nb,test\na,train\n")
    assert split.regions["split"].tolist() == ["train", "train", "test", "val"]
    assert unnamed == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seqid\na\n", r"line 1: no column split"),
        ("seqid,split\nA,train\n", r"line 2: sequence A is not in the FASTA; did you mean a"),
        ("seqid,split\na,train\nb,valid\n", r"line 3: split valid is not one of train, val, test"),
        ("seqid,split,start,end\na,train,-5,10\n", r"line 2: start -5 and end 10 must be whole numbers"),
        ("seqid,split,start,end\na,train,10,5\n", r"line 2: a:10-5 is not a stretch of the sequence's 1000 bases"),
        ("seqid,split,start,end\na,train,0,1001\n", r"line 2: a:0-1001 is not a stretch"),
        ("seqid,split,start,end\na,train,0,600\nb,val,,\na,test,500,\n", r"line 4: overlaps line 2 on a"),
        ("seqid,split\na,train\nb,test\n", r"gives no 100 bases without N to val; name sequences for each"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"split\.csv.*" + message):
        divided(tmp_path, text)
