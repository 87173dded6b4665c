from __future__ import annotations

import pandas as pd

from tests.annotation.test_classes import models
from workflow.annotation.sites import SITE_KINDS, gene_sites

LENGTHS = {"chr2": 400, "chr10": 400}


def sites(*transcripts: tuple) -> dict[str, list[tuple[str, int, str]]]:
    table = gene_sites(models(*transcripts), LENGTHS)
    return {
        kind: list(table.loc[table["kind"] == kind, ["seqid", "position", "strand"]].itertuples(index=False, name=None))
        for kind in SITE_KINDS
    }


#: Two exons, 20–60 and 100–160, coding from 30 to 150: 30 + 50 − … = whole codons.
EXONS = [(20, 60), (100, 160)]
CODING = [(30, 60, 0), (100, 151, 0)]


def test_forward() -> None:
    assert sites(("chr2", "+", "mRNA", EXONS, CODING)) == {
        "tss": [("chr2", 20, "+")],
        "start_codon": [("chr2", 30, "+")],
        "donor": [("chr2", 60, "+")],
        "acceptor": [("chr2", 99, "+")],
        "stop_codon": [("chr2", 148, "+")],
    }


def test_reverse_is_the_mirror_image() -> None:
    def mirrored(parts: list[tuple]) -> list[tuple]:
        return [(400 - part[1], 400 - part[0], *part[2:]) for part in parts]

    forward = sites(("chr2", "+", "mRNA", EXONS, CODING))
    reverse = sites(("chr2", "-", "mRNA", mirrored(EXONS), mirrored(CODING)))
    assert reverse == {
        kind: [(seqid, 399 - position, "-") for seqid, position, _ in found] for kind, found in forward.items()
    }


def test_what_is_not_known_is_left_out() -> None:
    begins_with_the_codon = sites(("chr2", "+", "mRNA", [(30, 60)], [(30, 60, 0)]))
    assert begins_with_the_codon["tss"] == [] and begins_with_the_codon["start_codon"] == [("chr2", 30, "+")]
    within_a_codon = sites(("chr2", "+", "mRNA", [(20, 60)], [(29, 60, 1)]))
    assert within_a_codon["start_codon"] == [] and within_a_codon["stop_codon"] == [("chr2", 57, "+")]
    no_whole_codons = sites(("chr2", "+", "mRNA", [(20, 61)], [(30, 61, 0)]))
    assert no_whole_codons["stop_codon"] == []
    split_stop = sites(("chr2", "+", "mRNA", [(20, 60), (100, 130)], [(30, 60 - 1, 0), (100, 101, 2)]))
    assert split_stop["stop_codon"] == []
    frameshift = sites(("chr2", "+", "mRNA", [(20, 60), (74, 120)], [(30, 60, 0), (74, 119, 0)]))
    assert frameshift["donor"] == frameshift["acceptor"] == []
    assert sites(("chr2", "+", "tRNA", [(20, 60)], []))["tss"] == [("chr2", 20, "+")]


def test_shared_sites_count_once_in_natural_order() -> None:
    one = ("chr10", "+", "mRNA", EXONS, CODING)
    table = gene_sites(models(one, one, ("chr2", "+", "mRNA", EXONS, CODING)), LENGTHS)
    assert table["seqid"].tolist() == ["chr2"] * 5 + ["chr10"] * 5
    assert table["position"].tolist() == [20, 30, 60, 99, 148] * 2


def test_no_genes() -> None:
    table = gene_sites(models(), LENGTHS)
    assert isinstance(table, pd.DataFrame) and table.empty
    assert list(table) == ["kind", "seqid", "position", "strand"]
