from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.page.images import PAGE_DPI, embedded


def decode(address: str) -> Image.Image:
    head, content = address.split(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (600, 900), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def test_a_figure_that_fits_has_the_finest_resolution(noise: Path) -> None:
    image = decode(embedded([noise], 10_000_000)[noise])
    assert image.size == (600, 400)
    assert image.mode == "P"


def test_figures_become_coarser_until_they_fit(noise: Path) -> None:
    finest = len(embedded([noise], 10_000_000)[noise])
    coarser = embedded([noise], finest - 1)[noise]
    assert len(coarser) < finest
    assert decode(coarser).size == (900 * PAGE_DPI[1] // 300, 600 * PAGE_DPI[1] // 300)


def test_nothing_is_left_out_where_no_resolution_fits(noise: Path) -> None:
    assert decode(embedded([noise], 10)[noise]).size == (900 * PAGE_DPI[-1] // 300, 600 * PAGE_DPI[-1] // 300)


def test_rare_colours_of_a_figure_stay_what_they_are(tmp_path: Path) -> None:
    pixels = np.full((300, 300, 3), 255, np.uint8)
    pixels[:, 30:200] = np.linspace(0, 255, 170, dtype=np.uint8)[None, :, None]
    pixels[150:160, 240:250] = (213, 94, 0)
    path = tmp_path / "thin.png"
    Image.fromarray(pixels).save(path)
    small = np.asarray(decode(embedded([path], 10_000_000)[path]).convert("RGB")).astype(int)
    assert np.abs(small[103, 163] - [213, 94, 0]).max() <= 12
    assert small[0, 0].tolist() == [255, 255, 255]


def test_no_figures_are_no_images() -> None:
    assert embedded([], 100) == {}
