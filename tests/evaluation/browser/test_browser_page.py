"""The page in a real browser, headless and without the internet."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from evaluation.browser import folder as folders
from evaluation.browser import page as pages
from evaluation.browser.folder import BrowserFiles
from evaluation.browser.server import new_server
from evaluation.drawing.style import COLOURS

Make = Callable[..., BrowserFiles]
WINDOWS = [("chr2", 0, 100, "+"), ("chr2", 100, 250, "-"), ("chr10", 800, 900, "+")]
NAMES = [
    "genes",
    "gain: NLL base − NLL adapted (nats)",
    "NLL, base (nats)",
    "NLL, adapted (nats)",
    "NLL, Markov <order> 3 & more (nats)",
    "entropy, base (bits)",
    "entropy, adapted (bits)",
]


def show(address: str, folder: Path) -> tuple[str, np.ndarray]:
    """Open a page in Chromium without a network; returns its elements and its picture (rows, columns, 3)."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("install Debian's chromium: apt-get install chromium")
    picture = folder / "page.png"
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900"]
    options += [f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    options += ["--virtual-time-budget=15000", f"--screenshot={picture}", "--dump-dom", address]
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, imread(picture)[..., :3]


def require_drawn(elements: str, picture: np.ndarray) -> None:
    """All tracks are there, nothing went wrong, and every model's colour is in the picture."""
    assert '<p id="trouble"></p>' in elements
    found = re.search(r'data-tracks="([^"]*)"', elements)
    assert found is not None
    assert [name for name in unescape(found[1]).split("; ") if name in NAMES] == NAMES
    for model in ("base", "adapted", "markov"):
        near = np.abs(picture - np.array(to_rgb(COLOURS[model]))).max(axis=2) < 0.02
        assert near.sum() > 50, model


def test_a_double_click_shows_the_tracks(make_browser: Make, tmp_path: Path) -> None:
    page = make_browser(WINDOWS).folder / "browser.html"
    require_drawn(*show(page.as_uri(), tmp_path))


def test_a_large_genome_is_shown_by_the_server(
    make_browser: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_MOST_COPIED_BYTES", 10)
    monkeypatch.setattr(pages, "MOST_EMBEDDED_BYTES", 10)
    run = make_browser(WINDOWS).folder.parent.parent
    with new_server(run, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/evaluate/browser/browser.html"
            require_drawn(*show(address, tmp_path))
        finally:
            server.shutdown()
            thread.join()


def test_a_page_whose_script_was_changed_runs_nothing(make_browser: Make, tmp_path: Path) -> None:
    page = make_browser(WINDOWS).folder / "browser.html"
    page.write_text(page.read_text().replace("igv.createBrowser", "document.title = 'mine'; igv.createBrowser"))
    elements, _ = show(page.as_uri(), tmp_path)
    assert "<title>mine" not in elements
    assert "data-tracks" not in elements
