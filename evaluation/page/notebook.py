"""Sections, tables and figures of a report, shown in a notebook."""

from __future__ import annotations

import base64
import io

from IPython.display import HTML, display
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table

#: Dots per inch of a figure's file, and of its place on the screen.
_DPI, _SCREEN_DPI = 160, 110


def show(*parts: Section | Table | Figure) -> None:
    """Show parts of a report below the cell that calls this.

    Call it within `evaluation.drawing.style.applied`, like what draws the figures.

    Parameters
    ----------
    *parts : Section, Table or Figure
        A section is shown with its remarks, figures and tables. Its links are left out: they hold beside the report
        only. A figure has no caption.
    """
    loader = PackageLoader("evaluation.page")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("notebook.html.j2")
    for part in parts:
        html = template.render(section=_as_section(part), image=_image, width=_width)
        display(HTML(html))  # type: ignore[no-untyped-call]


def _as_section(part: Section | Table | Figure) -> Section:
    if isinstance(part, Section):
        return part
    if isinstance(part, Table):
        return Section("", tables=[part])
    return Section("", pictures=[Picture("", part, "", "")])


def _image(picture: Picture) -> str:
    """The figure as a `data:` address."""
    stream = io.BytesIO()
    picture.figure.savefig(stream, format="png", dpi=_DPI)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _width(picture: Picture) -> int:
    """Pixels that the figure takes on a screen."""
    return round(picture.figure.get_figwidth() * _SCREEN_DPI)
