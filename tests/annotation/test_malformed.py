"""Every malformed file gives one line that names the fault, the file and the line, or nothing is lost silently."""

from pathlib import Path

import pytest

from workflow.annotation.formats import recognise_format
from workflow.annotation.genbank import import_genbank
from workflow.annotation.gff3 import import_annotation
from workflow.annotation.models import gene_models
from workflow.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "data" / "malformed" / "annotation"
LENGTHS = {"chr1": 1000, "circle": 100}
MESSAGES = {
    "accession.gff3": "FILE, line 2: sequence NC_0007.1 is not in the FASTA; did you mean chr1? Rename one of the two",
    "bad_codon_start.gb": "FILE, line 5: CDS has /codon_start=5; it is 1, 2 or 3",
    "bad_letter.gb": "FILE, line 1: letter 'X' in record REC1.1 is not IUPAC DNA; allowed are ACGTN and RYSWKMBDHV "
    "in either case",
    "bad_location.gb": "FILE, line 5: gene has a location that cannot be read",
    "bad_phase.gff3": "FILE, line 2: phase 3 is not one of 0 1 2 .",
    "bad_score.gff3": "FILE, line 2: score high is neither a number nor '.'",
    "bad_strand.gff3": "FILE, line 2: strand plus is not one of + - . ?",
    "bed.gff3": "FILE, line 1: not GFF3, GTF or GenBank (4 tab-separated columns, GFF3 and GTF have 9); it "
    "looks like BED",
    "circle_of_parents.gff3": "the annotation's feature a is its own ancestor; mend its Parent attribute",
    "cut_short.gff3.gz": "FILE, after line 0: the gzip data are cut short or damaged (Compressed file ended before the "
    "end-of-stream marker was reached); copy the file again",
    "decimal_start.gff3": "FILE, line 2: start 1.0 is not a whole number",
    "eight_columns.gff3": "FILE, line 3: 8 tab-separated columns, GFF3 and GTF have 9",
    "empty.gff3": "FILE, line 1: the file is empty",
    "fasta.gff3": "FILE, line 1: the file holds no features but sequences; give it as genome.fasta",
    "gtf_as_gff3.gff3": "FILE, line 2: column 9 is GTF's, but the first line says ##gff-version 3; remove that line",
    "gtf_other_name.gtf": "FILE, line 1: sequence 1 is not in the FASTA; did you mean chr1? Rename one of the two",
    "gtf_ten_columns.gtf": "FILE, line 2: 10 tab-separated columns, GFF3 and GTF have 9",
    "gtf_then_gff3.gtf": 'FILE, line 2: column 9 has no gene_id "value"; as every line of GTF has',
    "gtf_without_gene_id.gtf": 'FILE, line 2: column 9 has no gene_id "value"; as every line of GTF has',
    "gtf_zero_start.gtf": "FILE, line 1: start 0 is less than 1; this format counts from 1: add 1 to all starts",
    "latin1.gb": "FILE, line 6: not UTF-8 text; convert the file with iconv",
    "latin1.gff3": "FILE, line 2: not UTF-8 text; convert the file with iconv",
    "negative_end.gff3": "FILE, line 2: end -9 is not a whole number",
    "no_end.gb": "FILE, line 8: the record that begins in line 1 has no end ('//'); cut short?",
    "no_pairs.gff3": "FILE, line 3: column 9 is not key=value as GFF3 has it",
    "no_sequence.gb": "FILE, line 1: record REC1.1 has no sequence; download it as 'GenBank (full)'",
    "no_such_sequence.gff3": "FILE, line 2: sequence scaffold_9 is not in the FASTA; it has chr1, circle",
    "not_a_record.gb": "FILE, line 10: a GenBank record begins with LOCUS, not with 'Something else'",
    "only_comments.gff3": "FILE, line 1: the file holds no features; is it GFF3?",
    "other_name.gff3": "FILE, line 2: sequence Chr01 is not in the FASTA; did you mean chr1? Rename one of the two",
    "other_record.gb": "FILE, line 5: gene lies partly in another record (AB1.1); take the feature out",
    "outside.gb": "FILE, line 5: gene at 1..90 lies outside of the record's 60 bases",
    "past_the_end.gff3": "FILE, line 2: end 2000 is past the end of sequence chr1 (1000 bases); another assembly's "
    "annotation? (a circular sequence needs Is_circular=true on its region)",
    "past_twice_the_circle.gff3": "FILE, line 3: end 250 is past twice the length of circular "
    "sequence circle (100 bases)",
    "protein.gb": "FILE, line 1: a protein record; give the nucleotide record",
    "spaces_for_tabs.gff3": "FILE, line 2: not GFF3, GTF or GenBank (1 tab-separated columns, GFF3 and GTF have 9)",
    "swapped.gff3": "FILE, line 3: start 90 is past end 1; GFF3 wants start ≤ end on either strand: swap the two "
    "columns in 2 such lines",
    "twice.gb": "FILE, line 10: record REC1.1 was already in line 1",
    "unclear.gff": 'FILE, line 1: column 9 has neither key=value (GFF3) nor gene_id "value"; (GTF); its '
    "format is not clear",
    "vcf.gff3": "FILE, line 3: not GFF3, GTF or GenBank (8 tab-separated columns, GFF3 and GTF have 9); it "
    "looks like VCF",
    "web_page.gff3": "FILE, line 1: not GFF3, GTF or GenBank (1 tab-separated columns, GFF3 and GTF have 9); it "
    "looks like a web page: download the file again",
    "wrong_length.gb": "FILE, line 1: LOCUS says 90 bp, the record holds 60; cut short?",
    "zero_start.gff3": "FILE, line 3: start 0 is less than 1; this format counts from 1: add 1 to all starts",
}


def read(source: Path, folder: Path) -> None:
    if recognise_format(source) == "GenBank":
        import_genbank(source, folder / "genome.fa", folder / "annotation.parquet")
    else:
        import_annotation(source, folder / "annotation.parquet", LENGTHS)
    gene_models(folder / "annotation.parquet")


def test_every_file_is_in_the_table() -> None:
    assert sorted(MESSAGES) == sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_one_line_says_what_is_wrong(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read(FOLDER / name, tmp_path)
    assert str(caught.value) == MESSAGES[name].replace("FILE", str(FOLDER / name))
