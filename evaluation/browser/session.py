"""What the tracks look like, and the session file of the IGV desktop browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from evaluation.browser.bigwig import Track
from evaluation.drawing.style import COLOURS
from evaluation.per_base.scores import UNIFORM_NLL

#: The axis of gains ends at so many standard deviations, and at least here, in nats per base.
_GAIN_SPREADS, _LEAST_GAIN = 4, 0.05


@dataclass(frozen=True)
class TrackLook:
    """How a bigWig file is shown.

    Attributes
    ----------
    file : str
        Name within the folder of the browser.
    name : str
        What the reader sees.
    colour, negative : str
        Of values above and below 0, `#RRGGBB`.
    low, high : float
        Ends of the axis.
    guide : float
        Where the uniform guess lies.
    """

    file: str
    name: str
    colour: str
    negative: str
    low: float
    high: float
    guide: float

    @property
    def is_signed(self) -> bool:
        """Whether values lie on both sides of 0, and are drawn as bars from there."""
        return self.low < 0


def looks(tracks: Mapping[str, Track], labels: Mapping[str, str]) -> list[TrackLook]:
    """Colours, axes and names of the tracks of `evaluation.browser.bigwig.TrackTally`; one axis for each kind."""
    return [_look(name, track, labels) for name, track in tracks.items()]


def _look(name: str, track: Track, labels: Mapping[str, str]) -> TrackLook:
    if name == "gain":
        limit = max(_GAIN_SPREADS * track.spread, _LEAST_GAIN)
        title = f"gain: NLL {labels['base']} − NLL {labels['adapted']} (nats)"
        return TrackLook(track.path.name, title, COLOURS["adapted"], COLOURS["base"], -limit, limit, 0.0)
    kind, model = name.split("_", 1)
    title, high, guide = {
        "nll": (f"NLL, {labels[model]} (nats)", 2 * UNIFORM_NLL, UNIFORM_NLL),
        "entropy": (f"entropy, {labels[model]} (bits)", 2.0, 2.0),
    }[kind]
    return TrackLook(track.path.name, title, COLOURS[model], COLOURS[model], 0.0, high, guide)


def session_xml(genome: str, annotation: str | None, tracks: Sequence[TrackLook], locus: str) -> str:
    """A session of IGV desktop: genome, annotation and tracks, by paths relative to the session file.

    Parameters
    ----------
    genome : str
        Indexed FASTA file.
    annotation : str or None
        GFF3 file.
    tracks : sequence of TrackLook
    locus : str
        What is shown first, `seqid:start-end`, counted from 1.
    """
    session = ElementTree.Element("Session", genome=genome, locus=locus, version="8")
    resources = ElementTree.SubElement(session, "Resources")
    panel = ElementTree.SubElement(session, "Panel", name="DataPanel")
    for track in tracks:
        ElementTree.SubElement(resources, "Resource", path=track.file, type="bw")
        shown = ElementTree.SubElement(
            panel,
            "Track",
            altColor=_rgb(track.negative),
            attributeKey=track.name,
            autoScale="false",
            clazz="org.broad.igv.track.DataSourceTrack",
            color=_rgb(track.colour),
            height="60",
            id=track.file,
            name=track.name,
            renderer="BAR_CHART" if track.is_signed else "LINE_PLOT",
            visible="true",
            windowFunction="mean",
        )
        ElementTree.SubElement(
            shown,
            "DataRange",
            baseline="0.0",
            drawBaseline="true",
            flipAxis="false",
            maximum=f"{track.high:.4g}",
            minimum=f"{track.low:.4g}",
            type="LINEAR",
        )
    if annotation is not None:
        ElementTree.SubElement(resources, "Resource", path=annotation, type="gff3")
    ElementTree.indent(session)
    return '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n' + ElementTree.tostring(session, "unicode") + "\n"


def _rgb(colour: str) -> str:
    """`#RRGGBB` as IGV desktop writes it."""
    return ",".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))
