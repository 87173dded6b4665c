"""What every page is made of, and how it becomes one HTML file that needs no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from evaluation.drawing import style
from evaluation.page.tables import Table


@dataclass(frozen=True)
class Picture:
    """A figure of the page: file name without suffix, what it shows, and how to read it."""

    name: str
    figure: Figure
    title: str
    reading: str


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading; `lines` are facts as label and text."""

    title: str
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)


def save_figures(parts: list[Section], folder: Path) -> None:
    """Write every figure of the page at print resolution."""
    for part in parts:
        for picture in part.pictures:
            style.save(picture.figure, folder / f"{picture.name}.png")


def render(template: str, figures: Path, **content: Any) -> str:
    """Fill a template with its content; every name from the input is escaped.

    Parameters
    ----------
    template : str
        File name in `evaluation/templates`.
    figures : Path
        Where `save_figures` has put the figures.
    """
    environment = Environment(
        loader=PackageLoader("evaluation.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        content, data_uri=lambda name: style.as_data_uri(figures / f"{name}.png")
    )
