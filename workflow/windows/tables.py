"""The table and the FASTA of a window set, written as the windows are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow.annotation.classes import CLASS_NAMES, ClassTrack
from workflow.console import Progress
from workflow.genome.layout import Layout
from workflow.genome.parallel import in_order
from workflow.genome.sequences import CHUNK_BASES, Genome
from workflow.windows.pieces import Regions, Windows
from workflow.windows.records import Records, batches, read_records

#: Columns of a set's table.
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("sequence_id", "seqid")),
        *((name, pa.int64()) for name in ("start", "end")),
        *((name, pa.string()) for name in ("strand", "split", "group", "haplotype", "kind", "parent")),
        ("length", pa.int64()),
        ("copies", pa.int32()),
        *((name, pa.float64()) for name in ("weight", "gc", "n_share", "soft_masked")),
        *((f"share_{name}", pa.float32()) for name in CLASS_NAMES),
    ]
)
_ROWS_OF_GROUP = 1 << 16
_PRINTABLE = "".join(map(chr, range(33, 127)))


class WindowWriter:
    """Writes `<target>.fa`, `<target>.fa.fai` and `<target>.parquet`.

    Parameters
    ----------
    genome : Genome
    classes : ClassTrack
    layout : Layout
    regions : Regions
    sequences : DataFrame
        seqid, group, haplotype.
    """

    def __init__(
        self, genome: Genome, classes: ClassTrack, layout: Layout, regions: Regions, sequences: pd.DataFrame
    ) -> None:
        self.genome, self.classes, self.layout, self.regions = genome, classes, layout, regions
        self._seqids = pa.array(layout.seqids, pa.string())
        labels = sequences.set_index("seqid").reindex(layout.seqids)
        self._group, self._haplotype = (
            pa.array(labels[name].astype(object).to_numpy(), pa.string(), from_pandas=True)
            for name in ("group", "haplotype")
        )
        self._splits = pa.array(regions.split, pa.string())

    def write(self, target: Path, kind: str, windows: Windows, copies: np.ndarray, weight: np.ndarray) -> None:
        """Write windows, (n,) of them, with their copies and weights, in the order given."""

        def read(rows: slice) -> tuple[Records, pa.Table]:
            some = windows.take(np.arange(rows.start, rows.stop))
            ids = self._ids(some)
            records = read_records(self.genome, self.classes, self.layout, some.read(), ids)
            return records, self._table(kind, some, ids, records, copies[rows], weight[rows])

        total = int(windows.lengths().sum())
        with Progress(f"window set {target.name}", total, "bases") as progress:
            results = in_order(read, batches(windows, CHUNK_BASES))
            _write_files(target, results, progress)

    def _ids(self, windows: Windows) -> pa.StringArray:
        """`seqid:start-end(strand)`, after the name where there is one."""
        if windows.names is not None and windows.names_are_ids:
            return windows.names
        sequence, start = self.layout.local(windows.start)
        start, end = (pa.array(at).cast(pa.string()) for at in (start, windows.end - self.layout.offsets[sequence]))
        place = (self._seqids.take(pa.array(sequence)), ":", start, "-", end, "(", _strands(windows.reverse), ")")
        prefix = () if windows.names is None else (windows.names, ":")
        return pc.binary_join_element_wise(*prefix, *place, "")

    def _table(
        self,
        kind: str,
        windows: Windows,
        ids: pa.StringArray,
        records: Records,
        copies: np.ndarray,
        weight: np.ndarray,
    ) -> pa.Table:
        sequence, start = self.layout.local(windows.start)
        number = pa.array(sequence)
        gc, at, unknown, lower = records.letters.T
        share = np.divide(gc, gc + at, out=np.full(len(gc), np.nan), where=gc + at > 0)
        columns = {
            "sequence_id": ids,
            "seqid": self._seqids.take(number),
            "start": start,
            "end": windows.end - self.layout.offsets[sequence],
            "strand": _strands(windows.reverse),
            "split": self._splits.take(pa.array(windows.region)),
            "group": self._group.take(number),
            "haplotype": self._haplotype.take(number),
            "kind": pa.repeat(kind, len(windows)),
            "parent": pa.nulls(len(windows), pa.string()) if windows.parents is None else windows.parents,
            "length": records.lengths,
            "copies": copies,
            "weight": weight,
            "gc": share,
            "n_share": unknown / records.lengths,
            "soft_masked": lower / records.lengths,
        }
        shares = (records.classes / records.lengths[:, None]).astype(np.float32)
        columns |= {f"share_{name}": shares[:, code].copy() for code, name in enumerate(CLASS_NAMES)}
        return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _strands(reverse: np.ndarray) -> pa.StringArray:
    return pa.array(["+", "-"]).take(pa.array(reverse.astype(np.int8)))


def usable_names(names: pa.StringArray) -> pa.StringArray:
    """Names that differ and can stand in a FASTA header: percent-encoded, the second of a name with `/2`, and so on."""
    values = pd.Series(names.to_pylist(), dtype=object)
    foreign = pc.match_substring_regex(names, "[^!-~]").to_numpy(zero_copy_only=False)
    values[foreign] = [quote(name, safe=_PRINTABLE) for name in values[foreign]]
    nth = values.groupby(values, sort=False).cumcount()
    again = (nth > 0).to_numpy()
    values[again] = [f"{name}/{n + 1}" for name, n in zip(values[again], nth[again], strict=True)]
    return pa.array(values.to_numpy(object), pa.string())


def _write_files(target: Path, results: Iterator[tuple[Records, pa.Table]], progress: Progress) -> None:
    written, waiting, rows = 0, [], 0
    paths = [target.with_name(target.name + end) for end in (".fa", ".fa.fai")]
    with (
        paths[0].open("wb") as fasta,
        paths[1].open("wb") as index,
        pq.ParquetWriter(target.with_name(target.name + ".parquet"), SCHEMA) as parquet,
    ):
        for records, table in results:
            fasta.write(records.fasta.data)
            index.write(_index_lines(table["sequence_id"], records, written))
            written += len(records.fasta)
            waiting.append(table)
            rows += len(table)
            if rows >= _ROWS_OF_GROUP:
                parquet.write_table(pa.concat_tables(waiting).combine_chunks())
                waiting, rows = [], 0
            progress.advance(int(records.lengths.sum()))
        if waiting:
            parquet.write_table(pa.concat_tables(waiting).combine_chunks())


def _index_lines(ids: pa.ChunkedArray, records: Records, written: int) -> bytes:
    """Lines of the `.fai` index: id, bases, offset of the first, bases of a line, bytes of a line."""
    length, offset, line = (
        pa.array(values).cast(pa.string())
        for values in (records.lengths, written + records.offsets, records.lengths + 1)
    )
    lines = pc.binary_join_element_wise(ids.combine_chunks(), length, offset, length, line, "\t")
    return "".join(f"{text}\n" for text in lines.to_pylist()).encode("ascii")
