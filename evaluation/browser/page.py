"""The web page that shows the tracks with igv.js, without the internet."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evaluation.browser.session import TrackLook
from evaluation.page.text import plural

#: The program that draws, beside the page.
SCRIPT = "igv.min.js"
#: Up to this size, genome, annotation and tracks lie within the page.
MOST_EMBEDDED_BYTES = 30_000_000
#: Says on the page itself what is shown, or why nothing is.
_AFTERWARDS = """
.then(function (shown) {
  var names = shown.findTracks(function () { return true; }).map(function (track) { return track.name || ""; });
  document.body.dataset.tracks = names.filter(Boolean).join("; ");
})
.catch(function (error) { document.getElementById("trouble").textContent = String(error); });"""


@dataclass(frozen=True)
class Sources:
    """What the page shows.

    Attributes
    ----------
    folder : Path
        Of the page and the tracks.
    title : str
    fasta : Path
        Genome, with its index `.fai` beside it.
    annotation : Path or None
        GFF3 file in the folder.
    tracks : sequence of TrackLook
    bin_size : int
        Bases of a bin of the tracks.
    locus : str
        What is shown first, `seqid:start-end`, counted from 1.
    """

    folder: Path
    title: str
    fasta: Path
    annotation: Path | None
    tracks: Sequence[TrackLook]
    bin_size: int
    locus: str

    @property
    def embedded(self) -> bool:
        """Whether the page holds all data itself: a page that is opened as a file may read no other."""
        paths = [self.fasta, *(self.folder / track.file for track in self.tracks)]
        if self.annotation is not None:
            paths.append(self.annotation)
        return sum(path.stat().st_size for path in paths) <= MOST_EMBEDDED_BYTES


def write_script(folder: Path) -> Path:
    """Put igv.js, as the package igv_notebook has it, beside the page."""
    target = folder / SCRIPT
    target.write_bytes((files("igv_notebook") / "js" / SCRIPT).read_bytes())
    return target


def page(sources: Sources, fasta_address: str, serve: str) -> str:
    """The page as HTML; no name from the input can become a part of its code.

    The page may run only igv.js and its own script, and read only from where it lies (Content Security Policy Level 3,
    W3C), so that nothing in an annotation can load anything from elsewhere.

    Parameters
    ----------
    sources : Sources
    fasta_address : str
        Of the genome, relative to the page; used where it is not within the page.
    serve : str
        Command that makes a page readable which does not hold its data.
    """
    script = f"igv.createBrowser(document.getElementById('browser'), {_json(_settings(sources, fasta_address))})"
    script += _AFTERWARDS
    environment = Environment(
        loader=PackageLoader("evaluation.browser"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("browser.html.j2").render(
        title=sources.title,
        bins=plural(sources.bin_size, "base"),
        program=SCRIPT,
        script=Markup(script),  # noqa: S704 - JSON without the letters that end a script
        policy=f"default-src 'none'; script-src 'self' file: 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src data:; connect-src 'self' data: blob:; base-uri 'none'; "
        "form-action 'none'",
        serve=None if sources.embedded else serve,
    )


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    text = json.dumps(value, ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _settings(sources: Sources, fasta_address: str) -> dict[str, Any]:
    """What igv.js is told (https://igv.org/doc/igvjs/)."""
    embedded = sources.embedded
    reference: dict[str, Any] = {"id": sources.title, "name": sources.title, "wholeGenomeView": False}
    if embedded:
        reference |= {"fastaURL": _data(sources.fasta), "indexed": False}
    else:
        reference |= {"fastaURL": fasta_address, "indexURL": f"{fasta_address}.fai"}
    tracks = [_track(track, sources.folder, embedded) for track in sources.tracks]
    if sources.annotation is not None:
        genes = {"type": "annotation", "format": "gff3", "name": "genes", "displayMode": "EXPANDED", "height": 120}
        address = _data(sources.annotation) if embedded else sources.annotation.name
        tracks.insert(0, genes | {"url": address, "color": "#333333", "visibilityWindow": -1, "searchable": True})
    return {
        "reference": reference,
        "locus": sources.locus,
        "loadDefaultGenomes": False,
        "showSampleNames": False,
        "tracks": tracks,
    }


def _track(track: TrackLook, folder: Path, embedded: bool) -> dict[str, Any]:
    return {
        "type": "wig",
        "format": "bigwig",
        "name": track.name,
        "url": _data(folder / track.file) if embedded else track.file,
        "color": track.colour,
        "altColor": track.negative,
        "graphType": "bar" if track.is_signed else "line",
        "min": track.low,
        "max": track.high,
        "height": 60,
        "guideLines": [{"y": track.guide, "color": "#7F7F7F", "dotted": True}],
    }


def _data(path: Path) -> str:
    """A file as a `data:` address: text compressed, bigWig, which is so already, as it is."""
    content = path.read_bytes()
    kind = "application/octet-stream"
    if path.suffix != ".bw":
        content, kind = gzip.compress(content, mtime=0), "application/gzip"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
