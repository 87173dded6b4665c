from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from evaluation.drawing import style
from evaluation.preparation.reading import read_preparation, write_summary
from evaluation.preparation.tables import accounting_table, annotation_table, excluded_runs, windows_table
from workflow.artifacts import InputError, write_json

GATES = [
    {"name": "quiet", "passed": True, "saw": "1", "limit": "2", "why": "because.", "subject": ""},
    {"name": "loud", "passed": False, "saw": "3 < 4", "limit": "2", "why": "It matters.", "subject": "test"},
]
HOMOLOGY = [
    ("Chr1A", "Chr1B", 900, 0.6, "1", "1", "homologs"),
    ("Chr2A", "Chr3B", 400, 0.4, "2", "3", "joined"),
    ("scaffold_1", "Chr3A", 90, 0.9, "", "3", "scaffold excluded"),
]


class Page(HTMLParser):
    """Tags, images and visible text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def polyploid(tmp_path_factory: pytest.TempPathFactory, write_polyploid: Callable[..., Path]) -> Path:
    folder = write_polyploid(tmp_path_factory.mktemp("polyploid"), homology=HOMOLOGY, copies=0.02)
    write_json(folder / "mixture.json", {"regions": 0.75, "tiling": 0.25})
    write_summary(folder, ["312 CDS have an <internal> stop."], GATES, "R&D570")
    return folder


def test_page_stands_alone_with_its_figures_beside_it(polyploid: Path) -> None:
    page = Page(polyploid / "summary.html")
    assert page.tags.count("img") == 2
    assert all(source.startswith(("data:image/png;base64,", "#section-")) for source in page.sources)
    assert page.tags.count("script") == 1
    assert imread(polyploid / "figures" / "karyotype.png").shape[1] == pytest.approx(7.08 * style.PRINT_DPI, abs=2)
    assert imread(polyploid / "figures" / "leakage.png").shape[1] == pytest.approx(7.08 * style.PRINT_DPI, abs=2)


def test_warnings_come_before_gates_before_the_genome(polyploid: Path) -> None:
    text = Page(polyploid / "summary.html").text
    wanted = ["R&D570", "1 gate fired", "3 < 4", "1 warning of", "312 CDS have an <internal> stop.", "83 sequences"]
    places = [text.index(part) for part in [*wanted, "10 homolog groups"]]
    assert places == sorted(places)


def test_what_is_told_of_a_polyploid(polyploid: Path) -> None:
    text = Page(polyploid / "summary.html").text
    assert "10 homolog groups of 8 sequences Haplotypes A, B, C, D, E, F, G, H" in text
    assert "Split by whole homolog groups train 1, 2, 3, 5, 6, 8, 9, 10 val 4 test 7" in text
    assert "2.0 % of test windows and 2.0 % of val windows have a near copy (≥ 50 % of their 31-mers" in text
    assert "a random split of the same genome would have 9" in text
    assert "Chr2A (group 2) Chr3B (group 3) joined 40.0 % 400" in text
    assert "scaffold_1 (unplaced) Chr3A (group 3) scaffold excluded 90.0 %" in text
    assert "1 pair of one group by name" in text
    assert "regions whole regions of train" in text


def test_a_plastid_in_blocks_without_warnings(tmp_path: Path, write_plastid: Callable[..., Path]) -> None:
    write_summary(write_plastid(tmp_path), [], [], "plastid")
    text = Page(tmp_path / "summary.html").text
    assert "The preparation gave no warnings." in text
    assert "Split by blocks" in text
    assert "1 sequence without homologs Circular NC_000932.1" in text
    assert "Homologs that the names do not show" not in text


def test_without_an_audit_nothing_is_claimed(tmp_path: Path, write_plastid: Callable[..., Path]) -> None:
    write_summary(write_plastid(tmp_path, audit=False), [], [], "plastid")
    text = Page(tmp_path / "summary.html").text
    assert "The split was not audited (split.audit=false): nothing is known of leakage." in text
    assert not (tmp_path / "figures" / "leakage.png").exists()


def test_windows_without_kmers_leave_no_figure(tmp_path: Path, write_plastid: Callable[..., Path]) -> None:
    folder = write_plastid(tmp_path)
    windows = pd.read_parquet(folder / "leakage.parquet")
    windows.assign(containment=float("nan"), excluded=False).to_parquet(folder / "leakage.parquet")
    write_summary(folder, [], [], "plastid")
    assert "No window of val or test could be compared with train." in Page(folder / "summary.html").text


def test_summary_is_the_same_every_time(polyploid: Path, tmp_path: Path, write_polyploid: Callable[..., Path]) -> None:
    folder = write_polyploid(tmp_path, homology=HOMOLOGY, copies=0.02)
    write_json(folder / "mixture.json", {"regions": 0.75, "tiling": 0.25})
    write_summary(folder, ["312 CDS have an <internal> stop."], GATES, "R&D570")
    assert (folder / "summary.html").read_bytes() == (polyploid / "summary.html").read_bytes()


def test_hostile_names_are_escaped(tmp_path: Path, write_plastid: Callable[..., Path]) -> None:
    write_summary(write_plastid(tmp_path, "<script>$x$_^</script>"), ["<script>"], [], "<script>alert()</script>")
    page = Page(tmp_path / "summary.html")
    assert page.tags.count("script") == 1
    assert "<script>$x$_^</script>" in page.text


@pytest.mark.parametrize(
    "missing", ["sequences.parquet", "density.parquet", "split.parquet", "windows.json", "naive.parquet"]
)
def test_missing_artefacts_are_named(tmp_path: Path, write_plastid: Callable[..., Path], missing: str) -> None:
    (write_plastid(tmp_path) / missing).unlink()
    with pytest.raises(InputError, match=f"{missing} does not exist"):
        read_preparation(tmp_path, {})


def test_warnings_are_read_back(tmp_path: Path, write_plastid: Callable[..., Path]) -> None:
    write_json(write_plastid(tmp_path) / "summary.json", {"warnings": ["Beware."]})
    assert read_preparation(tmp_path, {}).warnings == ["Beware."]
    (tmp_path / "summary.json").write_text(json.dumps({}))
    with pytest.raises(InputError, match="written by another version"):
        read_preparation(tmp_path, {})


def test_accounting_names_reasons_and_sums() -> None:
    table = accounting_table({"train": 700, "val": 0, "test": 100}, {"n_run": 150, "short": 0, "odd_one": 50}, 1000)
    assert table.rows == [
        ["train", "700", "70.0 %"],
        ["val", "0", "0.0 %"],
        ["test", "100", "10.0 %"],
        ["left out: runs of N", "150", "15.0 %"],
        ["left out: odd one", "50", "5.0 %"],
        ["sum", "1,000", "100.0 %"],
    ]
    assert table.fired == {5}


def test_excluded_windows_become_runs() -> None:
    rows = [
        ("c1", 0, 10, "val", 0.6, "c9", 100, 120, "-"),
        ("c1", 10, 20, "val", 0.9, "c9", 90, 110, "-"),
        ("c1", 30, 40, "val", 0.7, "c9", 70, 90, "-"),
        ("c1", 40, 50, "val", 0.7, "c9", 700, 720, "-"),
        ("c1", 50, 60, "val", 0.7, "c9", 700, 720, "+"),
        ("c2", 60, 70, "val", 0.7, "c9", 700, 720, "+"),
        ("c2", 70, 80, "test", 0.7, "c9", 700, 720, "+"),
    ]
    columns = ["seqid", "start", "end", "split", "containment", "train_seqid", "train_start", "train_end"]
    runs = excluded_runs(pd.DataFrame(rows, columns=[*columns, "train_strand"]))
    first = runs.iloc[0]
    assert (first["start"], first["end"], first["windows"], first["bases"]) == (0, 20, 2, 20)
    assert (first["train_start"], first["train_end"], first["containment"]) == (90, 120, 0.9)
    assert runs["windows"].tolist() == [2, 1, 1, 1, 1, 1]


def test_window_sets_and_mixture() -> None:
    told = {
        "kind": "genic",
        "windows": {"train": 10, "val": 2},
        "bases": {"train": 1000, "val": 200},
        "dropped": {"crosses_region": 3, "short": 0},
        "mean_weight": {"train": None},
    }
    table = windows_table({"genes": told}, {"regions": 3.0})
    assert table.rows == [
        ["genes", "genic", "3 crosses region", "10", "2", "0", "1,200", "–", "–"],
        ["regions", "whole regions of train", "–", "–", "–", "–", "–", "–", "100.0 %"],
    ]
    assert windows_table({"genes": told}, {}).rows == [table.rows[0][:-1]]


def test_annotation_shows_counts_shares_and_nothing_else() -> None:
    rows = annotation_table(
        {"genes": 1200, "share_with_internal_stop": 0.0061, "warnings": ["x"], "bases": {"cds_0": 5, "gap": 0}}
    )
    assert rows.rows == [["genes", "1,200"], ["share with internal stop", "0.6 %"], ["bases: cds 0", "5"]]
