import pyarrow as pa
import pyarrow.parquet as pq

from workflow.config import WindowSetConfig
from workflow.windows.tables import usable_names


def test_usable_names() -> None:
    names = pa.array(["a", "b c", "a", "é", "a"])
    assert usable_names(names).to_pylist() == ["a", "b%20c", "a/2", "%C3%A9", "a/3"]


def test_tables_are_written_in_few_row_groups(window_set, tmp_path) -> None:
    window_set({"a": "ACGT" * 50_000}, [("a", 0, 200_000, "train")], [], WindowSetConfig("tiling"), length=2)
    assert pq.ParquetFile(tmp_path / "some.parquet").metadata.num_row_groups == 2
