"""What every page is made of, and how it becomes one HTML file that needs no other."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from evaluation.drawing import style
from evaluation.page.images import embedded
from evaluation.page.sorting import sort_attribute
from evaluation.page.tables import Table

#: What a page may weigh: mail takes it.
MOST_BYTES = 15_000_000


@dataclass(frozen=True)
class Picture:
    """A figure of the page: file name without suffix, what it shows, and how to read it."""

    name: str
    figure: Figure
    title: str
    reading: str


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading.

    Attributes
    ----------
    title : str
    tables, pictures, remarks : list
    lines : list of tuple
        Facts as label and text.
    links : list of tuple
        Text, and address of a file relative to the page.
    level : int
        2, or 3 for a part of the section before it.
    folded : bool
        Shown by its title until the reader opens it. Printed in full.
    """

    title: str
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    level: int = 2
    folded: bool = False


def save_figures(parts: list[Section], folder: Path) -> None:
    """Write every figure of the page at print resolution."""
    for part in parts:
        for picture in part.pictures:
            style.save(picture.figure, folder / f"{picture.name}.png")


def render(template: str, figures: Path, **content: Any) -> str:
    """Fill a template with its content; every name from the input is escaped.

    A browser runs only the page's own script and fetches nothing, whatever a name from the input says: the page
    forbids it by the hashes of its script and its style (Content Security Policy Level 3, W3C). The figures are
    embedded as finely as `MOST_BYTES` allow.

    Parameters
    ----------
    template : str
        File name in `evaluation/page/templates`.
    figures : Path
        Where `save_figures` has put the figures.
    """
    loader = PackageLoader("evaluation.page")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["sort_attribute"] = sort_attribute
    style_sheet, script = (loader.get_source(environment, name)[0] for name in ("page.css", "page.js"))
    page = environment.get_template(template)
    fixed = {
        "style": Markup(style_sheet),  # noqa: S704 - a file of this package
        "script": Markup(script),  # noqa: S704
        "policy": f"default-src 'none'; img-src data:; style-src {_source(style_sheet)}; "
        f"script-src {_source(script)}; base-uri 'none'; form-action 'none'",
    }
    without_images = page.render(content, **fixed, image=lambda picture: "")
    files = {picture.name: figures / f"{picture.name}.png" for part in content["sections"] for picture in part.pictures}
    images = embedded(files.values(), MOST_BYTES - len(without_images.encode()))
    return page.render(content, **fixed, image=lambda picture: images[files[picture.name]])


def _source(text: str) -> str:
    """The hash by which a page allows one script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
