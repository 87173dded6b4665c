from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.annotation.classes import BaseClass, ClassTrack, write_classes
from workflow.genome.layout import Layout
from workflow.windows.pieces import Pieces, Windows
from workflow.windows.records import batches, read_records

SEQUENCES = {"b": "ACGTNNacgtnnRYKry" * 900, "a": "GGGCCCATat" * 1000}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data())
def test_records_are_what_the_genome_holds(tmp_path: Path, genome_of, models_of, data) -> None:
    genome = genome_of(SEQUENCES)
    write_classes(genome, models_of(), tmp_path / "classes.npy")
    layout = Layout(genome.lengths, ["a", "b"])
    rows = []
    counts = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    for _ in range(sum(counts)):
        seqid = data.draw(st.sampled_from("ab"))
        start = data.draw(st.integers(0, 9000))
        rows.append((seqid, start, start + data.draw(st.integers(1, 900)), data.draw(st.booleans())))
    offset = np.array([0 if seqid == "a" else len(SEQUENCES["a"]) for seqid, *_ in rows])
    start, end = (np.array([row[column] for row in rows]) for column in (1, 2))
    first = np.concatenate([[0], np.cumsum(counts)])
    pieces = Pieces(first, offset + start, offset + end, np.array([reverse for *_, reverse in rows]))
    ids = pa.array(["skipped", *(f"w{n}" for n in range(len(counts)))]).slice(1)
    with ClassTrack(tmp_path / "classes.npy", genome.lengths) as track:
        records = read_records(genome, track, layout, pieces, ids)
    expected = [
        b"".join(genome.fetch(s, one, other, "-" if reverse else "+").tobytes() for s, one, other, reverse in rows[f:t])
        for f, t in pairwise(first)
    ]
    assert records.fasta.tobytes() == b"".join(b">w%d\n%s\n" % record for record in enumerate(expected))
    for n, text in enumerate(expected):
        at = records.offsets[n]
        assert records.fasta[at : at + records.lengths[n]].tobytes() == text
        upper = text.upper()
        gc, weak = (sum(upper.count(letter) for letter in pair) for pair in (b"GC", b"AT"))
        lower = sum(letter >= 97 for letter in text)
        assert records.letters[n].tolist() == [gc, weak, upper.count(b"N"), lower]
        assert records.classes[n, BaseClass.GAP] == upper.count(b"N")
        assert records.classes[n].sum() == len(text)


@given(st.lists(st.integers(1, 30_000), max_size=20), st.integers(1, 60_000))
def test_batches_hold_each_window_once(lengths: list[int], bases: int) -> None:
    ends = np.cumsum(lengths, dtype=np.int64)
    windows = Windows(ends - lengths, ends, np.zeros(len(lengths), bool), np.zeros(len(lengths), np.int32))
    cut = list(batches(windows, bases))
    assert [row for rows in cut for row in range(rows.start, rows.stop)] == list(range(len(lengths)))
    assert all(sum(lengths[rows]) <= bases or rows.stop - rows.start == 1 for rows in cut)
