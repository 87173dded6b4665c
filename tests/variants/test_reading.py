from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workflow.config import VariantsConfig
from workflow.errors import InputError
from workflow.variants.reading import read_variants

LABELLED: dict[str, Any] = {
    "label_column": "label",
    "positive": ["bad"],
    "negative": ["good"],
    "score_column": "value",
    "consequence_column": "effect",
}


def read(tmp_path: Path, text: str, **settings: Any) -> pd.DataFrame:
    path = tmp_path / "variants.csv"
    path.write_text(text)
    return read_variants(path, VariantsConfig(**settings))


def test_columns_of_a_table(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "chromosome,position,ref,alt,label,value,effect\n"
        "1,5,a,g,bad,0.5,missense\n1,6,AC,GT,good,NA,\n1,7,A,AT,unsure,-2,NA\n1,8,AT,A,good,1,x\n1,9,AT,CTG,bad,1e-3,x\n",
        **LABELLED,
    )
    assert table["variant_id"].tolist() == ["1:5:A:G", "1:6:AC:GT", "1:7:A:AT", "1:8:AT:A", "1:9:AT:CTG"]
    assert table["kind"].tolist() == ["snv", "mnv", "insertion", "deletion", "complex"]
    assert table["line"].tolist() == [2, 3, 4, 5, 6]
    assert table["positive"].tolist() == [True, False, pd.NA, False, True]
    assert table["label"].tolist() == ["bad", "good", "unsure", "good", "bad"]
    np.testing.assert_array_equal(table["measured"], [0.5, np.nan, -2, 1, 1e-3])
    assert table["consequence"].fillna("").tolist() == ["missense", "", "", "x", "x"]
    assert table["reason"].isna().all()


def test_other_names_of_columns_and_alleles_in_one_cell(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        'made by hand,,,\nchr,pos,from,to\nx,3,A,"C,T"\n',
        header_row=2,
        chromosome_column="chr",
        position_column="pos",
        ref_column="from",
        alt_column="to",
    )
    assert table["variant_id"].tolist() == ["x:3:A:C", "x:3:A:T"]
    assert table["line"].tolist() == [3, 3]
    assert table["positive"].isna().all() and np.isnan(table["measured"]).all()


@pytest.mark.parametrize(
    ("ref", "alt", "reason"),
    [
        ("A", ".", "no alternative allele"),
        ("A", "", "no alternative allele"),
        ("A", "*", "allele of an overlapping deletion (*)"),
        ("A", "<DEL>", "symbolic allele or breakend"),
        ("A", "A[2:321[", "symbolic allele or breakend"),
        ("A", "-", "indel without its anchor base (-)"),
        ("-", "A", "indel without its anchor base (-)"),
        ("A", "N", "letters other than A, C, G, T"),
        ("", "A", "letters other than A, C, G, T"),
        ("A", "a", "alternative equals reference"),
        ("A", "A" * 6, "longer than half the window"),
        ("A", "ACGTA", ""),
    ],
)
def test_every_allele_that_cannot_be_scored_has_its_reason(tmp_path: Path, ref: str, alt: str, reason: str) -> None:
    table = read(tmp_path, f"chromosome,position,ref,alt\n1,5,{ref},{alt}\n", window=10)
    assert table["reason"].fillna("").tolist() == [reason]


def test_the_same_variant_again_counts_once(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "chromosome,position,ref,alt,label,value,effect\n1,5,A,G,bad,1,x\n1,5,A,C,bad,1,x\n1,5,a,g,bad,1,x\n"
        "1,6,A,C,good,,x\n1,6,A,C,good,,x\n",
        **LABELLED,
    )
    again = "the same variant again"
    assert table["reason"].fillna("").tolist() == ["", "", again, "", again]
    table = read(tmp_path, 'chromosome,position,ref,alt\n1,5,A,"G,C,G"\n')
    assert table["reason"].fillna("").tolist() == ["", "", again]


@pytest.mark.parametrize("second", ["1,5,A,G,good,1,x", "1,5,A,G,bad,2,x", "1,5,A,G,bad,,x"])
def test_the_same_variant_with_another_word_is_refused(tmp_path: Path, second: str) -> None:
    with pytest.raises(InputError, match="row 4: 1:5:A:G is there already in row 2, with another label or value"):
        read(
            tmp_path,
            f"chromosome,position,ref,alt,label,value,effect\n1,5,A,G,bad,1,x\n1,6,A,G,good,1,x\n{second}\n",
            **LABELLED,
        )


@pytest.mark.parametrize("position", ["x", "-3", "1.5", "", "٣", "1" * 30])
def test_a_position_is_a_whole_number(tmp_path: Path, position: str) -> None:
    with pytest.raises(InputError, match=r"row 3, column position: .* is not a position, a whole number from 1"):
        read(tmp_path, f"chromosome,position,ref,alt\n1,5,A,C\n1,{position},A,C\n")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"ref_column": "reference"},
            r"no column reference; it has chromosome, position, ref, alt.*variants.ref_column.* variants.header_row$",
        ),
        ({"score_column": "z"}, "no column z; .* choose one with variants.score_column"),
        ({"score_column": "label"}, "row 2, column label: 'bad' is not a finite number"),
        (LABELLED | {"positive": ["worst"]}, r"no row has a label of variants.positive=\[worst\]; there are bad, good"),
        (LABELLED | {"negative": ["bad"]}, "variants.positive and variants.negative both name bad"),
    ],
)
def test_settings_that_do_not_fit_the_table(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(
            tmp_path,
            "chromosome,position,ref,alt,label,value,effect\n1,5,A,G,bad,1,x\n1,6,A,G,good,1,x\n",
            **settings,
        )


def test_a_vcf(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_text(
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tG,*\t.\t.\tS=bad;E=x;V=2\n"
        "1\t8\t.\tC\tT\t.\t.\tS=good\n"
    )
    settings = LABELLED | {"label_column": "S", "score_column": "V", "consequence_column": "E"}
    table = read_variants(path, VariantsConfig(**settings))
    assert table["variant_id"].tolist() == ["1:5:A:G", "1:5:A:*", "1:8:C:T"]
    assert table["positive"].tolist() == [True, True, False]
    np.testing.assert_array_equal(table["measured"], [2, 2, np.nan])
    assert table["reason"].fillna("").tolist() == ["", "allele of an overlapping deletion (*)", ""]
