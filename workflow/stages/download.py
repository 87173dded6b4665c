"""Stage `download`: what the configuration says of the genome's files in; the files, checked, out."""

from __future__ import annotations

from pathlib import Path

from workflow.artifacts import write_json
from workflow.config import Config, GenomeConfig
from workflow.errors import InputError
from workflow.genome.download import SourceFile, check, fetch
from workflow.genome.files import find, locate_all
from workflow.genome.web import file_name, hide_secrets, is_allowed, is_url
from workflow.stages.context import StageContext

#: What the stage reads of the configuration.
SECTIONS = (
    "genome.name",
    *(f"genome.{role}{of}" for role in ("fasta", "annotation") for of in ("", "_sha256", "_bytes")),
)


def download(context: StageContext) -> dict[str, object]:
    """Fetch what is at a URL and not yet here, and check every file of the genome.

    Downloads go to `data/<genome.name>/`, since several runs may share a genome. `files.json` of the run tells
    by role (fasta, annotation) the path, the URL, the bytes and the SHA-256 of what it uses.

    Raises
    ------
    InputError
        A file is missing, cannot be downloaded, or is not the one that the configuration means.
    """
    record = {}
    for file in source_files(context.config.genome):
        if not file.path.exists():
            fetch(file, context.config.seed)
        description = check(file)
        record[file.key.removeprefix("genome.")] = {
            "path": str(file.path),
            "url": file.shown_url,
            "bytes": description["bytes"],
            "sha256": description["sha256"],
        }
    write_json(context.out / "files.json", record)
    return {f"{role}_bytes": told["bytes"] for role, told in record.items()}


def forecast(config: Config) -> list[str]:
    """What would be downloaded, from where, to where."""
    files = [file for file in source_files(config.genome) if not file.path.exists()]
    size = {file.key: f", {file.size:,} bytes" if file.size else "" for file in files}
    return [f"fetches {file.shown_url}{size[file.key]}, to {file.path}" for file in files]


def source_files(genome: GenomeConfig) -> list[SourceFile]:
    """The files that a genome is made of. Those at a URL need not be there yet.

    Raises
    ------
    InputError
        A local file does not exist; or a URL cannot be used, or not together with the other one.
    """
    named = {role: path for role in ("fasta", "annotation") if (path := getattr(genome, role))}
    local = [path for path in named.values() if not is_url(path)]
    paths = dict(zip(local, locate_all(local, genome.source), strict=True))
    files = [
        SourceFile(
            key=f"genome.{role}",
            path=paths[path] if path in paths else _place(f"genome.{role}", path, genome.name),
            url=None if path in paths else path,
            sha256=(getattr(genome, f"{role}_sha256") or "").lower() or None,
            size=getattr(genome, f"{role}_bytes"),
        )
        for role, path in named.items()
    ]
    if len({file.path for file in files}) < len({file.url or str(file.path) for file in files}):
        raise InputError(
            f"genome.fasta and genome.annotation would both be downloaded to {files[0].path}: download one of them "
            "yourself and give its path"
        )
    return files


def _place(key: str, url: str, name: str) -> Path:
    """Where a download goes: below the working directory, or where it already is in the project's own `data`."""
    if not is_allowed(url):
        raise InputError(
            f"{key}={hide_secrets(url)} cannot be downloaded: give an https URL without blanks or accents, or a path"
        )
    base = file_name(url)
    if base is None:
        raise InputError(
            f"{key}={hide_secrets(url)} does not end in the name of a file: download it yourself and give its path"
        )
    path = Path("data", name, base)
    return find(path) or path.absolute()
