"""Make the demo genomes again from the GenBank records in Biopython's source distribution.

    pip download --no-binary :all: --no-deps biopython==1.88
    tar xzf biopython-1.88.tar.gz
    python data/demo/make_demo_genomes.py biopython-1.88/Tests/GenBank/NC_000932.gb \
        biopython-1.88/Tests/GFF/NC_001422.gbk

Each record becomes `<name>_<accession>.fa` and `.gff3` beside this script. In the GFF3 the parts of a CDS share
an ID and carry phases, a gene in several pieces (trans-splicing) has one row a piece with one ID, RNAs have
exons, and features across the origin of a circular sequence are two parts. Needs biopython.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from Bio import SeqIO
from Bio.SeqFeature import SeqFeature, SimpleLocation
from Bio.SeqRecord import SeqRecord

from workflow.console import say

NAMES = {"NC_000932.1": "athaliana_plastid", "NC_001422.1": "phix174"}
RNA_TYPES = ("mRNA", "tRNA", "rRNA")
#: GenBank feature keys that have a Sequence Ontology term of another name.
OTHER_TYPES = {"rep_origin": "origin_of_replication", "misc_feature": "sequence_feature"}
FASTA_WIDTH = 80

Attributes = dict[str, str]


def main(genbank_files: list[str], folder: Path) -> None:
    """Convert GenBank files, one record each, into FASTA and GFF3 files in a folder."""
    for genbank in genbank_files:
        record = SeqIO.read(genbank, "genbank")
        stem = folder / f"{NAMES.get(record.id, record.name)}_{record.id}"
        Path(f"{stem}.fa").write_text(fasta(record), encoding="ascii")
        Path(f"{stem}.gff3").write_text("\n".join(gff3(record)) + "\n", encoding="ascii")
        say(f"{stem}.fa, {stem}.gff3")


def fasta(record: SeqRecord) -> str:
    """The sequence with its description."""
    sequence = str(record.seq)
    lines = [sequence[start : start + FASTA_WIDTH] for start in range(0, len(sequence), FASTA_WIDTH)]
    return "\n".join([f">{record.id} {record.description}", *lines, ""])


def gff3(record: SeqRecord) -> Iterator[str]:
    """Lines of the GFF3 file."""
    yield "##gff-version 3"
    yield f"##sequence-region {record.id} 1 {len(record)}"
    genes = {_tag(feature): f"gene-{_tag(feature)}" for feature in record.features if feature.type == "gene"}
    for number, feature in enumerate(record.features):
        label = _tag(feature) or str(number)
        parent = {"Parent": genes[_tag(feature)]} if _tag(feature) in genes else {}
        if feature.type == "source":
            yield from _region(record, feature)
        elif feature.type == "gene":
            yield from _rows(record, "gene", feature.location.parts, {"ID": genes[label]} | _described(feature))
        elif feature.type == "CDS":
            identity = {"ID": f"cds-{_first(feature, 'protein_id')}"} | parent
            yield from _rows(record, "CDS", feature.location.parts, identity | _described(feature), _phases(feature))
        elif feature.type in RNA_TYPES:
            identity = {"ID": f"rna-{label}"} | parent
            yield from _rows(record, feature.type, [_extent(feature)], identity | _described(feature))
            for part, location in enumerate(feature.location.parts, start=1):
                yield from _rows(record, "exon", [location], {"ID": f"exon-{label}-{part}", "Parent": f"rna-{label}"})
        elif feature.type in OTHER_TYPES:
            identity = {"ID": f"{feature.type}-{label}"}
            yield from _rows(record, OTHER_TYPES[feature.type], feature.location.parts, identity | _described(feature))


def _region(record: SeqRecord, source: SeqFeature) -> Iterator[str]:
    attributes = {"ID": f"{record.id}:1..{len(record)}"}
    if record.annotations.get("topology") == "circular":
        attributes["Is_circular"] = "true"
    attributes |= {"Name": _first(source, "organism"), "Dbxref": _first(source, "db_xref")}
    yield from _rows(record, "region", source.location.parts, attributes)


def _rows(
    record: SeqRecord, kind: str, parts: list[SimpleLocation], attributes: Attributes, phases: list[int] | None = None
) -> Iterator[str]:
    """One line a part; several parts of one feature share its ID."""
    column_nine = ";".join(f"{key}={_escaped(value)}" for key, value in attributes.items() if value)
    for number, part in enumerate(parts):
        strand = {1: "+", -1: "-"}.get(part.strand, ".")
        phase = "." if phases is None else str(phases[number])
        columns = [record.id, "GenBank", kind, str(part.start + 1), str(part.end), ".", strand, phase, column_nine]
        yield "\t".join(columns)


def _phases(cds: SeqFeature) -> list[int]:
    """Bases of each part before its first whole codon; parts are in the order of translation."""
    phases = [int(_first(cds, "codon_start") or 1) - 1]
    for part in cds.location.parts[:-1]:
        phases.append((phases[-1] - len(part)) % 3)
    return phases


def _extent(feature: SeqFeature) -> SimpleLocation:
    return SimpleLocation(feature.location.start, feature.location.end, feature.location.strand)


def _described(feature: SeqFeature) -> Attributes:
    exception = "trans-splicing" if "trans_splicing" in feature.qualifiers else _first(feature, "exception")
    product = _first(feature, "product")
    return {
        "Name": _first(feature, "gene") or product,
        "gene": _first(feature, "gene"),
        "locus_tag": _first(feature, "locus_tag"),
        "product": product,
        "protein_id": _first(feature, "protein_id"),
        "transl_table": _first(feature, "transl_table"),
        "exception": exception,
        "Note": _first(feature, "note"),
    }


def _tag(feature: SeqFeature) -> str:
    return _first(feature, "locus_tag") or _first(feature, "gene")


def _first(feature: SeqFeature, key: str) -> str:
    values: list[str] = feature.qualifiers.get(key, [""])
    return values[0]


def _escaped(value: str) -> str:
    """Percent-encode what has a meaning in column 9."""
    return "".join(f"%{ord(letter):02X}" if letter in "%;=&,\t\n" or ord(letter) > 126 else letter for letter in value)


if __name__ == "__main__":
    main(sys.argv[1:], Path(__file__).parent)
