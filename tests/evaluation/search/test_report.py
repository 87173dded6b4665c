from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evaluation import report
from evaluation.findings import Settings
from evaluation.page import sections as page
from evaluation.page.layout import Section
from evaluation.search import tables
from evaluation.search.__main__ import main
from evaluation.search.report import write_report
from workflow.artifacts import run_lock

Make = Callable[..., Path]
HOSTILE = "<script>alert(1)</script>"


class Structure(HTMLParser):
    """Tags of a page, and addresses that it leads to or shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.sources += [value or "" for name, value in attrs if name == "src"]


def test_the_page_stands_alone_leads_to_the_runs_and_is_always_the_same(make_study: Make) -> None:
    space = {"train.dropout": {"low": 0.0, "high": 0.5}, "train.targets": {"choices": [HOSTILE, "all"]}}
    folder = make_study(trials=15, name=HOSTILE, space=space, reason=HOSTILE, states={"pruned": 0.2, "failed": 0.3})
    assert write_report(folder) == folder / "report.html"
    text = (folder / "report.html").read_text()
    assert HOSTILE not in text
    assert text.count(escape(HOSTILE)) > 5
    structure = Structure(text)
    assert structure.tags.count("script") == 1
    assert "link" not in structure.tags
    assert all(source.startswith("data:image/png;base64,") for source in structure.sources)
    assert {path.stem for path in (folder / "figures").iterdir()} == {
        f"search_{name}" for name in ("seeds", "history", "curves", "importances", "slices", "parallel", "costs")
    }
    assert len(structure.sources) == 7
    away = [link for link in structure.links if not link.startswith("#")]
    assert len(away) == 16
    assert all((folder / link).exists() for link in away)
    assert re.search(r"default-src 'none'; .*script-src 'sha256-", unescape(text))
    assert write_report(folder).read_text() == text


def test_a_thousand_trials_of_fifteen_settings_make_a_small_page(
    make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_RESAMPLINGS", 20)
    space = {
        f"train.group.a_long_name_of_setting_{place}": {"low": 1e-3, "high": 9.0, "log": True} for place in range(15)
    }
    written = write_report(make_study(trials=1000, space=space, folders=False))
    assert written.stat().st_size < 5_000_000
    assert written.read_text().count("<tr") > 1000


def test_the_command_writes_the_page(make_study: Make, capsys: pytest.CaptureFixture[str]) -> None:
    space = {"train.dropout": {"low": 0.0, "high": 0.5}}
    folder = make_study(trials=1, space=space, repeats=0, states={})
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert (folder / "report.html").exists()


def test_a_folder_that_is_no_study_is_told_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evaluation.search", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path} is no study (no study.json): give the folder that python -m workflow.sweep wrote\n"
    )
    assert not any(tmp_path.iterdir())


def test_a_study_at_work_is_left_alone(make_study: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_study(trials=1)
    with run_lock(folder):
        assert main([str(folder)]) == 2
    assert "another process works on" in capsys.readouterr().err
    assert not (folder / "report.html").exists()


def test_the_report_of_the_final_run_holds_the_section(
    make_study: Make, make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_study(trials=6, space={"train.dropout": {"low": 0.0, "high": 0.5}})
    shutil.copytree(make_run(windows=2, generated=False), folder / "final")
    # The other parts, which take long to draw, have their own tests.
    for name in ("ranking_section", "window_section"):
        monkeypatch.setattr(page, name, lambda *given: Section("another part"))
    for name in ("_tasks", "_background"):
        monkeypatch.setattr(page, name, lambda *given: [])
    for room in (page.per_base, page.features):
        monkeypatch.setattr(room, "sections", lambda *given: [])
    out = folder / "final" / "evaluate"
    out.mkdir()
    report.build(folder / "final", out, Settings(bootstrap_samples=100, markov_max_order=2, track_bin=0))
    text = (out / "report.html").read_text()
    assert text.index("another part</h2>") < text.index("Search</h2>") < text.index("The noise of the best</h3>")
    assert (out / "figures" / "search_history.png").exists()
    away = [link for link in Structure(text).links if link.startswith("..")]
    assert "../../trials/0003/" in away
    assert all((out / link).exists() for link in away)
