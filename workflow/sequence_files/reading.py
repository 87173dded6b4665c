"""Telling the formats apart, and reading each as the same records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workflow.annotation.genbank_records import bases_of, genbank_records, seqid_of
from workflow.errors import InputError
from workflow.genome.files import BLOCK_BYTES, read_blocks
from workflow.sequence_files.fasta import fasta_records
from workflow.sequence_files.fastq import fastq_records
from workflow.sequence_files.letters import Letters, SequenceRecord
from workflow.sequence_files.tables import table_records

_TABLES = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".xlsx")
_LOOKS_LIKE = {
    b"\xef\xbb\xbf": "a byte order mark precedes it; save the file without",
    b"\x1f\x8b": "it is packed twice; unpack it once",
    b"BZh": "it is packed by bzip2; unpack it, or pack it with gzip",
    b"PK\x03\x04": "this is a zip archive; unpack it",
    b"BAM\x01": "this is BAM; write FASTQ with samtools fastq",
    b"\xff\xfe": "this is UTF-16 text; save it as plain ASCII",
    b"<": "this is a web page; download the file again",
    b"@HD\tVN:": "this is SAM; write FASTQ with samtools fastq",
    b"@SQ\tSN:": "this is SAM; write FASTQ with samtools fastq",
}


def read_sequences(
    path: Path, key: str, *, sequence_column: str = "sequence", id_column: str | None = None
) -> Iterator[SequenceRecord]:
    """Stream the sequences of a file; what it holds is told by its first letters, of a table by its name.

    FASTA, FASTQ and GenBank are read record by record, plain or gzip; a table is read whole. Letters become upper case
    and ambiguity letters N, which is told once at the end. Ids are the first word of a header; several records may
    have the same, as the files of paired reads have.

    Parameters
    ----------
    path : Path
        FASTA, FASTQ (four lines a record), GenBank, or a table (CSV, TSV, Parquet, XLSX).
    key : str
        The setting that names the file, such as `embed.input`; part of the messages.
    sequence_column, id_column : str, optional
        Columns of a table; without ids rows are named by their number in the file.

    Raises
    ------
    InputError
        The file is of no such kind, is empty, cut short or damaged, or a sequence cannot be used: it is empty, holds
        a letter that is not IUPAC DNA (U is not), or none of A, C, G, T. The message names file and line or row.
    """
    letters = Letters(path)
    if is_table(path):
        yield from table_records(path, key, letters, sequence_column, id_column)
    else:
        yield from _by_content(path, key, letters)
    letters.tell()


def is_table(path: Path) -> bool:
    """Whether a file is read as a table: its name says so, and its first letters are not those of FASTA or the like."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() in (".parquet", ".xlsx"):
        return True
    return plain.suffix.lower() in _TABLES and not _start(path).startswith((b">", b"@", b"LOCUS   "))


def _by_content(path: Path, key: str, letters: Letters) -> Iterator[SequenceRecord]:
    start = _start(path)
    looks = next((what for mark, what in _LOOKS_LIKE.items() if start.startswith(mark)), None)
    if start.startswith(b">"):
        yield from fasta_records(path, letters)
    elif start.startswith(b"@") and looks is None:
        yield from fastq_records(path, letters)
    elif start.startswith(b"LOCUS"):
        for number, record, _ in genbank_records(path):
            lines = [(number, bases_of(path, number, record).encode("ascii"))]
            yield letters.record(seqid_of(record), lines, ("line", number))
    elif not start:
        raise InputError(f"{path}, line 1: the file is empty ({key})")
    else:
        raise InputError(
            f"{path}, line 1: this begins neither like FASTA ('>'), FASTQ ('@') nor GenBank (LOCUS), and its name is "
            f"not that of a table ({', '.join(_TABLES[:2])}, …) ({key})" + (f": {looks}" if looks else "")
        )


def _start(path: Path) -> bytes:
    """The first letters that are not blank, unpacked."""
    for block in read_blocks(path, min(BLOCK_BYTES, 1 << 16)):
        if text := block.lstrip():
            return text[:64]
    return b""
