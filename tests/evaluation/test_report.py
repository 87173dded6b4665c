from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from evaluation import report
from evaluation.drawing import style
from evaluation.findings import Settings
from evaluation.per_base.scores import UNIFORM_NLL
from workflow.artifacts import InputError, PerBaseScores, run_lock, write_json

QUICK = Settings(bootstrap_samples=300, markov_max_order=4, track_bin=0)
SCORES = {
    "around_entropy",
    "around_nll",
    "calibration",
    "class_distributions",
    "classes",
    "codon_choices",
    "codon_errors",
    "composition",
    "entropy",
    "heatmap",
    "karyotype",
    "leakage",
    "predictive_logo",
    "ranking",
    "region",
    "scores",
}
GENERATION = {"diversity", "generation_copies", "kmer_plane", "kmers", "lengths", "logo", "sequence_properties"}
FIGURES = SCORES | GENERATION | {"learning_curve"}


@pytest.fixture(scope="module")
def built(improved_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    report.build(improved_run, out, QUICK)
    return out


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes nearly all of the time."""
    monkeypatch.setattr(report, "sections", lambda *unused: [])


def metrics(out: Path) -> dict[str, object]:
    found = json.loads((out / "metrics.json").read_text())
    assert isinstance(found, dict)
    return found


class Structure(HTMLParser):
    """What a browser would do with the page: tags opened, addresses followed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_planted_improvement_reaches_every_output(built: Path) -> None:
    found = metrics(built)
    gain = next(d for d in found["differences"] if d["reference"] == "base" and d["model"] == "adapted")  # type: ignore[attr-defined]
    assert gain["gain_low"] < 0.05 < gain["gain_high"]
    text = (built / "report.html").read_text()
    assert text.index("The adapted model explains 0.0") < text.index("The run</h2>")
    windows = pd.read_csv(built / "tables" / "windows.csv")
    assert windows["rank"].tolist() == list(range(1, 25))
    assert windows["gain"].is_monotonic_decreasing
    np.testing.assert_allclose(windows["nll_base"] - windows["nll_adapted"], windows["gain"])
    assert np.average(windows["gain"], weights=windows["bases"]) == pytest.approx(gain["gain"])


def test_the_run_is_told_in_realised_numbers(built: Path) -> None:
    text = (built / "report.html").read_text()
    assert "24 test windows · base-weighted median length 200 bases" in text
    assert "median sample 300 of at most 512 bases" in text
    assert "1.2 % of the test windows had a copy in train and were left out" in text
    assert "toy · Testudo exempli · turtle.fa.gz · 24,800 bases" in text


@pytest.mark.usefixtures("without_figures")
def test_mass_outside_acgt_is_weighted_by_bases(make_run: Callable[..., Path], tmp_path: Path) -> None:
    store = PerBaseScores(make_run(windows=2) / "predict" / "base")
    index = store.index.assign(start=[0, 300], end=[300, 400], offset=[0, 300], length=[300, 100])
    index.to_parquet(store.folder / "index.parquet")
    scores = pd.read_parquet(store.folder / "scores.parquet")
    scores.assign(outside_acgt=[0.0, 0.4]).to_parquet(store.folder / "scores.parquet")
    run = store.folder.parents[1]
    report.build(run, tmp_path, QUICK)
    assert metrics(tmp_path)["outside_acgt"] == {"base": pytest.approx(0.1)}


def test_page_stands_alone(built: Path) -> None:
    text = (built / "report.html").read_text()
    assert len(text) < 10_000_000
    structure = Structure()
    structure.feed(text)
    assert structure.tags.count("script") == 1
    assert "link" not in structure.tags
    assert structure.tags.count("img") == len(FIGURES)
    assert all(
        address.startswith(("data:image/png;base64,", "#section-", "#methods")) for address in structure.addresses
    )


def test_figures_have_print_resolution(built: Path, print_dpi: int) -> None:
    assert {path.stem for path in (built / "figures").iterdir()} == FIGURES
    assert imread(built / "figures" / "heatmap.png").shape[1] == pytest.approx(7.08 * style.PRINT_DPI, abs=2)
    assert print_dpi == 300
    header = (built / "figures" / "lengths.png").read_bytes()[:200]
    dots_per_metre = int.from_bytes(header[header.index(b"pHYs") + 4 :][:4], "big")
    assert dots_per_metre == pytest.approx(style.PRINT_DPI / 0.0254, abs=1)


def test_same_run_same_report(improved_run: Path, built: Path, tmp_path: Path) -> None:
    report.build(improved_run, tmp_path, QUICK)
    for name in ("metrics.json", "tables/windows.csv", "tables/kmers.csv", "report.html"):
        assert (tmp_path / name).read_bytes() == (built / name).read_bytes()


@pytest.mark.usefixtures("without_figures")
def test_uniform_scores_ln_4_and_certain_scores_zero(
    make_run: Callable[..., Path], predictors: dict[str, object], tmp_path: Path
) -> None:
    headline = report.build(make_run(adapted=predictors["certain"]), tmp_path, QUICK).headline
    # A 16-bit logarithm of 1/4 is off by 0.0004.
    assert headline["nll_base"] == pytest.approx(UNIFORM_NLL, abs=5e-4)
    assert headline["nll_adapted"] == pytest.approx(1e-4, abs=1e-5)
    found = metrics(tmp_path)
    assert [row["accuracy"] for row in found["models"]][:3] == pytest.approx([0.25, 0.25, 1])  # type: ignore[attr-defined]
    assert any("no better than a uniform guess" in note for note in found["verdict"]["notes"])  # type: ignore[index]


def test_base_alone_without_training_or_generation(make_run: Callable[..., Path], tmp_path: Path) -> None:
    headline = report.build(make_run(trained=False, generated=False), tmp_path, QUICK).headline
    assert str(headline["verdict"]).startswith("The base model, without adaptation")
    text = (tmp_path / "report.html").read_text()
    assert "none (zero-shot)" in text
    assert "Nothing was trained in this run." in text
    assert "Generated sequences" not in text
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == SCORES


def test_a_kept_training_of_other_settings_stays_out(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(generated=False)
    manifest = json.loads((run / "predict" / "manifest.json").read_text())
    del manifest["identity"]["stages"]["train"]
    write_json(run / "predict" / "manifest.json", manifest)
    report.build(run, tmp_path, QUICK)
    text = (tmp_path / "report.html").read_text()
    assert "none (zero-shot)" in text
    assert "Nothing was trained in this run." in text
    assert not (tmp_path / "figures" / "learning_curve.png").exists()
    assert not (tmp_path / "tables" / "training.csv").exists()


def test_from_scratch_without_base_on_one_window(
    make_run: Callable[..., Path], predictors: dict[str, object], tmp_path: Path
) -> None:
    run = make_run(base=None, adapted=predictors["noisy"], method="scratch", windows=1, length=2000)
    log = pd.read_parquet(run / "train" / "metrics.parquet")
    log.loc[log["step"] < 10, "value"] = 6.2
    log.to_parquet(run / "train" / "metrics.parquet")
    headline = report.build(run, tmp_path, QUICK).headline
    assert str(headline["verdict"]).startswith("The model, trained from scratch")
    assert "nll_base" not in headline
    text = (tmp_path / "report.html").read_text()
    assert "all weights, from random ones" in text
    assert "There is only one window" in text
    assert "9 early values of up to 6.20 nats per base" in text
    # One long window has coding parts long enough for a spectrum.
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == FIGURES | {"codon_periodicity"}


def test_hostile_names_are_escaped_and_fired_gates_come_first(make_run: Callable[..., Path], tmp_path: Path) -> None:
    gates = (
        {"name": "quiet", "passed": True, "saw": "1", "limit": "2", "why": "because."},
        {"name": "loud", "passed": False, "saw": "<i>3</i>", "limit": "2", "why": "It matters."},
    )
    seqid = "<script>alert('$x$')</script>"
    headline = report.build(
        make_run(gates=gates, seqid=seqid, generated=False),
        tmp_path,
        replace(QUICK, heatmap_window=f"{seqid}:20600-20800(+)"),
    ).headline
    assert headline["gates_fired"] == 2
    text = (tmp_path / "report.html").read_text()
    assert "<b>loud</b> (predict): saw &lt;i&gt;3&lt;/i&gt;, limit 2. It matters." in text
    assert pd.read_csv(tmp_path / "tables" / "gates.csv")["name"].tolist() == ["loud", "beats_baseline", "quiet"]
    assert text.index("loud") < text.index("quiet")
    structure = Structure()
    structure.feed(text)
    assert structure.tags.count("script") == 1
    assert "&lt;script&gt;alert(" in text
    assert "(chosen by the user)" in text


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("predict/manifest.json", "predict holds no finished stage"),
        ("prepare/manifest.json", "prepare holds no finished stage"),
        ("predict/base/index.parquet", r"index\.parquet does not exist"),
        ("predict/base/scores.parquet", r"scores\.parquet does not exist"),
        ("prepare/genome.fa.fai", r"genome\.fa\.fai does not exist: run stage=prepare"),
        ("infer/generations.parquet", r"generations\.parquet does not exist"),
    ],
)
def test_missing_artefacts_are_named(make_run: Callable[..., Path], tmp_path: Path, missing: str, message: str) -> None:
    run = make_run()
    (run / missing).unlink()
    with pytest.raises(InputError, match=message):
        report.build(run, tmp_path, QUICK)


def test_unknown_window_is_refused(make_run: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="heatmap_window=nowhere is no scored window; they are named like toy:20000-20200"
    ):
        report.build(make_run(), tmp_path, replace(QUICK, heatmap_window="nowhere"))


def test_command_builds_again_and_keeps_the_identity(make_run: Callable[..., Path]) -> None:
    run = make_run(generated=False)
    manifest = json.loads((run / "predict" / "manifest.json").read_text()) | {"outputs": [], "counts": {}}
    (run / "evaluate").mkdir()
    (run / "evaluate" / "report.html").touch()
    write_json(run / "evaluate" / "manifest.json", manifest)
    done = subprocess.run(
        [sys.executable, "-m", "evaluation.report", str(run)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONWARNINGS": "error::DeprecationWarning:evaluation"},
    )
    assert done.stdout.strip() == str(run / "evaluate" / "report.html")
    assert done.stderr == ""
    assert metrics(run / "evaluate")["intervals"]["samples"] == 500  # type: ignore[index]
    kept = json.loads((run / "evaluate" / "manifest.json").read_text())
    files = {item["path"]: item["bytes"] for item in kept.pop("outputs")}
    assert files["report.html"] == (run / "evaluate" / "report.html").stat().st_size
    assert {"metrics.json", "tables/windows.csv", "figures/heatmap.png"} < files.keys()
    assert "manifest.json" not in files
    assert kept.pop("counts")["windows"] == 24
    assert [gate["name"] for gate in kept.pop("gates")] == ["beats_baseline"]
    del manifest["gates"]
    assert kept.items() <= manifest.items()


def test_command_waits_for_no_running_workflow(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    with run_lock(run):
        assert report.main([str(run)]) == 2
    assert f"another process works on {run}" in capsys.readouterr().err
    assert not (run / "evaluate").exists()


@pytest.mark.parametrize("change", [{"markov_max_order": None}, {"of_the_future": 1}])
def test_settings_of_another_version_are_refused(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str], change: dict[str, object]
) -> None:
    run = make_run()
    manifest = json.loads((run / "predict" / "manifest.json").read_text())
    settings = manifest["config"]["evaluation"] | change
    manifest["config"]["evaluation"] = {key: value for key, value in settings.items() if change.get(key, 0) is not None}
    write_json(run / "predict" / "manifest.json", manifest)
    assert report.main([str(run)]) == 2
    message = capsys.readouterr().err
    assert "written by another version: run the stage again with stage=predict force=true" in message
    assert message.count("\n") == 1


def test_command_names_faults_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(tmp_path / "absent")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert not (tmp_path / "absent").exists()


def test_command_never_replaces_a_folder_with_other_files(
    make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "thesis.tex"
    kept.write_text("years of work")
    assert report.main([str(make_run()), "--out", str(tmp_path)]) == 2
    assert "holds other files than a report" in capsys.readouterr().err
    assert kept.read_text() == "years of work"
