"""What the stage `predict` scores: windows in one or both directions, of several sets, in one order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workflow.artifacts import PerBaseWriter, read_table
from workflow.backends import SequenceSet
from workflow.config import Config
from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement
from workflow.genome.fasta import import_fasta
from workflow.genome.files import locate
from workflow.genome.sequences import Genome

if TYPE_CHECKING:
    from workflow.striped_hyena.scoring import SequenceScore

#: Folder of the predictions on other organisms.
FORGETTING = "forgetting"
SCORES = "scores.parquet"
_COLUMNS = ["sequence_id", "seqid", "start", "end", "strand", "length"]


@dataclass(frozen=True)
class WindowSet:
    """Windows that are scored together.

    Each window is a reading, and after it its reverse complement where that is read too.

    Attributes
    ----------
    table : DataFrame
        sequence_id, seqid, start, end, strand, length.
    fetch : callable
        Bases of the window of a row, (length,) uint8: strands are turned and exons joined.
    subfolder : str
        Where under the stage's folder their predictions go; empty for the stage's folder itself.
    reverse : bool
        Whether they are read in both directions.
    """

    table: pd.DataFrame
    fetch: Callable[[int], np.ndarray]
    subfolder: str = ""
    reverse: bool = False

    def __len__(self) -> int:
        """Readings."""
        return len(self.table) * self._directions

    @property
    def _directions(self) -> int:
        return 2 if self.reverse else 1

    @property
    def lengths(self) -> np.ndarray:
        """Bases of each reading, (n,) int64."""
        return np.repeat(self.table["length"].to_numpy(np.int64), self._directions)

    @property
    def arrays(self) -> tuple[str, ...]:
        """Files that hold a row for each base."""
        return ("logprobs.npy", "bases.npy", *(("logprobs_reverse.npy",) if self.reverse else ()))

    def names(self, start: int, stop: int) -> list[str]:
        """Unique names of the readings `start` to `stop`."""
        places = [self._place(reading) for reading in range(start, stop)]
        called = self.table["sequence_id"].to_numpy()
        return [f"{called[row]}|reverse" if is_turned else str(called[row]) for row, is_turned in places]

    def bases(self, reading: int) -> np.ndarray:
        """Bases of a reading, (length,) uint8."""
        row, is_turned = self._place(reading)
        bases = self.fetch(row)
        return np.ascontiguousarray(reverse_complement(bases)) if is_turned else bases

    def write(self, start: int, stop: int, results: Iterator[SequenceScore], folder: Path) -> None:
        """Store the scores of the readings `start` to `stop` in a new folder, as `predict` describes its files."""
        folder.mkdir(parents=True)
        # Of a window that is parted between two shards the first has the one direction, the second the other.
        rows = range(-(-start // self._directions), -(-stop // self._directions))
        turned = range(start // 2, stop // 2) if self.reverse else range(0)
        writer = PerBaseWriter(folder, self.table, self.reverse, rows, turned)
        counts, sums, outside = np.zeros(len(rows), np.int64), np.zeros(len(rows)), np.zeros(len(rows))
        for reading in range(start, stop):
            row, is_turned = self._place(reading)
            score = next(results)
            if is_turned:
                writer.write_reverse(row, score.logprobs)
                continue
            writer.write(row, score.logprobs, self.fetch(row))
            place = row - rows.start
            counts[place], sums[place], outside[place] = score.n, score.total, score.outside_acgt
        writer.close()
        means = np.divide(sums, counts, out=np.full(len(rows), np.nan), where=counts > 0)
        table = writer.index[["sequence_id"]].assign(n=counts, sum=sums, mean=means, outside_acgt=outside)
        table.to_parquet(folder / SCORES, index=False)

    def _place(self, reading: int) -> tuple[int, bool]:
        """Row of the window of a reading, and whether that is turned."""
        row, turned = divmod(reading, self._directions)
        return row, bool(turned)


class Readings:
    """The readings of all sets, one after another: the work that is cut into shards.

    Parameters
    ----------
    sets : sequence of WindowSet
    """

    def __init__(self, sets: Sequence[WindowSet]) -> None:
        self.sets = sets
        self._starts = np.cumsum([0, *(len(windows) for windows in sets)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Bases of each, (n,) int64."""
        return np.concatenate([windows.lengths for windows in self.sets])

    def sequences(self, start: int, stop: int) -> SequenceSet:
        """The readings `start` to `stop`, as a backend scores them."""
        names = [name for windows, first, last in self._within(start, stop) for name in windows.names(first, last)]
        return SequenceSet(names, self.lengths[start:stop], lambda place: self._bases(start + place))

    def write(self, start: int, stop: int, results: Iterator[SequenceScore], out: Path, model: str) -> None:
        """Store the scores of the readings `start` to `stop`, each set in a folder of its own under `out`."""
        for windows, first, last in self._within(start, stop):
            windows.write(first, last, results, out / windows.subfolder / model)

    def _within(self, start: int, stop: int) -> Iterator[tuple[WindowSet, int, int]]:
        """The sets that readings belong to, and which of theirs these are."""
        for windows, begin in zip(self.sets, self._starts[:-1].tolist(), strict=True):
            first, last = max(start - begin, 0), min(stop - begin, len(windows))
            if first < last:
                yield windows, first, last

    def _bases(self, reading: int) -> np.ndarray:
        number = int(np.searchsorted(self._starts, reading, side="right")) - 1
        return self.sets[number].bases(reading - int(self._starts[number]))


def readings_of(config: Config, prepared: Path, records: Path) -> Readings:
    """All that the stage scores.

    Parameters
    ----------
    config : Config
    prepared : Path
        Folder of the stage `prepare`.
    records : Path
        Folder where the sequences of other organisms are, or come to be, imported.

    Raises
    ------
    InputError
        The split has no windows, or the sequences of other organisms cannot be read.
    """
    others = [_pieces(path, config.windows.length, records) for path in forgetting_files(config)]
    return Readings([_windows(prepared / "windows", config), *others])


def forgetting_files(config: Config) -> list[Path]:
    """The file of other organisms' sequences, where one is asked for."""
    path = config.predict.forgetting
    return [locate(path, "predict.forgetting names it")] if path else []


def _windows(folder: Path, config: Config) -> WindowSet:
    name, split = config.predict.windows, config.predict.split
    windows = read_table(folder / f"{name}.parquet")
    windows = windows[windows["split"] == split].reset_index(drop=True)
    if windows.empty:
        raise InputError(f"the split {split} has no {name} windows: make split.fractions larger")
    names, sequences = windows["sequence_id"].tolist(), Genome(folder / f"{name}.fa")
    return WindowSet(
        windows[_COLUMNS], lambda row: sequences.whole(names[row]), reverse=config.predict.reverse_complement
    )


def _pieces(path: Path, longest: int, folder: Path) -> WindowSet:
    """Sequences of other organisms, cut into pieces no longer than the windows of the genome."""
    imported = folder / "records.fa"
    if not imported.exists():
        folder.mkdir(exist_ok=True)
        import_fasta(path, imported)
    records = Genome(imported)
    places = [
        (seqid, start, min(start + longest, length))
        for seqid, length in records.lengths.items()
        for start in range(0, length, longest)
    ]
    table = pd.DataFrame(places, columns=["seqid", "start", "end"])
    table["sequence_id"] = [f"{seqid}:{start}-{end}(+)" for seqid, start, end in places]
    table = table.assign(strand="+", length=table["end"] - table["start"])
    return WindowSet(table[_COLUMNS], lambda row: records.fetch(*places[row]), FORGETTING)
