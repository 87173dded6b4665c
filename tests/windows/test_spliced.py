from itertools import pairwise

import numpy as np
import pytest
from Bio.Seq import Seq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.config import WindowSetConfig

LENGTH = 240
TEXT = "".join(np.random.default_rng(2).choice(list("ACGTacgtR"), LENGTH))
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
spans = st.lists(st.integers(40, 200), min_size=2, max_size=10, unique=True).map(
    lambda cut: list(zip(sorted(cut)[::2], sorted(cut)[1::2], strict=False))
)


def read(text: str, parts: list[tuple[int, int]], strand: str) -> str:
    """Parts in the order of transcription, joined."""
    pieces = [text[start:end] for start, end in parts]
    return "".join(str(Seq(piece).reverse_complement()) if strand == "-" else piece for piece in pieces)


@relaxed
@given(spans, st.sampled_from("+-"), st.integers(0, 60))
def test_exons_are_joined_after_the_promoter(window_set, gene, exons, strand, upstream) -> None:
    order = exons if strand == "+" else exons[::-1]
    wanted = WindowSetConfig("transcript", upstream=upstream)
    made = window_set({"a": TEXT}, [("a", 10, 230, "val")], [gene("g", "a", strand, order)], wanted)
    if strand == "+":
        promoter = (max(exons[0][0] - upstream, 10), exons[0][0])
        place = (promoter[0], exons[-1][1])
    else:
        promoter = (exons[-1][1], min(exons[-1][1] + upstream, 230))
        place = (exons[0][0], promoter[1])
    name = f"t_g:a:{place[0]}-{place[1]}({strand})"
    assert made.records == {name: read(TEXT, [promoter, *order], strand)}
    assert made.table[["sequence_id", "parent", "strand", "length"]].to_numpy().tolist() == [
        [name, "g", strand, len(made.records[name])]
    ]


@relaxed
@given(spans, st.sampled_from("+-"), st.integers(0, 30))
def test_introns_are_stitched_in_without_reading_a_base_twice(window_set, gene, exons, strand, flank) -> None:
    kept = np.zeros(LENGTH, bool)
    for start, end in exons:
        kept[start:end] = True
    for (_, before), (after, _) in pairwise(exons):
        kept[before : min(before + flank, after)] = True
        kept[max(after - flank, before) : after] = True
    joined = "".join(np.array(list(TEXT))[kept])
    order = exons if strand == "+" else exons[::-1]
    wanted = WindowSetConfig("transcript", upstream=0, intron_flank=flank)
    made = window_set({"a": TEXT}, [("a", 0, LENGTH, "val")], [gene("g", "a", strand, order)], wanted)
    assert list(made.records.values()) == [read(joined, [(0, len(joined))], strand)]


@relaxed
@given(
    st.integers(2, 20),
    st.lists(st.integers(1, 60), max_size=5, unique=True),
    st.sampled_from("+-"),
    st.integers(0, 2),
    st.integers(1, 9),
)
def test_coding_sequences_translate(window_set, gene, codons, cuts, strand, phase, gap) -> None:
    coding = "C" * phase + "ATG" + "GCC" * (codons - 2) + "TAA"
    borders = [0, *sorted(cut for cut in cuts if cut < len(coding)), len(coding)]
    if strand == "-":
        coding = str(Seq(coding).reverse_complement())
    text, parts = "G" * 7, []
    for start, end in pairwise(borders):
        parts.append((len(text), len(text) + end - start))
        text += coding[start:end] + "N" * gap
    order = parts if strand == "+" else parts[::-1]
    genes = [gene("g", "a", strand, order, order, phase)]
    made = window_set({"a": text}, [("a", 0, len(text), "val")], genes, WindowSetConfig("cds"))
    (record,) = made.records.values()
    assert Seq(record).translate() == "M" + "A" * (codons - 2) + "*"


def test_a_transcript_across_the_origin_is_read_through_it(window_set, gene) -> None:
    text = "AACCGGTTNNNNNNNNTTGA"
    genes = [gene("f", "a", "+", [(16, 24)]), gene("r", "a", "-", [(18, 23)])]
    made = window_set({"a": text}, [("a", 0, 20, "val")], genes, WindowSetConfig("transcript", upstream=0))
    assert made.records == {"t_f:a:0-20(+)": "TTGAAACC", "t_r:a:0-20(-)": "GTTTC"}


def test_trans_spliced_parts_are_read_in_their_order(window_set, gene) -> None:
    parts, strands = [(12, 16), (0, 4)], ["-", "+"]
    genes = [gene("g", "a", "-", parts, strands=strands)]
    wanted = WindowSetConfig("transcript", upstream=2, intron_flank=1)
    made = window_set({"a": "AACCGGTTACGTAAACGGTT"}, [("a", 0, 20, "val")], genes, wanted)
    assert list(made.records.values()) == ["CC" + "GTTT" + "AACC"]


def test_transcripts_that_are_not_in_one_region_are_counted(window_set, gene) -> None:
    genes = [
        gene("across", "a", "+", [(5, 10), (30, 35)]),
        gene("outside", "a", "+", [(51, 55)]),
        gene("inside", "a", "-", [(40, 45), (30, 35)]),
    ]
    regions = [("a", 0, 20, "train"), ("a", 25, 50, "test")]
    made = window_set({"a": "ACGT" * 20}, regions, genes, WindowSetConfig("transcript", upstream=0))
    assert made.table["parent"].tolist() == ["inside"]
    assert made.summary["dropped"] == {"crosses_region": 1, "outside_regions": 1}


@pytest.mark.parametrize("kind", ["transcript", "cds"])
def test_genes_without_such_parts_give_no_window(window_set, gene, kind) -> None:
    genes = [gene("g", "a", "+", [], extent=(2, 9))]
    made = window_set({"a": "ACGTACGTACGT"}, [("a", 0, 12, "val")], genes, WindowSetConfig(kind))
    assert made.table.empty
    assert made.records == {}
    assert made.summary["windows"] == {"train": 0, "val": 0, "test": 0}
