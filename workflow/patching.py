"""Small changes to installed packages: read from `patches/`, checked by hash, applied and taken back.

A patch is for exact files: the SHA-256 of each file that it was written for, and of what must come out, stand in
its header. A file with any other hash is left as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml

from workflow.errors import InputError

__all__ = ["PATCHES", "Patch", "PatchStatus", "apply", "is_applied", "load_patch", "load_patches", "revert", "status"]

#: The patches that come with the project.
PATCHES = Path(__file__).resolve().parents[1] / "patches"
#: Where a patch and its file stand; `unknown` and `wrong version` are never touched.
State = Literal["applicable", "applied", "unknown", "wrong version", "not installed"]

_HEADER_KEYS = {"package", "module", "file", "why", "issue", "until", "releases"}
_RELEASE_KEYS = {"versions", "before", "after"}
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Hunk:
    """Lines that give place to others; context lines are in both."""

    before: tuple[str, ...]
    after: tuple[str, ...]

    def reversed(self) -> Hunk:
        """The hunk that takes this one back."""
        return Hunk(self.after, self.before)


@dataclass(frozen=True)
class Release:
    """Versions of the package that share one file, with its SHA-256 before and after the patch."""

    versions: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True)
class Patch:
    """A patch with its header.

    Attributes
    ----------
    name : str
        Name of its file, without `.patch`.
    package : str
        Distribution, as pip names it.
    module : str
        Top-level module of the package.
    file : PurePosixPath
        The changed file, inside the module.
    why, issue, until : str
        What goes wrong without it; where it was told upstream; when it can go.
    releases : tuple of Release
        The files that it is for.
    hunks : tuple of Hunk
        What it changes.
    """

    name: str
    package: str
    module: str
    file: PurePosixPath
    why: str
    issue: str
    until: str
    releases: tuple[Release, ...]
    hunks: tuple[Hunk, ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions of the package that it is for."""
        return tuple(version for release in self.releases for version in release.versions)


@dataclass(frozen=True)
class PatchStatus:
    """Where a patch stands on this machine.

    Attributes
    ----------
    name : str
        The patch.
    state : str
        `applicable`, `applied`, `unknown` (a file that the patch does not know), `wrong version` (the same, of a
        version that it is not for), or `not installed`.
    text : str
        One line: what was seen and, where something is to be done, the remedy.
    file : Path, optional
        The installed file.
    """

    name: str
    state: State
    text: str
    file: Path | None = None


# ---------------------------------------------------------------- what is asked


def status(folder: Path = PATCHES) -> list[PatchStatus]:
    """Where each patch stands; no package is imported."""
    return [look(patch) for patch in load_patches(folder)]


def is_applied(name: str, folder: Path = PATCHES) -> bool:
    """Whether the installed package carries the patch."""
    return look(load_patch(name, folder)).state == "applied"


def look(patch: Patch) -> PatchStatus:
    """Where a patch stands."""
    installed = _installed_version(patch.package)
    package = f"{patch.package} {installed or '(version not told)'}"
    path = _installed_file(patch)
    if path is None and installed is None:
        return PatchStatus(patch.name, "not installed", f"{patch.package} is not installed: nothing to patch")
    if path is None:
        text = f"{package} has no {patch.module}/{patch.file}: the patch is not for it"
        return PatchStatus(patch.name, "wrong version", text)
    seen = _sha256(path.read_bytes())
    if any(seen == release.after for release in patch.releases):
        return PatchStatus(patch.name, "applied", f"{package} carries it", path)
    if any(seen == release.before for release in patch.releases):
        text = f"{package} lacks it: python -m workflow.patches apply {patch.name}"
        return PatchStatus(patch.name, "applicable", text, path)
    if installed in patch.versions:
        text = f"{package} is known, but not its {path} (sha256 {seen[:12]}…), left alone: install the package anew"
        return PatchStatus(patch.name, "unknown", text, path)
    text = f"{package} is not of {_span(patch)}, nor its {path} (sha256 {seen[:12]}…) known: see patches/README.md"
    return PatchStatus(patch.name, "wrong version", text, path)


def _span(patch: Patch) -> str:
    versions = patch.versions
    return versions[0] if len(versions) == 1 else f"{versions[0]} … {versions[-1]}"


def _installed_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _installed_file(patch: Patch) -> Path | None:
    """The file that the patch is for, found without importing its package: that would take a GPU."""
    spec = find_spec(patch.module)
    folders = spec.submodule_search_locations if spec else None
    candidates = [Path(folder) / patch.file for folder in folders or ()]
    return next((path for path in candidates if path.is_file()), None)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---------------------------------------------------------------- what is done


def apply(patch: Patch) -> PatchStatus:
    """Apply a patch; one that is applied already is left as it is.

    Raises
    ------
    InputError
        The package is missing or its file is not one that the patch knows; the folder cannot be written; the
        patch does not make the file that its header promises.
    """
    return _change(patch, "applied")


def revert(patch: Patch) -> PatchStatus:
    """Take a patch back; raises as `apply` does."""
    return _change(patch, "applicable")


def _change(patch: Patch, wanted: State) -> PatchStatus:
    now = look(patch)
    if now.state == wanted:
        return now
    if now.state not in ("applied", "applicable") or now.file is None:
        raise InputError(f"{patch.name}: {now.text}")
    content = now.file.read_bytes()
    if wanted == "applied":
        hashes = {release.before: release.after for release in patch.releases}
        hunks = patch.hunks
    else:
        hashes = {release.after: release.before for release in patch.releases}
        hunks = tuple(hunk.reversed() for hunk in patch.hunks)
    changed = change_text(content.decode("utf-8"), hunks, patch.name).encode("utf-8")
    if _sha256(changed) != hashes[_sha256(content)]:
        raise InputError(f"{patch.name}: what it makes of {now.file} has not the promised sha256; fetch the patch anew")
    _replace(now.file, changed)
    return look(patch)


def change_text(text: str, hunks: tuple[Hunk, ...], name: str) -> str:
    """The text with each hunk's lines in place of the ones that it names.

    A hunk fits where its lines stand exactly, and they must stand in one place only: the line numbers of a diff are
    not asked, since files of several releases share one.

    Raises
    ------
    InputError
        A hunk fits nowhere, or in several places.
    """
    lines = text.split("\n")
    for number, hunk in enumerate(hunks, start=1):
        size = len(hunk.before)
        places = [i for i in range(len(lines) - size + 1) if tuple(lines[i : i + size]) == hunk.before]
        if len(places) != 1:
            raise InputError(f"{name}: hunk {number} fits in {len(places)} places instead of one; fetch the patch anew")
        lines[places[0] : places[0] + size] = hunk.after
    return "\n".join(lines)


def _replace(path: Path, content: bytes) -> None:
    """Put new content in place of a file with one rename, keep its permission bits, drop its compiled forms.

    A new file also leaves alone what other environments may share with it by hard links.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            shutil.copymode(path, temporary)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
    except PermissionError as error:
        raise InputError(
            f"{path.parent} cannot be written ({error.strerror}): run as its owner, or build an image of docker/"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be replaced ({error.strerror}): make {path.parent} writable") from None


# ---------------------------------------------------------------- reading patches


def load_patches(folder: Path = PATCHES) -> list[Patch]:
    """All patches of a folder, by name. Raises InputError when the folder is missing or a patch is damaged."""
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: run from a checkout of this project, installed with pip install -e")
    return [load_patch(path.stem, folder) for path in sorted(folder.glob("*.patch"))]


def load_patch(name: str, folder: Path = PATCHES) -> Patch:
    """One patch.

    Raises
    ------
    InputError
        There is none of this name, or it is damaged; the message names the file and what is wrong.
    """
    path = folder / f"{name}.patch"
    known = sorted(found.stem for found in folder.glob("*.patch"))
    if name not in known:
        raise InputError(f"no patch {name}; there are: {', '.join(known) or 'none'}")
    header, mark, diff = path.read_text(encoding="utf-8").partition("\n--- ")
    if not mark:
        raise InputError(f"{path}: no diff below the header (a line --- a/MODULE/FILE)")
    fields = _read_header(path, header)
    if not fields["module"].isidentifier():
        raise InputError(f"{path}: module must be a top-level module, got {fields['module']}")
    file = PurePosixPath(fields["module"], fields["file"])
    if file.is_absolute() or ".." in file.parts:
        raise InputError(f"{path}: file must be a path inside the module, got {fields['file']}")
    return Patch(
        name=name,
        package=fields["package"],
        module=fields["module"],
        file=PurePosixPath(fields["file"]),
        why=" ".join(fields["why"].split()),
        issue=fields["issue"],
        until=" ".join(fields["until"].split()),
        releases=_read_releases(path, fields["releases"]),
        hunks=_read_hunks(path, f"--- {diff}", file, first_line=header.count("\n") + 2),
    )


def _read_header(path: Path, header: str) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(header)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: the header is not YAML") from None
    if not isinstance(fields, dict) or set(fields) != _HEADER_KEYS:
        seen = set(fields) if isinstance(fields, dict) else set()
        wrong = sorted(map(str, seen ^ _HEADER_KEYS))
        raise InputError(f"{path}: the header has missing or unknown keys: {', '.join(wrong)}")
    for key in sorted(_HEADER_KEYS - {"releases"}):
        if not isinstance(fields[key], str) or not fields[key].strip():
            raise InputError(f"{path}: {key} must be text")
    return fields


def _read_releases(path: Path, rows: Any) -> tuple[Release, ...]:
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: releases must be a list of versions, before, after")
    releases = []
    for row in rows:
        if not isinstance(row, dict) or set(row) != _RELEASE_KEYS or not isinstance(row["versions"], list):
            raise InputError(f"{path}: each of releases has the keys versions (a list), before, after")
        for key in ("before", "after"):
            if not _SHA256.fullmatch(str(row[key])):
                raise InputError(f"{path}: releases: {key} {row[key]} is not a SHA-256 of 64 hexadecimal digits")
        releases.append(Release(tuple(map(str, row["versions"])), row["before"], row["after"]))
    hashes = [digest for release in releases for digest in (release.before, release.after)]
    if len(set(hashes)) != len(hashes):
        raise InputError(f"{path}: releases: a SHA-256 stands twice")
    return tuple(releases)


def _read_hunks(path: Path, diff: str, file: PurePosixPath, first_line: int) -> tuple[Hunk, ...]:
    """The hunks of a unified diff of one file."""
    lines = diff.removesuffix("\n").split("\n")
    if lines[:2] != [f"--- a/{file}", f"+++ b/{file}"]:
        raise InputError(f"{path}, line {first_line}: expected --- a/{file} and +++ b/{file}")
    hunks: list[Hunk] = []
    at = 2
    while at < len(lines):
        match = _HUNK.match(lines[at])
        if match is None:
            raise InputError(f"{path}, line {first_line + at}: expected @@ -LINE,COUNT +LINE,COUNT @@")
        sizes = tuple(1 if count is None else int(count) for count in match.groups())
        end = at + 1
        while end < len(lines) and not lines[end].startswith("@@"):
            if lines[end][:1] not in (" ", "+", "-") or lines[end] == "":
                raise InputError(f"{path}, line {first_line + end}: a line must begin with a space, + or -")
            end += 1
        body = lines[at + 1 : end]
        hunk = Hunk(
            tuple(line[1:] for line in body if line[0] != "+"),
            tuple(line[1:] for line in body if line[0] != "-"),
        )
        if (len(hunk.before), len(hunk.after)) != sizes or not hunk.before or not hunk.after:
            raise InputError(f"{path}, line {first_line + at}: the counts of @@ and the lines below differ")
        hunks.append(hunk)
        at = end
    if not hunks:
        raise InputError(f"{path}: the diff has no hunk")
    return tuple(hunks)
