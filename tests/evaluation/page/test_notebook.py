from __future__ import annotations

import base64
import io
import re

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from evaluation.drawing import style
from evaluation.page.layout import Picture, Section
from evaluation.page.notebook import show
from evaluation.page.tables import Table

TABLE = Table("Scores.", ["model", "NLL"], [["base", "1.3"], ["<b>$x$</b>", "1.2"]], fired={1})


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> CapturingDisplayPublisher:
    """What a cell displays."""
    shell = InteractiveShell.instance()
    publisher = CapturingDisplayPublisher()
    monkeypatch.setattr(shell, "display_pub", publisher)
    yield publisher
    InteractiveShell.clear_instance()


def pages(shown: CapturingDisplayPublisher) -> list[str]:
    return [output["data"]["text/html"] for output in shown.outputs]


def test_a_section_has_its_parts_in_order(shown: CapturingDisplayPublisher) -> None:
    with style.applied():
        picture = Picture("curve", style.new_figure(2, 3), "A curve.", "Down is good.")
        show(Section("Loss", [TABLE], [picture], ["Nothing odd."], [("Genome", "A & B")], [("page", "a.html")]))
    (page,) = pages(shown)
    told = ["<h3>Loss</h3>", "Nothing odd.", "A &amp; B", "<img ", "A curve.", "Down is good.", "Scores.", "1.3"]
    places = [page.index(part) for part in told]
    assert places == sorted(places)
    assert "a.html" not in page


def test_a_figure_is_a_sharp_picture_within_the_page(shown: CapturingDisplayPublisher) -> None:
    with style.applied():
        show(style.new_figure(2, 3))
    (page,) = pages(shown)
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (480, 320)
    assert 'width="330"' in page
    assert "<figcaption>" not in page
    assert "<h" not in page


def test_a_table_has_words_left_numbers_right_and_names_as_text(shown: CapturingDisplayPublisher) -> None:
    show(TABLE, Table("Empty.", ["a"], []))
    page, empty = pages(shown)
    assert "<b>" not in page
    assert '<td style="text-align: left">&lt;b&gt;$x$&lt;/b&gt;</td>' in page
    assert '<td style="text-align: right">1.2</td>' in page
    assert page.count("font-weight: bold") == 1
    # A dollar sign in a name is no mathematics.
    assert re.match(r'\s*<div class="tex2jax_ignore mathjax_ignore"', page)
    assert "none" in empty
