from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from evaluation.browser import folder as folders
from evaluation.browser import page as pages
from evaluation.browser.folder import BrowserFiles
from evaluation.browser.section import browser_section

Make = Callable[..., BrowserFiles]
LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov"}
WINDOWS = [("chr2", 0, 100, "+"), ("chr2", 100, 250, "-"), ("chr10", 800, 900, "+")]


def settings(files: BrowserFiles) -> dict[str, object]:
    """What the page tells igv.js."""
    html = (files.folder / "browser.html").read_text()
    found = re.search(r"createBrowser\(document.getElementById\('browser'\), (.*)\)\s*\.then", html)
    assert found is not None
    read: dict[str, object] = json.loads(found[1])
    return read


def test_session_is_xml_that_names_every_file_relatively(make_browser: Make) -> None:
    files = make_browser(WINDOWS)
    session = ElementTree.parse(files.folder / "session.xml").getroot()
    assert session.tag == "Session"
    assert session.get("locus") == "chr2:1-250"
    paths = [resource.get("path") for resource in session.iter("Resource")]
    assert paths == [path.name for path in files.tracks.values()] + ["annotation.gff3"]
    for path in [*paths, session.get("genome")]:
        assert (files.folder / str(path)).exists()
    tracks = {track.get("id"): track for track in session.iter("Track")}
    assert tracks["nll_markov.bw"].get("name") == "NLL, Markov <order> 3 & more (nats)"
    assert tracks["gain.bw"].get("color") == "213,94,0"
    ranges = {str(name): (track[0].get("minimum"), track[0].get("maximum")) for name, track in tracks.items()}
    assert ranges["entropy_base.bw"] == ("0", "2")
    assert ranges["nll_base.bw"] == ranges["nll_adapted.bw"] == ranges["nll_markov.bw"]
    # The models differ by 0.5 everywhere.
    assert ranges["gain.bw"] == ("-0.05", "0.05")


def test_a_small_genome_lies_within_the_page(make_browser: Make) -> None:
    files = make_browser(WINDOWS)
    read = settings(files)
    assert files.embedded
    assert files.portable
    reference = read["reference"]
    assert isinstance(reference, dict)
    kind, data = reference["fastaURL"].split(",")
    assert kind == "data:application/gzip;base64"
    assert gzip.decompress(base64.b64decode(data)) == (files.folder / "genome.fa").read_bytes()
    tracks = read["tracks"]
    assert isinstance(tracks, list)
    assert [track["name"] for track in tracks[:2]] == ["genes", "gain: NLL base − NLL adapted (nats)"]
    assert base64.b64decode(tracks[1]["url"].split(",")[1]) == files.tracks["gain"].read_bytes()
    assert (files.folder / "igv.min.js").stat().st_size > 1_000_000


def test_a_large_genome_is_referred_to(make_browser: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_MOST_COPIED_BYTES", 10)
    monkeypatch.setattr(pages, "MOST_EMBEDDED_BYTES", 10)
    files = make_browser(WINDOWS)
    read = settings(files)
    assert not files.embedded
    assert not files.portable
    reference = read["reference"]
    assert isinstance(reference, dict)
    assert reference["fastaURL"] == "../../prepare/genome.fa"
    assert reference["indexURL"] == "../../prepare/genome.fa.fai"
    assert not (files.folder / "genome.fa").exists()
    assert ElementTree.parse(files.folder / "session.xml").getroot().get("genome") == "../../prepare/genome.fa"
    html = (files.folder / "browser.html").read_text()
    assert "python -m evaluation.browse &#39;runs/toy &amp; &lt;b&gt;&#39;" in html


def test_no_name_becomes_code(make_browser: Make) -> None:
    html = (make_browser(WINDOWS).folder / "browser.html").read_text()
    assert "<b>" not in html
    assert html.count("<script") == html.count("</script>") == 2
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "http" not in policy[1]
    assert "unsafe" not in policy[1].split("script-src")[1].split(";")[0]


def test_annotation_is_gff3_that_browsers_draw(make_browser: Make) -> None:
    lines = (make_browser(WINDOWS).folder / "annotation.gff3").read_text().splitlines()
    name = "Name=</script><b>alpha"
    assert lines == [
        "##gff-version 3",
        f"chr2\tx\tgene\t31\t150\t.\t+\t.\tID=g%3B1;{name}",
        f"chr2\tx\tmRNA\t31\t150\t.\t+\t.\tID=g%3B1.transcript1;Parent=g%3B1;{name}",
        "chr2\tx\tCDS\t31\t60\t.\t+\t0\tID=p1;Parent=g%3B1.transcript1",
        "chr2\tx\tCDS\t91\t150\t.\t+\t0\tID=p1;Parent=g%3B1.transcript1",
        "chr10\tx\tgene\t881\t900\t.\t-\t.\tID=g2;Name=origin",
        "chr10\tx\tgene\t1\t20\t.\t-\t.\tID=g2;Name=origin",
    ]


def test_rows_of_a_trans_spliced_gene_have_transcripts_of_their_own(make_browser: Make) -> None:
    columns = ["seqid", "source", "type", "start", "end", "strand", "phase", "id", "parent", "name"]
    rows = [
        ("chr2", None, "gene", 0, 50, "-", None, "g", None, None),
        ("chr2", None, "gene", 100, 200, "+", None, "g", None, None),
        ("chr2", None, "CDS", 0, 50, "-", 0, "p", "g", None),
        ("chr2", None, "CDS", 100, 130, "+", 2, "p", "g", None),
        ("chr2", None, "mRNA", 100, 130, "+", None, "t,1", "h%2C1,h2", None),
    ]
    lines = (
        make_browser(WINDOWS, annotation=pd.DataFrame(rows, columns=columns)).folder / "annotation.gff3"
    ).read_text()
    attributes = [line.split("\t")[8] for line in lines.splitlines()[1:]]
    assert attributes == [
        "ID=g",
        "ID=g.transcript1;Parent=g",
        "ID=g",
        "ID=g.transcript2;Parent=g",
        "ID=p;Parent=g.transcript1",
        "ID=p;Parent=g.transcript2",
        "ID=t%2C1;Parent=h%2C1,h2",
    ]


def test_a_genome_without_annotation_has_no_genes(make_browser: Make) -> None:
    columns = ["seqid", "source", "type", "start", "end", "strand", "phase", "id", "parent", "name"]
    files = make_browser(WINDOWS, annotation=pd.DataFrame(columns=columns))
    assert files.features == 0
    assert not (files.folder / "annotation.gff3").exists()
    tracks = settings(files)["tracks"]
    assert isinstance(tracks, list)
    assert tracks[0]["type"] == "wig"


def test_section_links_to_every_file(make_browser: Make) -> None:
    files = make_browser(WINDOWS, bin_size=1)
    section = browser_section(files, LABELS)
    for _, address in section.links:
        assert (files.folder.parent / address).exists()
    assert [text for text, _ in section.links][:3] == [
        "genome browser",
        "IGV session",
        "bigWig: gain, NLL base − NLL adapted (nats)",
    ]
    assert "bins of 1 base," in section.remarks[0]


def test_the_folder_of_a_report_that_is_renamed_keeps_its_addresses(
    make_browser: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(folders, "_MOST_COPIED_BYTES", 10)
    files = make_browser(WINDOWS)
    report = files.folder.parent
    report.rename(report.with_name("report-2"))
    session = ElementTree.parse(report.with_name("report-2") / "browser" / "session.xml").getroot()
    assert (report.with_name("report-2") / "browser" / str(session.get("genome"))).exists()
