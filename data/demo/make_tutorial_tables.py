"""Make the tables of the tutorials from the genomes that ship: variants, coding windows, reads of several organisms.

    python data/demo/make_tutorial_tables.py
    python data/demo/make_tutorial_tables.py --organisms organisms.csv --out reads.csv

The first writes `tutorial_variants.csv`, `tutorial_{train,dev,test}.csv` and `tutorial_reads.csv` beside this script.
The second cuts reads from genomes of your own: a CSV with a column `fasta` (plain or gzip) and one column a level, the
most general first. Positions count from 1 in what is written, as in a VCF. Needs biopython.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from Bio import SeqIO
from Bio.Data import CodonTable

from workflow.console import say

HERE = Path(__file__).parent
GENOME = "athaliana_plastid_NC_000932.1"
#: Where the second copy of the inverted repeat begins (0-based): what lies there has been seen already.
SECOND_COPY = 128_214
SEED = 42
EXON_VARIANTS, INTRON_VARIANTS = 900, 500
LONGEST_INTRON = 3_000
#: Bases of a window as in GUE, and of the stretches of the genome that belong to one split.
WINDOW, STRETCH = 101, 6_400
SPLITS = ("train",) * 4 + ("dev",) + ("train",) * 4 + ("test",)
#: Bases of a read, and of the pieces of a genome from which reads do not come into two splits.
READ, PIECE, READS = 150, 500, 120
LEVELS = ("domain", "group", "species")
#: Of the records of `data/forgetting/sequences.fa`, by the beginning of their names.
ORGANISMS = {
    "Homo": ("Eukaryota", "Metazoa", "Homo sapiens"),
    "Drosophila": ("Eukaryota", "Metazoa", "Drosophila melanogaster"),
    "Arabidopsis": ("Eukaryota", "Viridiplantae", "Arabidopsis thaliana"),
    "Streptomyces": ("Bacteria", "Actinomycetota", "Streptomyces coelicolor"),
    "phage": ("Viruses", "Microviridae", "phiX174"),
}
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_PLACES = ("first", "second", "third")


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--organisms", type=Path, help="CSV: fasta, and one column a level")
    parser.add_argument("--out", type=Path, default=HERE, help="folder; with --organisms a CSV")
    given = parser.parse_args()
    if given.organisms is not None:
        sheet = pd.read_csv(given.organisms)
        sources = [(read_fasta(Path(path)), tuple(labels)) for path, *labels in sheet.itertuples(index=False)]
        reads(sources, list(sheet.columns[1:])).to_csv(given.out, index=False)
        say(str(given.out))
        return
    for name, table in tables().items():
        table.to_csv(given.out / f"{name}.csv", index=False)
        say(f"{name}.csv: {len(table):,} rows")


def tables() -> dict[str, pd.DataFrame]:
    """Every table by the name of its file."""
    genome = next(iter(read_fasta(HERE / f"{GENOME}.fa").values()))
    features = read_features(HERE / f"{GENOME}.gff3")
    windows = coding_windows(genome, features)
    by_split = {
        f"tutorial_{split}": windows.loc[windows["split"] == split, ["sequence", "label"]] for split in set(SPLITS)
    }
    return {
        "tutorial_variants": variants(genome, features),
        **dict(sorted(by_split.items())),
        "tutorial_reads": reads(list(known_organisms()), list(LEVELS)),
    }


def read_fasta(path: Path) -> dict[str, str]:
    """Sequences in upper case by the first word of their header."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return {record.id: str(record.seq).upper() for record in SeqIO.parse(file, "fasta")}


def read_features(path: Path) -> pd.DataFrame:
    """type, start (0-based), end, strand, id and name of a GFF3's rows."""
    names = ["seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes"]
    table = pd.read_csv(path, sep="\t", comment="#", header=None, names=names)
    table["start"] -= 1
    return table.assign(
        id=table["attributes"].str.extract(r"ID=([^;]+)")[0], name=table["attributes"].str.extract(r"Name=([^;]+)")[0]
    )


def variants(genome: str, features: pd.DataFrame) -> pd.DataFrame:
    """Substitutions at random places of exons, with what they do to the protein, and of introns.

    Places of two coding sequences, start and stop codons, and the second copy of the inverted repeat are left out.
    """
    cds = features[features["type"] == "CDS"]
    coding = pd.DataFrame(_coding_bases(genome, cds), columns=["place", "strand", "codon", "codon_place", "gene"])
    coding = coding[~coding["place"].duplicated(keep=False) & (coding["place"] < SECOND_COPY)]
    intronic = pd.DataFrame(_introns(cds), columns=["place", "gene"])
    unused = ~intronic["place"].duplicated() & ~intronic["place"].isin(_covered(features, ("CDS", "exon")))
    intronic = intronic[unused & (intronic["place"] < SECOND_COPY)]
    generator = np.random.default_rng(SEED)
    rows = []
    for part, amount in ((coding, EXON_VARIANTS), (intronic, INTRON_VARIANTS)):
        chosen = part.iloc[np.sort(generator.choice(len(part), amount, replace=False))]
        for row in chosen.to_dict("records"):
            reference = genome[row["place"]]
            alternative = "ACGT".replace(reference, "")[generator.integers(3)]
            label, place = ("intron", "intron")
            if "codon" in row:
                label = _consequence(row["codon"], row["codon_place"], _on_strand(alternative, row["strand"]))
                place = _PLACES[row["codon_place"]]
            chromosome = GENOME.split("_", 2)[2]
            rows.append((chromosome, row["place"] + 1, reference, alternative, label, place, row["gene"]))
    columns = ["chromosome", "position", "ref", "alt", "consequence", "codon_position", "gene"]
    return pd.DataFrame(rows, columns=columns).sort_values("position", ignore_index=True)


def _coding_bases(genome: str, cds: pd.DataFrame) -> Iterator[tuple[int, str, str, int, str]]:
    """Each base between start and stop codon: its place on the forward strand, strand, codon, place in it, gene."""
    for _, parts in cds.groupby("id", sort=False):
        places = [
            place
            for start, end, strand in parts[["start", "end", "strand"]].itertuples(index=False)
            for place in (range(start, end) if strand == "+" else range(end - 1, start - 1, -1))
        ]
        strand, gene = parts["strand"].iloc[0], parts["name"].iloc[0]
        read = "".join(_on_strand(genome[place], strand) for place in places)
        for number in range(3, len(read) - 3):
            first = number - number % 3
            yield places[number], strand, read[first : first + 3], number % 3, gene


def _introns(cds: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Each base between two neighbouring parts of a coding sequence, and the gene."""
    for _, parts in cds.groupby("id", sort=False):
        ordered = parts.sort_values("start")
        for end, start in zip(ordered["end"].iloc[:-1], ordered["start"].iloc[1:], strict=True):
            if 0 < start - end <= LONGEST_INTRON:
                yield from ((place, ordered["name"].iloc[0]) for place in range(end, start))


def _covered(features: pd.DataFrame, kinds: tuple[str, ...]) -> np.ndarray:
    """Places that any feature of some kinds covers."""
    chosen = features[features["type"].isin(kinds)]
    spans = [np.arange(start, end) for start, end in chosen[["start", "end"]].itertuples(index=False)]
    return np.unique(np.concatenate(spans))


def _on_strand(base: str, strand: str) -> str:
    return base if strand == "+" else base.translate(_COMPLEMENT)


def _consequence(codon: str, place: int, base: str) -> str:
    table = CodonTable.unambiguous_dna_by_id[11]
    other = codon[:place] + base + codon[place + 1 :]
    if other in table.stop_codons:
        return "nonsense"
    return "synonymous" if table.forward_table[other] == table.forward_table[codon] else "missense"


def coding_windows(genome: str, features: pd.DataFrame) -> pd.DataFrame:
    """Windows that lie in a coding sequence (1), or touch no part of a gene's product (0); split by their place."""
    coding, product = (np.zeros(len(genome), bool) for _ in range(2))
    coding[_covered(features, ("CDS",))] = True
    product[_covered(features, ("CDS", "exon"))] = True
    rows = []
    for start in range(0, SECOND_COPY - WINDOW, WINDOW):
        part = slice(start, start + WINDOW)
        # A window across the border of two stretches would be in both splits.
        if start // STRETCH == (start + WINDOW - 1) // STRETCH and (coding[part].all() or not product[part].any()):
            split = SPLITS[start // STRETCH % len(SPLITS)]
            rows.append((genome[part], int(coding[part].all()), split))
    return pd.DataFrame(rows, columns=["sequence", "label", "split"])


def known_organisms() -> Iterator[tuple[dict[str, str], tuple[str, ...]]]:
    """The sequences of five organisms that ship, with their levels."""
    records = read_fasta(HERE.parent / "forgetting" / "sequences.fa")
    for start, labels in ORGANISMS.items():
        yield {name: bases for name, bases in records.items() if name.startswith(start)}, labels


def reads(sources: list[tuple[dict[str, str], tuple[str, ...]]], levels: list[str]) -> pd.DataFrame:
    """Reads from random places of genomes, from either strand: id, piece, sequence, and the levels.

    Reads of one piece overlap: `classify.group_column=piece` keeps them in one split.
    """
    generator = np.random.default_rng(SEED)
    rows = []
    for sequences, labels in sources:
        pieces = [
            (f"{name}:{start}", bases[start : start + PIECE])
            for name, bases in sequences.items()
            for start in range(0, len(bases) - READ, PIECE)
        ]
        for number in range(READS):
            name, bases = pieces[generator.integers(len(pieces))]
            start = int(generator.integers(max(len(bases) - READ, 0) + 1))
            read = bases[start : start + READ]
            if generator.integers(2):
                read = read.translate(_COMPLEMENT)[::-1]
            rows.append((f"{labels[-1].replace(' ', '_')}_{number}", name, read, *labels))
    return pd.DataFrame(rows, columns=["id", "piece", "sequence", *levels])


if __name__ == "__main__":
    main()
