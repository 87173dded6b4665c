"""Every malformed file gives one line that names the fault and its place, and publishes nothing.

`tests/data/malformed/fasta`, `tables` and `configs` hold the files; the tables below, what is said of each.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException

from workflow.command import explain, resolve
from workflow.errors import InputError
from workflow.pipeline import Run

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
MALFORMED = Path(__file__).resolve().parent / "data" / "malformed"
SOUND = MALFORMED / "sound.fa"

#: How messages begin; what follows is a library's own text. FILE is the file, HERE the working directory.
NOT_DNA = "is not IUPAC DNA; allowed are ACGTN and RYSWKMBDHV in either case"
CUT_SHORT = "FILE, after line 0: the gzip data are cut short or damaged ("
FASTA = {
    "accent_in_id.fa": "FILE, line 1: the sequence id holds bytes that are not printable ASCII",
    "alignment.fa": "FILE, line 5: letter '-' in sequence chr2 is not IUPAC DNA; remove alignment gaps",
    "binary.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "blank_first_line.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "byte_order_mark.fa": "FILE, line 1: does not start with a '>' header: a byte order mark precedes it",
    "comment.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "comment_inside.fa": f"FILE, line 4: letter ';' in sequence chr1 {NOT_DNA}",
    "control_letter_in_id.fa": "FILE, line 1: the sequence id holds bytes that are not printable ASCII",
    "cut_short.fa.gz": CUT_SHORT,
    "damaged.fa.gz": CUT_SHORT,
    "digits.fa": f"FILE, line 2: letter '1' in sequence chr1 {NOT_DNA}",
    "duplicate_id.fa": "FILE, line 7: id chr1 was already used in line 1; ids must be unique",
    "embl.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "empty.fa": "FILE, line 1: the file is empty",
    "empty_first.fa": "FILE, line 1: sequence chr1 is empty",
    "empty_inside.fa.gz": "FILE, line 1: the file is empty",
    "empty_last.fa": "FILE, line 4: sequence chr2 is empty",
    "empty_middle.fa": "FILE, line 4: sequence chr2 is empty",
    "fastq.fa": "FILE, line 1: does not start with a '>' header: this looks like FASTQ; reads must be assembled ",
    "features.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "header_in_line.fa": f"FILE, line 2: letter '>' in sequence chr1 {NOT_DNA}",
    "latin1_in_id.fa": "FILE, line 4: the sequence id holds bytes that are not printable ASCII",
    "merge_conflict.fa": f"FILE, line 4: letter '<' in sequence chr1 {NOT_DNA}",
    "nexus.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "no_header.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "no_id.fa": "FILE, line 4: the header has no id right after '>'",
    "nul_bytes.fa": f"FILE, line 4: byte 0x00 in sequence chr1 {NOT_DNA}",
    "numbered_lines.fa": f"FILE, line 2: letter ' ' in sequence chr1 {NOT_DNA}",
    "old_mac_line_ends.fa": "FILE, line 1: a lone carriage return ends this line; convert the line ends to \\n",
    "only_blank_lines.fa": "FILE, line 1: the file is empty",
    "only_n.fa": "FILE: the placed sequences hold nothing but N",
    "packed_twice.fa.gz": "FILE, line 1: does not start with a '>' header: it is packed twice; unpack it once",
    "protein.fa": f"FILE, line 2: letter 'I' in sequence sp|P1|X {NOT_DNA}",
    "protein_stop.fa": "FILE, line 3: letter '*' in sequence p1 is not IUPAC DNA; this looks like protein",
    "rna.fa": "FILE, line 2: letter 'U' in sequence chr1 is not IUPAC DNA; this looks like RNA; write T for U",
    "rubbish_after_gzip.fa.gz": CUT_SHORT,
    "space_before_header.fa": "FILE, line 1: does not start with a '>' header: not a FASTA file",
    "space_before_id.fa": "FILE, line 1: the header has no id right after '>'",
    "space_before_second_header.fa": f"FILE, line 4: letter ' ' in sequence chr1 {NOT_DNA}",
    "spaces_in_lines.fa": f"FILE, line 4: letter ' ' in sequence chr1 {NOT_DNA}",
    "too_short.fa": "no stretch without N has 128 bases; lower windows.min_length",
    "utf16.fa": "FILE, line 1: does not start with a '>' header: this is UTF-16 text; save it as plain ASCII",
    "web_page.fa": "FILE, line 1: does not start with a '>' header: this is a web page; download the file again",
    "web_page_inside.fa.gz": "FILE, line 1: does not start with a '>' header: this is a web page",
    "wrong_checksum.fa.gz": CUT_SHORT,
    "zip.fa": "FILE, line 1: does not start with a '>' header: this is a zip archive; unpack it",
}
#: Odd, but nothing is lost.
FASTA_ACCEPTED = (
    "blank_lines.fa",
    "no_last_line_end.fa",
    "not_packed.fa.gz",
    "packed_without_the_ending.fa",
    "two_members.fa.gz",
    "windows_line_ends.fa",
)

NO_COLUMNS = "needed are seqid, group, haplotype"
NOT_A_TABLE = "FILE cannot be read as a table ("
TABLES = {
    "sequences_blank_line_before_fault.csv": "FILE, line 5: sequence Chr03 is not in the FASTA",
    "sequences_column_twice.csv": "FILE, line 1: column group is there more than once",
    "sequences_column_twice_with_blank.csv": "FILE, line 1: column group is there more than once",
    "sequences_cut_short.csv.gz": "FILE, after line 0: the gzip data are cut short or damaged ",
    "sequences_only_a_name.csv": "FILE, line 4: 1 cells, the first line has 3; an empty cell needs its comma",
    "split_column_twice.csv": "FILE, line 1: column seqid is there more than once",
    "sequences_all_unplaced.csv": "all sequences are unplaced: mend genome.unplaced_names or genome.sequence_table",
    "sequences_comma_at_the_ends.csv": "FILE, line 2: 4 cells, the first line has 3; an empty cell needs its comma",
    "sequences_commas.tsv": "FILE, line 1: no column seqid and group and haplotype; it has seqid,group,haplotype",
    "sequences_empty.csv": NOT_A_TABLE,
    "sequences_latin1.csv": "FILE, line 3: not UTF-8 text; save the table as CSV in UTF-8",
    "sequences_long_row.csv": "FILE, line 4: 4 cells, the first line has 3; an empty cell needs its comma",
    "sequences_missing.csv": "FILE: 2 sequences of the FASTA are missing: chr4, chr5; add a line for each, with an "
    "empty group where it is unplaced",
    "sequences_not_parquet.parquet": "FILE is not Parquet",
    "sequences_nul_byte.csv": "FILE, line 4: not text; use CSV, TSV or Parquet",
    "sequences_only_header.csv": "FILE holds no rows",
    "sequences_open_quote.csv": "FILE, line 6: cannot be read as CSV or TSV (unexpected end of data)",
    "sequences_semicolons.csv": "FILE, line 1: no column seqid and group and haplotype; it has seqid;group;haplotype",
    "sequences_spreadsheet.xlsx": "FILE, line 1: not text; use CSV, TSV or Parquet",
    "sequences_tabs.csv": "FILE, line 1: no column seqid and group and haplotype; it has seqid\tgroup\thaplotype",
    "sequences_twice.csv": "FILE, line 7: sequence chr2 stands in an earlier line too",
    "sequences_unknown.csv": "FILE, line 4: sequence Chr03 is not in the FASTA",
    "sequences_utf16.csv": "FILE, line 1: not UTF-8 text; save the table as CSV in UTF-8",
    "sequences_web_page.csv": "FILE, line 1: no column seqid and group and haplotype; it has <!DOCTYPE html>",
    "sequences_without_a_column.csv": f"FILE, line 1: no column haplotype; it has seqid, group, {NO_COLUMNS}",
    "sequences_without_header.csv": "FILE, line 1: no column seqid and group and haplotype; it has chr1, 1, A",
    "split_bad_name.csv": "FILE, line 5: split validation is not one of train, val, test",
    "split_comma_at_the_ends.csv": "FILE, line 2: 5 cells, the first line has 4; an empty cell needs its comma",
    "split_decimal.csv": "FILE, line 3: start 0.0 and end 150.0 must be whole numbers, 0-based half-open",
    "split_empty.csv": NOT_A_TABLE,
    "split_latin1.csv": "FILE, line 4: not UTF-8 text; save the table as CSV in UTF-8",
    "split_long_row.csv": "FILE, line 4: 5 cells, the first line has 4; an empty cell needs its comma",
    "split_negative.csv": "FILE, line 3: start -5 and end 150 must be whole numbers, 0-based half-open",
    "split_only_a_name.csv": "FILE, line 4: 1 cells, the first line has 4; an empty cell needs its comma",
    "split_only_header.csv": "FILE holds no rows",
    "split_overlap.csv": "FILE, line 6: overlaps line 5 on chr4",
    "split_past_the_end.csv": "FILE, line 4: chr3:0-151 is not a stretch of the sequence's 150 bases",
    "split_semicolons.csv": "FILE, line 1: no column seqid and split; it has seqid;split, needed are seqid, split",
    "split_swapped.csv": "FILE, line 4: chr3:150-0 is not a stretch of the sequence's 150 bases",
    "split_thousands.csv": "FILE, line 4: start 0 and end 1,50 must be whole numbers, 0-based half-open",
    "split_too_short.csv": "FILE gives no 128 bases without N to test; name sequences for each of train, val, test",
    "split_twice.csv": "FILE, line 7: overlaps line 5 on chr4",
    "split_unknown.csv": "FILE, line 3: sequence Chr02 is not in the FASTA; did you mean chr2? Rename one of the two",
    "split_without_a_column.csv": "FILE, line 1: no column split; it has seqid, needed are seqid, split",
    "split_without_bases.csv": "FILE, line 4: chr3:10-10 is not a stretch of the sequence's 150 bases",
    "split_without_test.csv": "FILE gives no 128 bases without N to test; name sequences for each of",
}
#: With the warnings that the summary counts.
TABLES_ACCEPTED = {
    "sequences_byte_order_mark.csv": [],
    "sequences_not_a_zip.csv.zip": [],  # a plain table under a misleading name
    "sequences_not_packed.csv.gz": [],
    "split_not_all_named.csv": ["150 bases are named in no row of split.table and are left out"],
}

NO_TAG = "holds '|' or a letter outside of printable ASCII, which no tag can hold"
NOT_FETCHED = "cannot be downloaded: give an https URL without blanks or accents, or a path"
SETTINGS = {
    "mixture_with_an_infinite_weight": "mixture.weights.regions=inf must lie between 0 and 1,000,000",
    "containment_past_one": "split.max_containment=50.0 must lie between 0 and 1",
    "dropout_past_one": "mixture.lineage_dropout=1.5 must lie between 0 and 1",
    "fasta_is_a_folder": "HERE/workflow is a folder, not a file",
    "forced_all": "split: what is forced leaves no homolog group for train and val",
    "forced_in_blocks": "split.train, split.val and split.test name whole homolog groups; use split.method=sequence",
    "forced_into_two_splits": "split: 3 is forced into more than one split",
    "forced_unknown_name": "split.test names chr9, which is no homolog group or sequence; it has chr1, chr2, chr3",
    "fraction_is_not_a_number": "split.fractions={'train': nan, 'val': 0.1, 'test': 0.1}: give a positive share to",
    "fraction_of_unknown_split": "split.fractions={'train': 0.8, 'val': 0.1, 'test': 0.1, 'validation': 0.1}: give a",
    "fractions_past_one": "split.fractions={'train': 0.8, 'val': 0.2, 'test': 0.2} do not add up to 1",
    "ftp": f"genome.fasta=ftp://example.org/genome.fa.gz {NOT_FETCHED}",
    "genome_name_with_a_slash": "genome.name=a/b names files: use letters, digits, '.', '_' and '-' only",
    "interpolation_of_nothing": "windows.length: Interpolation key 'train.lenght' not found",
    "lineage_longer_than_its_spacing": "mixture.lineage_spacing=20 leaves no room for bases beside a tag of 57 letters",
    "lineage_of_unknown_sequence": "genome.lineages names chr9, which is no sequence of this genome: names match",
    "lineage_with_a_bar": f"genome.lineage=d__E;p__S;c__M;o__P;f__P;g__S|x;s__o {NO_TAG}",
    "lineage_without_ranks": "genome.lineage=Saccharum officinarum is not a lineage: write d__…;",
    "method_without_its_table": "split.method=table and split.table go together",
    "missing_annotation": "HERE/nowhere.gff3 does not exist",
    "missing_fasta": "HERE/nowhere.fa does not exist",
    "missing_sequence_table": "HERE/nowhere.csv does not exist (the configuration names it)",
    "missing_split_table": "HERE/nowhere.csv does not exist (the configuration names it)",
    "mixture_of_unknown_set": "mixture.weights.cds is no set of windows; there are regions, tiling",
    "mixture_with_a_negative_weight": "mixture.weights.regions=-1.0 must lie between 0 and 1,000,000",
    "negative_fraction": "split.fractions={'train': 1.2, 'val': -0.1, 'test': -0.1}: give a positive share to each",
    "negative_purge": "split.purge=-1 must not be negative",
    "negative_seed": "seed=-1 must lie between 0 and 2**32 − 1",
    "not_a_regular_expression": "genome.sequence_names=chr(?P<group>[0-9]+ is not a regular expression: ",
    "not_a_regular_expression_of_unplaced": "genome.unplaced_names=*scaffold is not a regular expression: ",
    "plain_http": f"genome.fasta=http://example.org/genome.fa.gz {NOT_FETCHED}",
    "predict_unknown_split": "predict.split=all is not a choice: use one of train, val, test",
    "predict_unknown_windows": "predict.windows=genes is no set of windows; there are tiling",
    "regular_expression_of_everything_unplaced": "all sequences are unplaced: mend genome.unplaced_names or",
    "regular_expression_of_other_names": "5 sequence names are read by neither genome.sequence_names nor "
    "genome.unplaced_names: chr1, chr2, chr3, chr4, chr5; extend one of the two",
    "regular_expression_with_group_twice": "genome.sequence_names=(?P<group>chr)(?P<group>[0-9]+) is not a regular",
    "regular_expression_without_group": "genome.sequence_names has no named group (?P<group>…)",
    "set_named_regions": "windows.sets.regions: this name means the whole regions of a split",
    "set_of_unknown_split": "windows.sets.*.splits=validation is not a choice: use one of train, val, test",
    "set_with_a_slash": "windows.sets=genes/long names files: use letters, digits, '.', '_' and '-' only",
    "set_with_negative_flank": "windows.sets.*.upstream=-5 must not be negative",
    "set_without_genes": "windows.sets.genic: kind genic needs gene models and the annotation has none; give",
    "set_without_kind": "windows.sets.genes.kind is not set: give windows.sets.genes.kind=…",
    "table_without_its_method": "split.method=table and split.table go together",
    "unknown_gate_action": "gates.split_fractions=ignore is not a choice: use one of stop, warn",
    "unknown_set_kind": "windows.sets.*.kind=gene is not a choice: use one of tiling, genic, transcript, cds,",
    "unknown_stage": "stage=trian is not a choice: use one of download, prepare,",
    "url_with_a_blank": f"genome.fasta=https://example.org/my genome.fa.gz {NOT_FETCHED}",
    "url_with_bad_port": f"genome.fasta=https://example.org:99999/genome.fa.gz {NOT_FETCHED}",
    "url_without_a_file": "genome.fasta=https://example.org/ does not end in the name of a file: download it yourself",
    "url_without_a_host": f"genome.fasta=https:///genome.fa.gz {NOT_FETCHED}",
    "wrong_sha256": f"{SOUND} has the SHA-256 ",
    "wrong_size": f"{SOUND} has 835 bytes, not 1: copy it again, or correct genome.fasta_bytes",
    "zero_length": "windows.length=0 must be at least 31",
}
#: What Hydra says, beside the name of the file.
COMPOSITION = {
    "bytes_in_words": ("Value '10 GB' of type 'str' could not be converted to Integer", "genome.fasta_bytes"),
    "mixture_that_is_a_list": ("Cannot merge DictConfig with ListConfig",),
    "mixture_with_text": ("Value 'much' of type 'str' could not be converted to Float", "mixture.weights.regions"),
    "not_a_mapping": ("Cannot merge DictConfig with ListConfig",),
    "null_for_a_name": ("Incompatible value 'None' for field of type 'str'", "genome.name"),
    "number_for_a_section": ("int is not a subclass of SplitConfig",),
    "number_with_a_fraction": ("Value '1024.5' of type 'float' could not be converted to Integer", "windows.length"),
    "set_is_a_list": ("Cannot merge DictConfig with ListConfig",),
    "text_for_a_number": ("Value 'long' of type 'str' could not be converted to Integer", "windows.length"),
    "unknown_key": ("Key 'purge_gap' not in 'SplitConfig'", "split.purge_gap"),
    "unknown_key_of_a_set": ("Key 'upstraem' not in 'WindowSetConfig'", "windows.sets.genic.upstraem"),
    "unknown_section": ("Key 'spilt' not in 'Config'",),
}
SETTINGS_ACCEPTED = ("min_length_past_length", "windows_line_ends")
#: What these are to begin with once `main` and `MixtureConfig` are mended.
NOT_YAML = {
    "latin1": "a configuration file is not UTF-8 text; save it as UTF-8",
    "open_bracket": "FILE, line 4: not YAML (expected ',' or ']'",
    "tab_indentation": "FILE, line 3: not YAML (found character '\\t'",
}


def run(runs: Path, *overrides: str) -> Path:
    """Prepare the sound genome, or what the overrides say, as the command does; the run folder."""
    given = [f"hydra.searchpath=['file://{MALFORMED}']", f"runs_folder={runs}", "run_name=one", "genome=sound"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = resolve(compose("config", [*given, "train=none", *overrides]))
    Run(config).execute()
    return runs / "one"


def told(runs: Path, *overrides: str, done: tuple[str, ...] = ("download",)) -> str:
    """The one line that a run ends with; nothing but the stages that were `done` before is published."""
    with pytest.raises(InputError) as caught:
        run(runs, *overrides)
    assert "\n" not in str(caught.value)
    assert {path.name for path in (runs / "one").glob("*")} <= {".lock", "failed.json", "run.json", *done}
    return str(caught.value)


def begins(text: str, expected: str, file: Path) -> bool:
    return text.startswith(expected.replace("FILE", str(file)).replace("HERE", str(Path.cwd())))


def of_table(name: str) -> tuple[str, ...]:
    key = "genome.sequence_table" if name.startswith("sequences_") else "split.method=table split.table"
    return tuple(f"{key}='{MALFORMED / 'tables' / name}'".split(" ", 1))


def warnings(folder: Path) -> list[str]:
    found: list[str] = json.loads((folder / "prepare" / "summary.json").read_text())["warnings"]
    counted = json.loads((folder / "prepare" / "manifest.json").read_text())["counts"]["warnings"]
    assert counted == len(found)
    return found


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("fasta", [*FASTA, *FASTA_ACCEPTED]),
        ("tables", [*TABLES, *TABLES_ACCEPTED]),
        ("configs", [f"{n}.yaml" for n in (*SETTINGS, *COMPOSITION, *SETTINGS_ACCEPTED, *NOT_YAML)]),
    ],
)
def test_every_file_is_in_a_table(folder: str, names: list[str]) -> None:
    assert sorted(names) == sorted(path.name for path in (MALFORMED / folder).iterdir())
    assert max(path.stat().st_size for path in (MALFORMED / folder).iterdir()) < 2_000


# ---------------------------------------------------------------- FASTA


@pytest.mark.parametrize("name", sorted(FASTA))
def test_fasta(tmp_path: Path, name: str) -> None:
    file = MALFORMED / "fasta" / name
    assert begins(told(tmp_path, f"genome.fasta='{file}'"), FASTA[name], file)


@pytest.mark.parametrize("name", FASTA_ACCEPTED)
def test_odd_fasta_is_read_whole(tmp_path: Path, name: str) -> None:
    folder = run(tmp_path, f"genome.fasta='{MALFORMED / 'fasta' / name}'")
    records = [record.partition("\n") for record in SOUND.read_text().split(">")[1:]]
    expected = "".join(f">{header.split()[0]}\n{''.join(bases.split())}\n" for header, _, bases in records)
    assert (folder / "prepare" / "genome.fa").read_text() == expected
    assert warnings(folder) == []


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("name", sorted(TABLES))
def test_table(tmp_path: Path, name: str) -> None:
    assert begins(told(tmp_path, *of_table(name)), TABLES[name], MALFORMED / "tables" / name)


@pytest.mark.parametrize("name", sorted(TABLES_ACCEPTED))
def test_odd_table_is_accepted_with_a_counted_warning(tmp_path: Path, name: str) -> None:
    folder = run(tmp_path, *of_table(name))
    assert warnings(folder) == TABLES_ACCEPTED[name]
    accounting = json.loads((folder / "prepare" / "accounting.json").read_text())
    assert sum(accounting["kept"].values()) + sum(accounting["dropped"].values()) == 750


# ---------------------------------------------------------------- settings


def stages_before_the_last(name: str) -> tuple[str, ...]:
    """Of those that a file of settings asks for; they may be published before its fault shows."""
    asked = yaml.safe_load((MALFORMED / "configs" / f"{name}.yaml").read_text(encoding="utf-8")).get("stage", [])
    return ("download", *asked[:-1])


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_settings(tmp_path: Path, name: str) -> None:
    text = told(tmp_path, f"+configs={name}", done=stages_before_the_last(name))
    assert begins(text, SETTINGS[name], MALFORMED / "configs" / f"{name}.yaml")


@pytest.mark.parametrize("name", sorted(COMPOSITION))
def test_settings_that_hydra_refuses(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigCompositionException) as caught:
        run(tmp_path, f"+configs={name}")
    for part in (f"In 'configs/{name}'", *COMPOSITION[name]):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SETTINGS_ACCEPTED)
def test_odd_settings_are_accepted(tmp_path: Path, name: str) -> None:
    assert warnings(run(tmp_path, f"+configs={name}")) == []


@pytest.mark.parametrize("name", sorted(NOT_YAML))
def test_what_is_not_yaml(tmp_path: Path, name: str) -> None:
    with pytest.raises((yaml.YAMLError, UnicodeDecodeError)) as caught:
        run(tmp_path, f"+configs={name}")
    text = explain(caught.value)
    assert begins(text, NOT_YAML[name], MALFORMED / "configs" / f"{name}.yaml")
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []
