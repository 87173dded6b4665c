"""The part of a report that leads to the browser."""

from __future__ import annotations

from collections.abc import Mapping

from evaluation.browser.folder import FOLDER, PAGE, SESSION, BrowserFiles
from evaluation.page.layout import Section
from evaluation.page.text import plural


def browser_section(files: BrowserFiles, labels: Mapping[str, str]) -> Section:
    """Links to the page, the session and every track, and how to open them.

    Parameters
    ----------
    files : BrowserFiles
    labels : mapping
        What each model is called.
    """
    opening = (
        "The page opens by a double click and needs no internet."
        if files.embedded
        else "This genome is too large for a page that holds everything: the command python -m evaluation.browse RUN "
        "shows it."
    )
    moving = (
        f"The folder {FOLDER} can be moved as a whole."
        if files.portable
        else "The genome is read where the run folder has it: move the run folder as a whole."
    )
    remark = (
        f"Tracks along the genome: means over bins of {plural(files.bin_size, 'base')}, of the bases that every model "
        f"scored. {opening} IGV on the desktop opens {SESSION} (File, Open Session). {moving}"
    )
    links = [
        ("genome browser", f"{FOLDER}/{PAGE}"),
        ("IGV session", f"{FOLDER}/{SESSION}"),
        *((_title(name, labels), f"{FOLDER}/{path.name}") for name, path in files.tracks.items()),
    ]
    return Section("Along the genome", remarks=[remark], links=links)


def _title(name: str, labels: Mapping[str, str]) -> str:
    if name == "gain":
        return f"bigWig: gain, NLL {labels['base']} − NLL {labels['adapted']} (nats)"
    kind, model = name.split("_", 1)
    return f"bigWig: {kind.replace('nll', 'NLL')}, {labels[model]} ({'nats' if kind == 'nll' else 'bits'})"
