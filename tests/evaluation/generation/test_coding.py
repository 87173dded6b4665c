from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluation.artefacts.sequences import encode
from evaluation.baselines.markov import MarkovModel
from evaluation.generation.annotated import CodingSequences, read_coding_sequences
from evaluation.generation.coding import measure_coding, relative_usage
from evaluation.generation.frames import codon_counts, codon_number, longest_open_stretch, stop_codons
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import Samples
from evaluation.per_base.genetic_code import CODONS, amino_acids
from tests.evaluation.generation.conftest import random_dna, write_genome
from tests.evaluation.generation.test_alignment import coding, random_protein
from workflow.artifacts import InputError

STANDARD = stop_codons(1)


@settings(max_examples=60, deadline=None)
@given(st.text("ACGTN", max_size=120))
def test_the_longest_stretch_is_that_of_a_plain_search(sequence: str) -> None:
    frames = [
        strand[frame : frame + (len(strand) - frame) // 3 * 3]
        for strand in (sequence, str(Seq(sequence).reverse_complement()))
        for frame in range(3)
    ]
    codons = [[frame[at : at + 3] for at in range(0, len(frame), 3)] for frame in frames]
    texts = ["".join("*" if "N" in c or c in ("TAA", "TAG", "TGA") else "x" for c in frame) for frame in codons]
    found = longest_open_stretch(sequence, STANDARD)
    assert len(found) == max(len(part) for text in texts for part in text.split("*"))
    assert any(
        [CODONS[codon] for codon in found] == frame[at : at + len(found)] for frame in codons for at in range(41)
    )


def test_stretches_end_at_stops_and_other_letters() -> None:
    def size(sequence: str) -> int:
        return len(longest_open_stretch(sequence, STANDARD))

    assert size("A" * 30) == 10
    assert size("") == size("AC") == 0
    assert size("N" * 30) == 0
    # A stop codon and an unknown base are no part of a stretch; other frames and the other strand have stops too.
    assert size("TTAATTAATTAA") == 3
    assert size("AAAAAAAAN" + "C" * 12) == 4
    assert size("TAA") == 1  # TTA on the other strand


def test_genetic_codes_differ_in_their_stops() -> None:
    assert {CODONS[codon] for codon in np.flatnonzero(STANDARD)} == {"TAA", "TAG", "TGA"}
    # In code 4 TGA is tryptophan.
    sequence = "TGA" * 20
    assert len(longest_open_stretch(sequence, stop_codons(4))) == 20
    assert amino_acids(4)[codon_number("TGA")] == "W" and amino_acids(1)[codon_number("TGA")] == "*"


def test_relative_usage_closed_form() -> None:
    counts = np.zeros(64)
    counts[[codon_number("TTT"), codon_number("TTC"), codon_number("ATG")]] = 3, 1, 5
    usage = relative_usage(counts, 1)
    assert usage[codon_number("TTT")] == 1.5 and usage[codon_number("TTC")] == 0.5
    assert usage[codon_number("ATG")] == 1
    assert np.isnan(usage[codon_number("GGG")]) and np.isnan(usage[codon_number("TAA")])
    even = relative_usage(np.ones(64), 1)
    assert np.nanmin(even) == np.nanmax(even) == 1 and np.isnan(even).sum() == 3


@pytest.fixture
def annotated(tmp_path: Path) -> tuple[Path, list[str]]:
    """Two genes in train, one on either strand and with an intron, and some that must not count."""
    genes = [coding(random_protein(50, seed)) for seed in (1, 2)]
    plus = random_dna(60, 5) + genes[0][:70] + random_dna(80, 6) + genes[0][70:]
    reverse = str(Seq(genes[1]).reverse_complement())
    start = len(plus) + 40
    bases = plus + random_dna(40, 7) + reverse[:50] + random_dna(90, 8) + reverse[50:] + random_dna(400, 9)
    folder = write_genome(
        tmp_path, {"chr": bases}, [("chr", 0, start + 300, "train"), ("chr", start + 300, len(bases), "test")]
    )
    rows = [
        ("chr", "CDS", 60, 130, "+", 0, "c1", "t1,t1b", None, 11),
        ("chr", "CDS", 210, 290, "+", 2, "c1", "t1", None, 11),
        ("chr", "CDS", start, start + 50, "-", 1, "c2", "t2", None, None),
        ("chr", "CDS", start + 140, start + 240, "-", 0, "c2", "t2", None, None),
        ("chr", "exon", 0, 300, "+", None, "e", "t1", None, None),
        # In test; over the border; trans-spliced; on both strands.
        ("chr", "CDS", start + 310, start + 340, "+", 0, "c3", "t3", None, 4),
        ("chr", "CDS", start + 270, start + 330, "+", 0, "c4", "t4", None, 4),
        ("chr", "CDS", 0, 30, "+", 0, "c5", "t5", "trans-splicing", 4),
        ("chr", "CDS", 0, 30, "+", 0, "c6", "t6", None, 4),
        ("chr", "CDS", 60, 90, "-", 0, "c6", "t6", None, 4),
    ]
    columns = ["seqid", "type", "start", "end", "strand", "phase", "id", "parent", "exception", "transl_table"]
    table = pd.DataFrame(rows, columns=columns).astype({"phase": "Int8", "transl_table": "Int8"})
    table.to_parquet(folder / "annotation.parquet")
    return folder, genes


def test_annotated_codons_are_spliced_on_both_strands(annotated: tuple[Path, list[str]]) -> None:
    folder, genes = annotated
    found = read_coding_sequences(folder)
    np.testing.assert_array_equal(found.counts, codon_counts(encode(genes[0])) + codon_counts(encode(genes[1])))
    assert (found.transcripts, found.transl_table) == (2, 11)


def test_the_phase_of_a_partial_gene_is_heeded(annotated: tuple[Path, list[str]]) -> None:
    folder, genes = annotated
    table = pd.read_parquet(folder / "annotation.parquet")
    first = table[(table["id"] == "c1")].copy()
    first.loc[first["start"] == 60, ["start", "phase"]] = [61, 2]
    first.to_parquet(folder / "annotation.parquet")
    np.testing.assert_array_equal(read_coding_sequences(folder).counts, codon_counts(encode(genes[0][3:])))


def test_no_annotation_and_an_unknown_genetic_code(annotated: tuple[Path, list[str]]) -> None:
    folder, _ = annotated
    table = pd.read_parquet(folder / "annotation.parquet")
    table.assign(transl_table=7).to_parquet(folder / "annotation.parquet")
    with pytest.raises(InputError, match="transl_table=7; NCBI has no such genetic code"):
        read_coding_sequences(folder)
    table[table["type"] != "CDS"].to_parquet(folder / "annotation.parquet")
    assert read_coding_sequences(folder).transcripts == 0
    (folder / "annotation.parquet").unlink()
    assert read_coding_sequences(folder).transl_table == 1


def test_coding_of_groups(make_samples: Callable[..., Samples], markov: MarkovModel, resampling: Resampling) -> None:
    genes = [coding(random_protein(150, seed)) for seed in range(40)]
    counts = np.sum([codon_counts(encode(gene)) for gene in genes], axis=0)
    random = [random_dna(450, seed) for seed in range(10)]
    samples = make_samples({"markov": [[text] for text in random], "base": [genes[0:2], genes[2:4], genes[4:6]]})
    found = measure_coding(samples, CodingSequences(counts, 40, 1), markov, resampling)
    assert found.longest["base"].estimate == pytest.approx(150, abs=1)
    assert found.longest["markov"].high < 120
    assert found.long_frames["base"].estimate == 1
    assert found.codons["cds"] == 40 * 150
    # As many random sequences as the model wrote, in which each base depends on the one before.
    assert found.longest["dinucleotide"].estimate < 120 and found.longest["dinucleotide"].defined
    assert found.distance["base"].estimate < 0.25
    usage = found.usage.set_index("codon")
    assert usage.loc["GCT", ["cds", "base"]].tolist() == [4, 4]
    assert len(usage) == 61
    # Base composition alone gives less than the genes' own choice among synonymous codons.
    assert found.correlation["base"].low > 0.9 > 0.75 > found.shuffled_correlation["base"].high
    assert found.distance["base"].high < found.shuffled_distance["base"].low


def test_correlation_of_usage_is_that_of_scipy(make_samples: Callable[..., Samples], markov: MarkovModel) -> None:
    resampling = Resampling(50, 0.95, 0)
    counts = np.random.default_rng(0).integers(1, 90, 64).astype(float)
    # Glycine is missing in what was written: it counts for neither.
    acids = amino_acids(11)
    written = [[random_coding(120, seed, acids)] for seed in range(4)]
    found = measure_coding(make_samples({"base": written}), CodingSequences(counts, 9, 11), markov, resampling)
    table = found.usage[found.usage.groupby("amino_acid")["codon"].transform("size") > 1]
    assert table["base"].isna().sum() == 4
    defined = table.dropna()
    expected = stats.pearsonr(defined["cds"], defined["base"]).statistic
    assert found.correlation["base"].estimate == pytest.approx(expected)
    assert found.correlation["base"].defined


def test_no_long_frame_has_no_usage(make_samples: Callable[..., Samples], markov: MarkovModel) -> None:
    samples = make_samples({"base": [["ACGT"], ["TTTT"]]})
    found = measure_coding(samples, CodingSequences(np.ones(64), 9, 1), markov, Resampling(20, 0.95, 0))
    for values in (found.distance, found.correlation, found.shuffled_distance, found.shuffled_correlation):
        assert np.isnan(values["base"].estimate)


def random_coding(codons: int, seed: int, acids: np.ndarray) -> str:
    """Codons but those of glycine and stop."""
    allowed = [codon for codon, acid in zip(CODONS, acids, strict=True) if acid not in "G*"]
    return "".join(np.random.default_rng(seed).choice(allowed, codons))
