"""Reading GenBank: its sequences as FASTA, its features as the rows that GFF3 has for them.

Format: https://www.insdc.org/submitting-standards/feature-table. The names of rows follow NCBI's own GFF3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from Bio.SeqFeature import SeqFeature, SimpleLocation
from Bio.SeqRecord import SeqRecord

from workflow.annotation.features import Kind, kind_of
from workflow.annotation.genbank_records import bases_of, genbank_records, seqid_of
from workflow.annotation.gff3 import import_lines
from workflow.annotation.lines import line_blocks
from workflow.annotation.table import ImportedAnnotation
from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.genome.files import BLOCK_BYTES

#: GenBank feature keys that have another name in the Sequence Ontology.
_TYPES = {
    "source": "region",
    "rep_origin": "origin_of_replication",
    "misc_feature": "sequence_feature",
    "5'UTR": "five_prime_UTR",
    "3'UTR": "three_prime_UTR",
    "prim_transcript": "primary_transcript",
    "misc_RNA": "transcript",
}
_QUALIFIERS = ("gene", "locus_tag", "product", "protein_id", "transl_table", "transl_except", "note")
_RESERVED = str.maketrans({letter: f"%{ord(letter):02X}" for letter in "%;=&,\t\n"})


def import_genbank(
    source: Path, fasta_target: Path, annotation_target: Path
) -> tuple[pd.DataFrame, ImportedAnnotation]:
    """Write the sequences of a GenBank file as `import_fasta` does, and its features as `import_annotation` does.

    A feature in several parts has a row for each, with one ID, in order of transcription; an RNA has one row for
    its extent, and exons. A gene, CDS or RNA that share a locus_tag or gene name belong together. Memory holds
    one record.

    Parameters
    ----------
    source : Path
        GenBank flat file, plain or gzip, of one or several records.
    fasta_target, annotation_target : Path
        Files to write.

    Returns
    -------
    records : DataFrame
        seqid (accession with version), length; as `import_fasta` returns.
    annotation : ImportedAnnotation

    Raises
    ------
    InputError
        A record that cannot be used; the message names file and line.
    """
    # Both go through the importers of FASTA and GFF3, so that there is one way to write and to check.
    sequences, rows = (path.with_name(path.name + ".part") for path in (fasta_target, annotation_target))
    try:
        with sequences.open("w", encoding="ascii") as fasta, rows.open("w", encoding="utf-8") as gff3:
            first_line: dict[str, int] = {}
            used: dict[str, int] = {}
            for number, record, feature_lines in genbank_records(source):
                seqid = seqid_of(record)
                if seqid in first_line:
                    raise InputError(f"{source}, line {number}: record {seqid} was already in line {first_line[seqid]}")
                first_line[seqid] = number
                fasta.write(f">{seqid}\n{bases_of(source, number, record)}\n")
                gff3.writelines(line + "\n" for line in _Rows(source, record, feature_lines, used).lines())
        records = import_fasta(sequences, fasta_target)
        lengths = dict(zip(records["seqid"].tolist(), records["length"].tolist(), strict=True))
        return records, import_lines(source, line_blocks(rows, BLOCK_BYTES), annotation_target, lengths, "GFF3")
    finally:
        sequences.unlink(missing_ok=True)
        rows.unlink(missing_ok=True)


@dataclass
class _Rows:
    """Makes the GFF3 lines of a record."""

    source: Path
    record: SeqRecord
    feature_lines: list[int]
    used: dict[str, int]  # how often an ID was asked for, in all records
    genes: dict[str, str] = field(default_factory=dict)  # ID of the latest gene by locus_tag or name

    @property
    def seqid(self) -> str:
        """Name of the record's sequence."""
        return seqid_of(self.record)

    def lines(self) -> Iterator[str]:
        """Lines in the order of the record."""
        for row, feature in enumerate(self.record.features):
            self._check(row, feature)
            yield from self._feature(feature)

    def _check(self, row: int, feature: SeqFeature) -> None:
        where = f"{self.source}, line {self.feature_lines[row]}: {feature.type}"
        if not _parts(feature):
            raise InputError(f"{where} has a location that cannot be read")
        codon_start = _first(feature, "codon_start")
        if codon_start not in ("", "1", "2", "3"):
            raise InputError(f"{where} has /codon_start={codon_start}; it is 1, 2 or 3")
        for part in _parts(feature):
            if part.ref is not None and part.ref != self.seqid:
                raise InputError(f"{where} lies partly in another record ({part.ref}); take the feature out")
            if not 0 <= part.start <= part.end <= len(self.record):
                raise InputError(
                    f"{where} at {int(part.start) + 1}..{int(part.end)} lies outside of the record's "
                    f"{len(self.record)} bases"
                )

    def _feature(self, feature: SeqFeature) -> Iterator[str]:
        label, parts = _label(feature), _parts(feature)
        kind = _TYPES.get(feature.type, feature.type)
        parent = {"Parent": self.genes[label]} if label in self.genes else {}
        if feature.type == "source":
            yield from self._rows(kind, parts, self._of_source(feature))
        elif kind == "gene":
            self.genes[label] = self._new_id(f"gene-{label}")
            is_pseudo = "pseudo" in feature.qualifiers or "pseudogene" in feature.qualifiers
            told = {"ID": self.genes[label]} | _described(feature)
            yield from self._rows("pseudogene" if is_pseudo else "gene", parts, told)
        elif kind == "CDS":
            own = {"ID": self._new_id(f"cds-{_first(feature, 'protein_id') or label}")} | parent
            yield from self._rows(kind, parts, own | _described(feature), _phases(feature))
        elif kind_of(kind) == Kind.TRANSCRIPT:
            own = {"ID": self._new_id(f"rna-{label}")} | parent
            yield from self._rows(kind, self._extent(feature), own | _described(feature))
            for number, part in enumerate(parts, start=1):
                yield from self._rows("exon", [part], {"ID": f"{own['ID']}-exon{number}", "Parent": own["ID"]})
        else:
            own = {"ID": self._new_id(f"{kind}-{label}")}
            belongs = parent if kind_of(kind) in (Kind.EXON, Kind.UTR) or kind == "intron" else {}
            yield from self._rows(kind, parts, own | belongs | _described(feature))

    def _of_source(self, feature: SeqFeature) -> dict[str, str]:
        told = {"ID": self._new_id(f"{self.seqid}:1..{len(self.record)}")}
        if self.record.annotations.get("topology") == "circular":
            told["Is_circular"] = "true"
        names = {key: _first(feature, key) for key in ("organism", "chromosome", "plasmid")}
        return told | {"Name": names.pop("organism"), **names}

    def _new_id(self, wanted: str) -> str:
        """The ID that is wanted, numbered where it is taken."""
        times = self.used[wanted] = self.used.get(wanted, 0) + 1
        return wanted if times == 1 else f"{wanted}-{times}"

    def _extent(self, feature: SeqFeature) -> list[SimpleLocation]:
        """One part from start to end, but for what is trans-spliced or crosses the origin: that stays in parts."""
        parts = _parts(feature)
        starts, ends = [int(part.start) for part in parts], [int(part.end) for part in parts]
        crosses = len(parts) > 1 and 0 in starts and len(self.record) in ends
        if crosses or "trans_splicing" in feature.qualifiers or len({part.strand for part in parts}) > 1:
            return parts
        return [SimpleLocation(min(starts), max(ends), parts[0].strand)]  # type: ignore[no-untyped-call]

    def _rows(
        self, kind: str, parts: list[SimpleLocation], attributes: dict[str, str], phases: list[int] | None = None
    ) -> Iterator[str]:
        """One line a part; several parts of one feature share its ID."""
        column_nine = ";".join(f"{key}={value.translate(_RESERVED)}" for key, value in attributes.items() if value)
        for number, part in enumerate(parts):
            strand = {1: "+", -1: "-"}.get(part.strand, ".")
            phase = "." if phases is None else str(phases[number])
            # A place between two bases, as 7^8, is the base before it.
            start = min(int(part.start), int(part.end) - 1)
            columns = [self.seqid, "GenBank", kind, str(start + 1), str(int(part.end))]
            yield "\t".join([*columns, ".", strand, phase, column_nine])


def _phases(cds: SeqFeature) -> list[int]:
    """Bases of each part before its first whole codon; parts are in order of translation."""
    phases = [int(_first(cds, "codon_start") or 1) - 1]
    for part in _parts(cds)[:-1]:
        phases.append((phases[-1] - len(part)) % 3)
    return phases


def _described(feature: SeqFeature) -> dict[str, str]:
    told = {key: _first(feature, key) for key in _QUALIFIERS}
    exception = _first(feature, "exception")
    for flag in ("trans_splicing", "ribosomal_slippage"):
        if flag in feature.qualifiers:
            exception = flag.replace("_", "-" if flag.startswith("trans") else " ")
    name = told["gene"] or told["product"] or told["locus_tag"]
    return {"Name": name, **told, "exception": exception}


def _label(feature: SeqFeature) -> str:
    """What ties a gene to its products: locus_tag, else gene name; for others their place."""
    parts = _parts(feature)
    place = f"{min(int(part.start) for part in parts) + 1}..{max(int(part.end) for part in parts)}"
    return _first(feature, "locus_tag") or _first(feature, "gene") or place


def _parts(feature: SeqFeature) -> list[SimpleLocation]:
    """Parts of a feature in order of transcription; none where its location cannot be read."""
    return [] if feature.location is None else list(feature.location.parts)


def _first(feature: SeqFeature, qualifier: str) -> str:
    values = feature.qualifiers.get(qualifier, [""])
    return str(values[0])
