"""Figures inside a page: small enough that the page can be sent by mail."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from evaluation.drawing import style

#: Dots per inch of a figure's picture in the page; the coarser ones where many figures need it.
PAGE_DPI = (200, 150, 110, 80, 60, 40)
_COLOURS = 256


def embedded(files: Iterable[Path], budget: int) -> dict[Path, str]:
    """Figures as `data:` addresses, all with the same and the finest resolution with which they fit.

    Parameters
    ----------
    files : iterable of Path
        PNG files with `style.PRINT_DPI` dots per inch.
    budget : int
        Characters that the addresses may take together. The coarsest resolution is used even where it takes more.
    """
    paths = list(files)
    images: dict[Path, str] = {}
    for dpi in PAGE_DPI:
        images = {path: _as_data_uri(path, dpi) for path in paths}
        if sum(map(len, images.values())) <= budget:
            break
    return images


def _as_data_uri(path: Path, dpi: int) -> str:
    """A PNG file at another resolution, with a palette: a third of the size, and no difference that is seen."""
    with Image.open(path) as image:
        size = [max(round(pixels * dpi / style.PRINT_DPI), 1) for pixels in image.size]
        small = image.convert("RGB").resize((size[0], size[1]), Image.Resampling.LANCZOS)
    # Coverage of the colours rather than their frequency: a thin line's colour is rare, and must not change.
    palette = small.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    palette.save(stream, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
