import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server, serving, status
from tests.stages.conftest import Configure
from workflow.artifacts import read_json, read_manifest
from workflow.config import GenomeConfig
from workflow.dry_run import describe
from workflow.errors import InputError
from workflow.genome import files
from workflow.pipeline import Run
from workflow.stages.download import source_files

ROOT = Path(__file__).parent.parent.parent
PHIX = ROOT / "data" / "demo" / "phix174_NC_001422.1.fa"
CONTENT = gzip.compress(bytes(random.Random(3).choices(b"ACGT\n", k=3_000_000)), 1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Serves phiX174; the working directory is an empty one."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    with serving(PHIX.read_bytes()) as server:
        yield server


def options(server: Server, name: str = "phix.fa") -> tuple[str, ...]:
    return ("genome=custom", "genome.name=phix", f"genome.fasta={server.url(name)}", "runs_folder=runs")


def genome(**settings: Any) -> GenomeConfig:
    return GenomeConfig(**({"name": "x", "source": "the archive"} | settings))


# ---------------------------------------------------------------- what a genome is made of


def test_missing_files_are_all_named_with_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        source_files(genome(fasta="data/x/x.fa", annotation="data/x/x.gff3.gz"))
    folder = tmp_path / "data" / "x"
    assert str(caught.value) == f"{folder / 'x.fa'} and {folder / 'x.gff3.gz'} do not exist (the archive)"
    folder.mkdir(parents=True)
    (folder / "x.fa").write_text(">a\nA\n")
    with pytest.raises(InputError) as caught:
        source_files(genome(fasta="data/x/x.fa", annotation="data/x/x.gff3.gz"))
    assert str(caught.value) == f"{folder / 'x.gff3.gz'} does not exist (the archive)"


@pytest.mark.parametrize("name", ["XTT22", "R570", "ZZ1"])
def test_a_database_that_needs_a_browser(configure: Configure, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    config = configure("stage=download", f"genome={name}")
    with pytest.raises(InputError) as caught:
        Run(config).plan()
    message = str(caught.value)
    assert "\n" not in message and "scdb, whose download pages need a browser; put " in message
    assert message.startswith(f"{tmp_path / config.genome.fasta} and {tmp_path / str(config.genome.annotation)} do not")


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = "https://example.org/genomes/x.fa.gz?download=1"
    fasta, annotation = source_files(genome(fasta=url, annotation=str(PHIX), fasta_sha256="AB", fasta_bytes=7))
    assert (fasta.key, fasta.path, fasta.url) == ("genome.fasta", tmp_path / "data" / "x" / "x.fa.gz", url)
    assert (fasta.sha256, fasta.size) == ("ab", 7)
    assert (annotation.key, annotation.path, annotation.url) == ("genome.annotation", PHIX, None)
    assert (annotation.sha256, annotation.size) == (None, None)


def test_what_the_project_s_data_hold_is_not_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (file,) = source_files(genome(name="demo", fasta=f"https://example.org/{PHIX.name}"))
    assert file.path == PHIX


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"fasta": "http://example.org/x.fa"},
            r"^genome\.fasta=http://example\.org/x\.fa cannot be downloaded: give an h",
        ),
        (
            {"fasta": "ftp://u:hunter2@example.org/x.fa"},
            r"^genome\.fasta=ftp://\*\*\*@example\.org/x\.fa cannot be downl",
        ),
        ({"fasta": "https://example.org/"}, r"^genome\.fasta=https://example\.org/ does not end in the name of a file"),
        (
            {"fasta": "https://example.org/1/download", "annotation": "https://example.org/2/download"},
            r"^genome\.fasta and genome\.annotation would both be downloaded to .*/data/x/download: download one of",
        ),
    ],
)
def test_unusable_urls(settings: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        source_files(genome(**settings))
    assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value)


# ---------------------------------------------------------------- the stage


def test_local_files_are_checked(configure: Configure) -> None:
    config = configure("stage=download", "genome=phix174", "run_name=local")
    Run(config).execute()
    record = read_json(Path(config.runs_folder) / "local" / "download" / "files.json")
    assert list(record) == ["fasta", "annotation"]
    sha256 = hashlib.sha256(PHIX.read_bytes()).hexdigest()
    assert record["fasta"] == {"path": str(PHIX), "url": None, "bytes": PHIX.stat().st_size, "sha256": sha256}
    Run(configure("stage=download", "genome=phix174", "run_name=local", f"genome.fasta_sha256={sha256}")).execute()
    wrong = configure("stage=download", "genome=phix174", "run_name=local", "genome.fasta_bytes=1")
    with pytest.raises(InputError, match=r"\.fa has 5502 bytes, not 1: copy it again, or correct genome\.fasta_bytes$"):
        Run(wrong).execute()


def test_download(server: Server, configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure("stage=download", *options(server))
    told = describe(Run(config)).splitlines()
    place = Path("data/phix/phix.fa").absolute()
    assert told[1:] == [
        "download: would run, a file is not downloaded yet",
        f"  fetches {server.url('phix.fa')}, to {place}",
        f"  reads  {place}",
        "  writes runs/demo/download",
    ]
    assert server.asked == [] and list(Path.cwd().iterdir()) == []
    Run(config).execute()
    assert place.read_bytes() == PHIX.read_bytes()
    record = read_json(Path("runs/demo/download/files.json"))["fasta"]
    assert (record["path"], record["url"]) == (str(place), server.url("phix.fa"))
    (described,) = read_manifest(Path("runs/demo/download"))["inputs"]
    assert described["sha256"] == record["sha256"] and described["url"] == record["url"]
    capsys.readouterr()
    Run(config).execute()
    assert capsys.readouterr().out == "download: skipped, done with the same settings and inputs\n"


def test_a_genome_is_shared_by_runs_and_hashed_once(server: Server, configure: Configure, monkeypatch) -> None:
    Run(configure("stage=download", *options(server))).execute()
    monkeypatch.setattr(files, "_described", {})
    monkeypatch.setattr("workflow.artifacts._HASH_CHUNK_BYTES", None)  # hashing would be a fault
    Run(configure("stage=download", *options(server), "run_name=other")).execute()
    assert len(server.asked) == 1
    one, other = (read_json(Path("runs") / run / "download" / "files.json") for run in ("demo", "other"))
    assert one == other


def test_refused_download_publishes_nothing(server: Server, configure: Configure) -> None:
    server.faults = [status(403)]
    with pytest.raises(InputError, match=r"refuses access.*or put the file at /.*/data/phix/phix\.fa yourself$"):
        Run(configure("stage=download", *options(server))).execute()
    assert not any(path.is_dir() for path in Path("runs/demo").iterdir())
    assert [path.name for path in Path("data/phix").iterdir()] == [".lock"]


def test_secrets_are_in_no_file_and_no_message(server: Server, configure: Configure, monkeypatch, capsys) -> None:
    url = server.url("phix.fa?id=7&token=hunter2").replace("//", "//ana:hunter3@")
    setting = f"genome.fasta='{url}'"
    monkeypatch.setattr(sys, "argv", ["run.py", setting])
    config = configure("stage=download", "genome=custom", "genome.name=phix", setting, "runs_folder=runs")
    say = describe(Run(config))
    server.faults = [status(404)]
    with pytest.raises(InputError) as caught:
        Run(config).execute()
    Run(config).execute()
    written = [path.read_text() for path in Path.cwd().rglob("*") if path.is_file()]
    printed = capsys.readouterr()
    for text in (say, str(caught.value), printed.out, printed.err, *written):
        assert "hunter" not in text
    assert "//***@127.0.0.1" in say and "id=7&token=***" in say
    assert server.asked[-1]["path"].endswith("token=hunter2")
    monkeypatch.setattr(sys, "argv", ["run.py"])
    renewed = setting.replace("hunter2", "hunter4")
    again = configure("stage=download", "genome=custom", "genome.name=phix", renewed, "runs_folder=runs")
    assert all(step.skip for step in Run(again).plan()), "another token is not another genome"


# ---------------------------------------------------------------- the command


def command(server: Server) -> list[str]:
    return [sys.executable, "-m", "workflow.run", "stage=download", *options(server, "big.fa.gz"), "run_name=demo"]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def test_killed_in_the_middle_and_started_again(server: Server) -> None:
    server.content = CONTENT

    def stall(handler: Any) -> None:
        handler.answer(200, CONTENT[:500_000], ETag=server.etag, **{"Content-Length": len(CONTENT)})
        time.sleep(60)

    server.faults = [stall]
    part, target = Path("data/phix/big.fa.gz.part"), Path("data/phix/big.fa.gz")
    process = subprocess.Popen(command(server), env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    came = part.stat().st_size
    assert 100_000 < came <= 500_000 and not target.exists()
    done = subprocess.run(command(server), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert server.asked[-1]["Range"] == f"bytes={came}-"
    assert target.read_bytes() == CONTENT and not part.exists()
    record = json.loads(Path("runs/demo/download/files.json").read_text())["fasta"]
    assert record["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_fault_of_a_download_is_one_line(server: Server) -> None:
    server.content = CONTENT[:-20]
    done = subprocess.run(command(server), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: genome.fasta=http://127.0.0.1") and done.stderr.count("\n") == 1
    assert "the gzip data on the server are cut short or damaged" in done.stderr
    assert not Path("data/phix/big.fa.gz").exists()
