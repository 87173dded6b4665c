"""The folder `browser` of a report: tracks, genome, annotation, an IGV session, and a page that shows them."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evaluation.browser.bigwig import TrackTally
from evaluation.browser.gff3 import write_gff3
from evaluation.browser.page import Sources, page, write_script
from evaluation.browser.session import looks, session_xml
from workflow.artifacts import PerBaseScores, read_table, write_text

FOLDER, PAGE, SESSION = "browser", "browser.html", "session.xml"
_ANNOTATION = "annotation.gff3"
#: A genome up to this size is copied, so that the folder can be moved alone.
_MOST_COPIED_BYTES = 50_000_000
#: Most bases shown first.
_FIRST_VIEW = 20_000


@dataclass(frozen=True)
class BrowserFiles:
    """What was written.

    Attributes
    ----------
    folder : Path
    tracks : dict
        File by name of the track, in the order shown: gain, nll_<model>, entropy_<model>.
    bin_size : int
        Bases of a bin: as asked for, or more in a large genome.
    embedded : bool
        Whether the page holds all its data and can be opened as a file; else it must be served.
    portable : bool
        Whether the genome was copied into the folder.
    features : int
        Lines of the annotation; 0 where the genome has none on the sequences that were scored.
    """

    folder: Path
    tracks: dict[str, Path]
    bin_size: int
    embedded: bool
    portable: bool
    features: int


def new_tracks(
    run: Path, out: Path, predictions: Mapping[str, PerBaseScores], baselines: Sequence[str], bin_size: int
) -> TrackTally:
    """Make the folder and what takes the tracks in, as the predictions pass by.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path
        Folder of the report, in which `browser` is made.
    predictions : mapping
        Per-base predictions by model.
    baselines : sequence of str
        Names of the baselines of the stream.
    bin_size : int
        Bases of a bin, at least 1; in a large genome, a multiple of it is taken.

    Raises
    ------
    InputError
        The predictions do not fit the genome.
    """
    folder = out / FOLDER
    folder.mkdir()
    index = next(iter(predictions.values())).index
    return TrackTally(index, _sequences(run), list(predictions), baselines, bin_size, folder)


def write_browser(run: Path, out: Path, tracks: TrackTally, labels: Mapping[str, str], title: str) -> BrowserFiles:
    """Write tracks, session and page.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path
        Folder of the report. Addresses of files outside of it hold while it stays in its place, and while a folder
        beside it takes its name.
    tracks : TrackTally
        From `new_tracks`, after the whole stream.
    labels : mapping
        What each model is called.
    title : str
        Of the page.

    Raises
    ------
    InputError
        A file of the stage `prepare` is missing.
    """
    folder = out / FOLDER
    written = tracks.write()
    shown = looks(written, labels)
    lengths = dict(tracks.sequences.itertuples(index=False, name=None))
    annotation = folder / _ANNOTATION
    features = write_gff3(run / "prepare" / "annotation.parquet", annotation, lengths, tracks.scored_sequences)
    if not features:
        annotation.unlink()
    fasta, portable = _genome(run / "prepare" / "genome.fa", folder)
    address = Path(os.path.relpath(fasta.resolve(), folder.resolve())).as_posix()
    seqid, start, end = tracks.first_stretch
    locus = f"{seqid}:{start + 1}-{min(start + _FIRST_VIEW, end)}"
    write_text(folder / SESSION, session_xml(address, _ANNOTATION if features else None, shown, locus))
    sources = Sources(folder, title, fasta, annotation if features else None, shown, tracks.bin_size, locus)
    write_script(folder)
    serve = f"python -m evaluation.browse {shlex.quote(f'{run.parent.name}/{run.name}')}"
    write_text(folder / PAGE, page(sources, address, serve))
    files = {name: track.path for name, track in written.items()}
    return BrowserFiles(folder, files, tracks.bin_size, sources.embedded, portable, features)


def _genome(fasta: Path, folder: Path) -> tuple[Path, bool]:
    """The genome's file, and whether it is a copy in the folder."""
    if fasta.stat().st_size > _MOST_COPIED_BYTES:
        return fasta, False
    for name in (fasta.name, f"{fasta.name}.fai"):
        shutil.copyfile(fasta.with_name(name), folder / name)
    return folder / fasta.name, True


def _sequences(run: Path) -> pd.DataFrame:
    return read_table(run / "prepare" / "sequences.parquet", ["seqid", "length"])
