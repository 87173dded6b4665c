import pytest

from workflow.config.classify import ClassifyConfig
from workflow.errors import InputError
from workflow.labels import read_labelled
from workflow.labels.reading import encode

BASES = ("ACGTTGCAAC", "TTGACCAGTA", "GGCATTACCA", "CATGGACTTA")
HEADER = "name,sequence,genus,species,value,part,family"


def _rows(n=40):
    """n rows of two genera and four species; each sequence once."""
    for number in range(n):
        kind = number % 4
        tail = "".join("ACGT"[(number >> shift) & 3] for shift in (0, 2, 4))
        yield [
            f"s{number}",
            BASES[kind] + tail,
            "gh"[kind // 2],
            f"s{kind}",
            str(number / 4),
            "train",
            f"f{number // 2}",
        ]


@pytest.fixture
def made(tmp_path):
    def make(change=None, name="table.csv", header=HEADER, rows=None):
        rows = list(_rows()) if rows is None else rows
        if change:
            change(rows)
        path = tmp_path / name
        path.write_text("\n".join([header, *map(",".join, rows)]) + "\n")
        return str(path)

    return make


def _config(table, **settings):
    return ClassifyConfig(**{"table": table, "labels": ["genus", "species"], **settings})


def test_a_hierarchy_is_read_and_divided(made):
    def change(rows):
        rows[0][1] = rows[0][1].lower().replace("t", "r")
        rows[1][3] = rows[2][2] = rows[2][3] = "NA"

    data = read_labelled(_config(made(change), id_column="name", test_share=0.2), seed=3)
    assert data.ids[:3] == ["s0", "s1", "s3"] and data.rows[:3].tolist() == [2, 3, 5]
    assert data.sequences[0] == b"ACGNNGCAACAAA"
    assert data.labels.iloc[1].tolist()[0] == "g" and data.labels["species"].isna().tolist()[:3] == [False, True, False]
    counts = data.counts()
    assert counts["test"] in (7, 8) and counts["val"] in (3, 4) and sum(counts.values()) == 39
    assert any("1 rows without any label were left out (the first:" in note and "row 4" in note for note in data.notes)
    assert encode(data, "classification").parents["species"] == (0, 0, 1, 1)


def test_sequences_of_a_fasta_are_found_by_id(made, tmp_path):
    fasta = tmp_path / "all.fa"
    fasta.write_text("".join(f">{row[0]} x\n{row[1]}\n" for row in list(_rows())[::-1]) + ">other\nACGT\n")
    data = read_labelled(_config(made(), id_column="name", sequences=str(fasta)))
    assert data.sequences == [row[1].encode() for row in _rows()]
    assert data.notes[0] == "1 sequences that no row names were left out."
    fasta.write_text(">s0\nACGT\n>s0\nACG\n")
    with pytest.raises(InputError, match=r"two records are called s0 \(all.fa, line 1; all.fa, line 3\)"):
        read_labelled(_config(made(), id_column="name", sequences=str(fasta)))
    fasta.write_text(">s0\nACGT\n")
    with pytest.raises(InputError, match=r"row 3: all.fa holds no sequence s1"):
        read_labelled(_config(made(), id_column="name", sequences=str(fasta)))


def test_given_splits_by_column_and_by_table(made):
    def change(rows):
        for number, row in enumerate(rows):
            row[5] = ("train", "DEV", "test")[0 if number < 24 else number % 2 + 1]

    data = read_labelled(_config(made(change), split="given", split_column="part"))
    assert data.counts() == {"train": 24, "val": 8, "test": 8} and data.split[24:26].tolist() == ["val", "test"]
    rows = list(_rows())
    tables = {"table": made(rows=rows[:30], name="a.csv"), "test_table": made(rows=rows[30:], name="b.csv")}
    data = read_labelled(ClassifyConfig(labels=["species"], split="given", **tables))
    assert data.counts() == {"train": 27, "val": 3, "test": 10}
    assert data.notes == ["The given split names no val: 3 sequences were drawn from train."]


@pytest.mark.parametrize("method", ["group", "similarity"])
def test_families_stay_whole(made, method):
    def change(rows):  # the two of a family are one sequence and its reverse complement
        for number in range(1, len(rows), 2):
            rows[number][1] = rows[number - 1][1].translate(str.maketrans("ACGT", "TGCA"))[::-1]

    data = read_labelled(_config(made(change), split=method, group_column="family", test_share=0.2))
    assert (data.split[::2] == data.split[1::2]).all() and set(data.split) == {"train", "val", "test"}
    assert (data.group[::2] == data.group[1::2]).all() and len(set(data.group)) == 20


def test_a_class_with_one_example_stays_in_train_and_unseen_labels_are_told(made):
    def change(rows):
        rows[7][3] = "rare"

    path = made(change)
    data = read_labelled(_config(path), seed=0)
    assert data.split[7] == "train" and any("1 of 5 classes have one example" in note for note in data.notes)
    rows = list(_rows())
    rows[39][3] = "rare"
    tables = {"table": made(rows=rows[:30], name="a.csv"), "test_table": made(rows=rows[30:], name="b.csv")}
    given = {"labels": ["species"], "split": "given", **tables}
    assert "1 labels of test, 1 sequences, species" in read_labelled(ClassifyConfig(**given)).notes[-1]
    with pytest.raises(InputError, match=r"no example of species rare \(test, row 11\)"):
        read_labelled(ClassifyConfig(unseen="refuse", **given))


def test_duplicates_are_removed_when_asked(made):
    def change(rows):
        rows[39][1], rows[39][5] = rows[0][1], "test"
        rows[38][5] = "val"

    settings = {"split": "given", "split_column": "part", "id_column": "name"}
    assert len(read_labelled(_config(made(change), **settings))) == 40
    kept = read_labelled(_config(made(change), duplicates="remove", **settings))
    assert "s0" not in kept.ids and "s39" in kept.ids and len(kept) == 39


def _put(row, column, cell):
    def change(rows):
        rows[row][column] = cell

    return change


def _constant(column):
    def change(rows):
        for row in rows:
            row[column] = "g"

    return change


def _others_outside_of_train(rows):
    for number, row in enumerate(rows):
        if number >= 24:
            row[2], row[3], row[5] = "other", "new", ("val", "test")[number % 2]


GIVEN = {"split": "given", "split_column": "part"}


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (None, {"labels": ["order"]}, r"no column order; it has .*choose one with classify\.labels"),
        (_put(4, 1, ""), {}, r"row 6: sequence 6 is empty"),
        (_put(4, 1, "ACQT"), {}, r"row 6: letter 'Q' in sequence 6 is not IUPAC DNA"),
        (_put(4, 2, "h"), {}, r"species s0 stands below genus g \(.*row 2\) and below genus h \(.*row 6\)"),
        (_constant(2), {"labels": ["genus"]}, r"column genus: training holds g alone"),
        (_constant(4), {"labels": ["value"], "task": "regression"}, r"row 2, column value: 'g' is not a finite number"),
        (
            _put(2, 3, "EEI"),
            {"labels": ["species"], "task": "per_base"},
            r"row 2: column species labels 2 bases, .* 13",
        ),
        (_others_outside_of_train, {"labels": ["species"], **GIVEN}, r"column species: val holds no label of it"),
        (None, {"labels": ["genus/species"]}, r"'genus/species' names files: rename the column"),
        (None, {"labels": ["id"]}, r"labels=id: results have a column id of their own"),
        (None, {"level_weights": [1, 0]}, r"level_weights must be positive"),
        (None, {"kmer_lengths": [3, 20]}, r"kmer_lengths=\[3, 20\] must be lengths from 1 to 12"),
        (_put(3, 5, "maybe"), {"split": "given", "split_column": "part"}, r"row 5: split maybe is none"),
        (None, {"split": "given", "split_column": "part"}, r"test would hold none of the 40 labelled sequences"),
        (None, {"split": "given"}, r"split=given needs classify\.split_column"),
        (None, {"split": "group"}, r"needs classify\.group_column"),
        (
            _constant(6),
            {"split": "group", "group_column": "family"},
            r"names 1 group\(s\); train, val and test need one",
        ),
        (None, {"test_table": "x.csv"}, r"set classify\.split=given"),
        (None, {"sequences": "x.fa"}, r"needs classify\.id_column"),
        (None, {"test_share": 0.6, "validation_share": 0.4}, r"leave nothing for train"),
    ],
)
def test_bad_input_is_refused_in_one_line(made, change, settings, message):
    with pytest.raises(InputError, match=message) as raised:
        read_labelled(_config(made(change), **settings))
    assert "\n" not in str(raised.value)
