"""FASTA as the tools read it: what their reader cannot bear is refused."""

from __future__ import annotations

from pathlib import Path

from tests.emulator.setting import Refused


def read_fasta(path: Path) -> dict[str, str]:
    """Sequences by id, in the order of the file.

    Raises
    ------
    Refused
        No plain text, an id twice, an empty record, or lines of different lengths inside a record.
    """
    if not path.exists():
        raise Refused(f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'")
    data = path.read_bytes()
    if not data.startswith(b">"):
        raise Refused(f"Exception: error building FASTA index of {path}: missing '>' prefix")
    sequences: dict[str, str] = {}
    for record in data.decode("ascii")[1:].split("\n>"):
        header, *lines = record.rstrip("\n").split("\n")
        name = header.split()[0]
        if name in sequences:
            raise Refused(f"Exception: error building FASTA index of {path}: duplicate sequence id {name}")
        if not any(lines):
            raise Refused(f"Exception: error building FASTA index of {path}: empty sequence {name}")
        if len({len(line) for line in lines[:-1]}) > 1 or len(lines[-1]) > len(lines[0]):
            raise Refused(f"Exception: error building FASTA index of {path}: invalid line lengths in {name}")
        sequences[name] = "".join(lines)
    return sequences
