"""Make the sequences on which forgetting is measured again from public records in Biopython's source distribution.

    pip download --no-binary :all: --no-deps biopython==1.88
    tar xzf biopython-1.88.tar.gz
    python data/forgetting/make_sequences.py biopython-1.88/Tests

From the middle of each record 16,384 bases are taken, or all of a shorter one; case is kept. Needs biopython.
"""

from __future__ import annotations

import sys
from pathlib import Path

from Bio import SeqIO

from workflow.console import say

LENGTH = 16_384
FASTA_WIDTH = 80
#: Organism, file, format, and what the record is called.
SOURCES = (
    ("Homo sapiens", "Blat/hg38.fa", "fasta", "hg38 chr13"),
    ("Drosophila melanogaster", "GenBank/extra_keywords.gb", "genbank", "AL138972.1"),
    ("Arabidopsis thaliana", "GenBank/arab1.gb", "genbank", "AC007323.5"),
    ("Streptomyces coelicolor", "EMBL/SC10H5.embl", "embl", "AL031232"),
    ("phage phiX174", "GFF/NC_001422.gbk", "genbank", "NC_001422.1"),
)


def main(folder: Path) -> None:
    """Write sequences.fa beside this script, records named `ORGANISM|RECORD`."""
    lines = []
    for organism, file, form, name in SOURCES:
        sequence = str(next(SeqIO.parse(folder / file, form)).seq)
        first = max((len(sequence) - LENGTH) // 2, 0)
        taken = sequence[first : first + LENGTH]
        lines.append(f">{organism}|{name}:{first}-{first + len(taken)}".replace(" ", "_"))
        lines += [taken[start : start + FASTA_WIDTH] for start in range(0, len(taken), FASTA_WIDTH)]
    target = Path(__file__).with_name("sequences.fa")
    target.write_text("\n".join(lines) + "\n", encoding="ascii")
    say(f"{target}: {len(SOURCES)} records")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
