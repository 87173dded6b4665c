"""What was streamed can be read again, in any order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.embeddings import spool as spooling
from workflow.embeddings.spool import Spool, write_spool
from workflow.sequence_files import SequenceRecord


@pytest.mark.parametrize("per_base", [False, True])
def test_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_base: bool) -> None:
    monkeypatch.setattr(spooling, "_ROWS_AT_A_TIME", 2)
    texts = ["ACGT", "N", "GG", "TTTTT", "A"]
    records = (
        SequenceRecord(f"s{n % 2}", np.frombuffer(text.encode(), np.uint8), f"x.fa, line {n}")
        for n, text in enumerate(texts)
    )
    write_spool(tmp_path, records, per_base=per_base)
    kept = Spool(tmp_path)
    assert len(kept) == 5 and kept.lengths.tolist() == [4, 1, 2, 5, 1]
    assert [kept.fetch(row).tobytes().decode() for row in (3, 0, 4, 1, 2)] == ["TTTTT", "ACGT", "A", "N", "GG"]
    index = pd.read_parquet(kept.index)
    assert index["sequence_id"].tolist() == ["s0", "s1", "s0", "s1", "s0"]
    assert index["place"].tolist() == [f"x.fa, line {n}" for n in range(5)]
    assert index["length"].tolist() == [4, 1, 2, 5, 1]
    assert (index["offset"].tolist() == [0, 4, 5, 7, 12]) if per_base else "offset" not in index


def test_nothing(tmp_path: Path) -> None:
    write_spool(tmp_path, [], per_base=False)
    assert len(Spool(tmp_path)) == 0 and pd.read_parquet(Spool(tmp_path).index).empty
