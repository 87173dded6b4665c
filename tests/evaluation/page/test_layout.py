from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evaluation.drawing import style
from evaluation.page import layout
from evaluation.page.layout import Picture, Section, render, save_figures
from evaluation.page.tables import Table

HOSTILE = "</script><script>alert(1)</script>\"'><img src=https://example.org/x>"


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def make(sections: list[Section], figures: Path, **changes: Any) -> str:
    save_figures(sections, figures)
    content = {
        "run_name": "toy",
        "genome": "toy",
        "verdict": SimpleNamespace(outcome="none", headline="Nothing.", notes=[]),
        "fired": [],
        "warnings": [],
        "methods": ["Well done."],
        "sections": sections,
    }
    return render("report.html.j2", figures, **content | changes)


def table(rows: int, name: str = "window") -> Table:
    return Table("Gains.", ["window", "gain"], [[f"{name} {row}", f"−{row},000.5"] for row in range(rows)])


def test_every_name_is_escaped_and_only_the_pages_own_script_runs(tmp_path: Path) -> None:
    parts = [
        Section(HOSTILE, [Table(HOSTILE, [HOSTILE, "n"], [[HOSTILE, HOSTILE]])], remarks=[HOSTILE], folded=True),
        Section("b", lines=[(HOSTILE, HOSTILE)], links=[(HOSTILE, HOSTILE)], pictures=[]),
    ]
    gate = {"name": HOSTILE, "stage": HOSTILE, "saw": HOSTILE, "limit": HOSTILE, "why": HOSTILE}
    verdict = SimpleNamespace(outcome="none", headline=HOSTILE, notes=[HOSTILE])
    text = make(
        parts, tmp_path, run_name=HOSTILE, genome=HOSTILE, verdict=verdict, fired=[gate], warnings=[HOSTILE],
        methods=[HOSTILE],
    )  # fmt: skip
    page = Page(text)
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert "<script>alert" not in text
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        digest = hashlib.sha256("".join(page.inside[tag]).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    # A style attribute would be refused by the policy; a handler would be a script of its own.
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_the_contents_lead_to_every_section(tmp_path: Path) -> None:
    parts = [Section("First"), Section("Second", level=3), Section("Gates", folded=True)]
    page = Page(make(parts, tmp_path))
    targets = [str(a["href"])[1:] for a in page.all("a")]
    assert len(targets) == 4
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert set(targets) <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))
    assert (len(page.all("h2")), len(page.all("h3"))) == (3, 1)


def test_only_folded_sections_are_closed_and_they_hold_their_anchor(tmp_path: Path) -> None:
    text = make([Section("Open", [table(1)]), Section("Gates", [table(2)], folded=True)], tmp_path)
    assert text.count("<details>") == text.count("</details>") == 1
    inside = text[text.index("<details>") : text.index("</details>")]
    assert re.search(r"<summary>\s*<h2>Gates</h2>\s*</summary>", inside)
    assert inside.index('id="section-2"') > inside.index("</summary>")
    assert "window 1" in inside


def test_gates_that_fired_come_before_warnings_contents_and_sections(tmp_path: Path) -> None:
    gate = {"name": "loud", "stage": "predict", "saw": "1", "limit": "2", "why": "It matters."}
    text = make([Section("The run")], tmp_path, fired=[gate], warnings=["Careful."])
    places = [text.index(f">{words}") for words in ("Nothing.", "loud", "Careful.", "Contents", "The run</h2>")]
    assert places == sorted(places)
    assert "1 gate fired" in text
    assert "gate fired" not in make([], tmp_path)


def test_number_cells_carry_their_number(tmp_path: Path) -> None:
    cells = Page(make([Section("T", [table(2)])], tmp_path)).all("td")
    assert [cell.get("data-sort") for cell in cells] == [None, "-0.5", None, "-1000.5"]


@pytest.mark.parametrize(("rows", "many"), [(50, False), (51, True)])
def test_long_tables_scroll_on_a_screen(tmp_path: Path, rows: int, many: bool) -> None:
    page = Page(make([Section("T", [table(rows)])], tmp_path))
    [box] = [a for a in page.all("div") if str(a.get("class", "")).startswith("scroll")]
    assert ("many" in str(box["class"])) is many
    assert box.get("tabindex") == ("0" if many else None)
    assert len(page.all("tr")) == rows + 1


def test_an_empty_table_says_none(tmp_path: Path) -> None:
    assert '<td colspan="2">none</td>' in make([Section("T", [table(0)])], tmp_path)


def test_a_page_with_many_large_figures_stays_small_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MOST_BYTES", 250_000)
    generator = np.random.default_rng(1)
    pictures = []
    with style.applied():
        for number in range(6):
            figure = style.new_figure(1, 1.5)
            figure.subplots().imshow(generator.random((150, 200)), aspect="auto", cmap="gray")
            pictures.append(Picture(f"noise{number}", figure, "Noise.", "Nothing to see."))
        text = make([Section("Noise", pictures=pictures, tables=[table(100)])], tmp_path)
    assert len(text.encode()) <= 250_000
    images = Page(text).all("img")
    assert len(images) == 6
    headers = [base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,"))[:24] for image in images]
    # Figures of 1.5 inches have 300 pixels at the finest resolution.
    assert {int.from_bytes(header[16:20], "big") for header in headers} < {225, 165, 120, 90, 60}
    # In the file they keep the resolution of print.
    assert len(list(tmp_path.glob("noise*.png"))) == 6
    assert html.unescape(text).count("noise3.png") == 1


def test_the_same_page_twice_is_the_same(tmp_path: Path) -> None:
    first, second = (make([Section("T", [table(3)])], tmp_path) for _ in range(2))
    assert first == second
