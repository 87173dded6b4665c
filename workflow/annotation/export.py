"""The annotation as a gffutils database, for the tools that read one: `python -m workflow.annotation.export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import gffutils
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow.console import complain, say
from workflow.errors import InputError

_COLUMNS = ["seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes"]


def export_gffutils(annotation: Path, target: Path) -> None:
    """Write the sqlite database that `gffutils.create_db` makes of the annotation's file.

    Rows that share an ID get unique ones (`merge_strategy="create_unique"`). Directives of the file, such as
    `##sequence-region`, are not in it.

    Parameters
    ----------
    annotation : Path
        What `import_annotation` wrote.
    target : Path
        The database; an existing one is replaced.
    """
    # gffutils learns how attributes are written from the first lines of a file, so that it is given one.
    lines = target.with_name(target.name + ".part")
    try:
        with lines.open("w", encoding="utf-8") as file:
            for batch in pq.ParquetFile(annotation).iter_batches(columns=_COLUMNS):
                file.writelines(line + "\n" for line in _lines(batch).to_pylist())
        gffutils.create_db(
            str(lines),
            str(target),
            force=True,
            merge_strategy="create_unique",
            # The annotation has rows for what GTF leaves out already.
            disable_infer_genes=True,
            disable_infer_transcripts=True,
        )
    finally:
        lines.unlink(missing_ok=True)


def _lines(rows: pa.RecordBatch) -> pa.Array:
    """Rows as lines of nine columns, which count from 1."""
    columns = {name: rows[name] for name in _COLUMNS}
    columns["start"] = pc.add(columns["start"], 1)
    texts = [pc.fill_null(column.cast(pa.string()), ".") for column in columns.values()]
    return pc.binary_join_element_wise(*texts, "\t")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the annotation of a run as a gffutils database."""
    parser = argparse.ArgumentParser(prog="python -m workflow.annotation.export", description=main.__doc__)
    parser.add_argument("run", type=Path, help="run folder, runs/NAME")
    parser.add_argument("target", type=Path, help="the database to write, such as genes.db")
    given = parser.parse_args(arguments)
    annotation = given.run / "prepare" / "annotation.parquet"
    try:
        if not annotation.exists():
            raise InputError(f"{annotation} does not exist: run stage=prepare first")
        if pq.ParquetFile(annotation).metadata.num_rows == 0:
            raise InputError(f"{annotation} holds no features: the run was made without genome.annotation")
        export_gffutils(annotation, given.target)
    except (InputError, OSError) as error:
        complain(f"error: {error}")
        return 2
    say(str(given.target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
