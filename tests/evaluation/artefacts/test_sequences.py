from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from evaluation.artefacts import sequences
from evaluation.artefacts.sequences import (
    encode,
    gc_shares,
    information,
    kmer_counts,
    kmer_names,
    kmer_spectrum,
    open_fasta,
    regions_of_split,
    reverse_complement,
    spectrum_distance,
    spectrum_distances,
    split_fragments,
)
from workflow.artifacts import InputError


def test_gc_shares() -> None:
    np.testing.assert_allclose(gc_shares(["GGcc", "ATat", "ACGTN", "ANNN"]), [1, 0, 0.5, 0])
    assert np.isnan(gc_shares(["NN", ""])).all()


def test_kmers_closed_form() -> None:
    spectrum = dict(zip(kmer_names(2), kmer_spectrum(["ACAC", "aNca", "G"], 2), strict=True))
    assert {word: share for word, share in spectrum.items() if share} == {"AC": 0.5, "CA": 0.5}
    assert not kmer_spectrum(["A"], 3).any()


def test_kmers_of_each_sequence_add_up_to_the_spectrum() -> None:
    texts = ["ACACG", "NNA", "", "aCgT"]
    counts = kmer_counts(texts, 2)
    assert counts.shape == (4, 16)
    assert counts.sum(axis=1).tolist() == [4, 0, 0, 3]
    np.testing.assert_allclose(counts.sum(axis=0) / counts.sum(), kmer_spectrum(texts, 2))


def test_the_other_strand() -> None:
    assert reverse_complement(encode("AACNg")).tolist() == encode("CNGTT").tolist()
    assert len(reverse_complement(encode(""))) == 0


def test_distance() -> None:
    left, right = np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])
    assert spectrum_distance(left, left) == 0
    assert spectrum_distance(left, right) == pytest.approx(1)
    mixed = (left + right) / 2
    # Divergence of a point and an even mixture: H(3/4, 1/4) − H(1/2, 1/2)/2 bits.
    expected = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5
    assert spectrum_distance(left, mixed) == pytest.approx(np.sqrt(expected))
    assert np.isnan(spectrum_distance(left, np.zeros(4)))


def test_distances_are_those_of_scipy() -> None:
    drawn = np.random.default_rng(2).dirichlet(np.full(64, 0.2), 21)
    spectra, reference = drawn[:20], drawn[20]
    expected = [jensenshannon(spectrum, reference, base=2) for spectrum in spectra]
    np.testing.assert_allclose(spectrum_distances(spectra, reference), expected)
    empty = spectrum_distances(np.zeros((1, 64)), reference)
    assert np.isnan([*empty, *spectrum_distances(spectra[:1], np.zeros(64))]).all()


def test_information_has_the_small_sample_correction() -> None:
    heights = information(["AC", "AG", "AT", "AA"], 5)
    correction = 3 / (2 * np.log(2) * 4)
    assert heights.shape == (2, 4)
    assert heights.loc[0, "A"] == pytest.approx(2 - correction)
    assert heights.loc[1].sum() == 0
    assert information(["N", "A"], 3).loc[0, "A"] == 0
    assert information([""], 3).empty


def test_a_genome_without_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">a\nACGT\n")
    with pytest.raises(InputError, match=r"genome\.fa\.fai does not exist"):
        open_fasta(tmp_path / "genome.fa")


@pytest.mark.parametrize(("piece", "overlap"), [(1 << 24, 3), (7, 3), (10, 0)])
def test_regions_of_a_split_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, overlap: int
) -> None:
    monkeypatch.setattr(sequences, "_PIECE_BASES", piece)
    bases = "ACGTNacgttACGGTCATTGACCATGACGGT"
    (tmp_path / "genome.fa").write_text(f">a\n{bases}\n")
    (tmp_path / "genome.fa.fai").write_text(f"a\t{len(bases)}\t3\t{len(bases)}\t{len(bases) + 1}\n")
    regions = [("a", 0, 15, "val"), ("a", 15, 18, "train"), ("a", 18, 31, "val")]
    pd.DataFrame(regions, columns=["seqid", "start", "end", "split"]).to_parquet(tmp_path / "split.parquet")
    texts = [one.tobytes().decode() for one in regions_of_split(tmp_path, "val", overlap)]
    expected = [
        bases[first : min(first + piece + overlap, end)]
        for start, end in ((0, 15), (18, 31))
        for first in range(start, end, piece)
    ]
    assert texts == expected


def test_fragments_of_a_split_stay_within_its_regions(tmp_path: Path) -> None:
    bases = "A" * 10 + "C" * 4 + "G" * 6 + "T" * 8
    (tmp_path / "genome.fa").write_text(f">a\n{bases}\n")
    (tmp_path / "genome.fa.fai").write_text(f"a\t{len(bases)}\t3\t{len(bases)}\t{len(bases) + 1}\n")
    regions = [("a", 0, 10, "train"), ("a", 14, 20, "test"), ("a", 20, 28, "train")]
    pd.DataFrame(regions, columns=["seqid", "start", "end", "split"]).to_parquet(tmp_path / "split.parquet")
    drawn = split_fragments(tmp_path, "train", [7] * 3000, seed=1)
    # Four places in the first region, two in the last, each equally probable.
    assert set(drawn) == {"A" * 7, "T" * 7}
    assert np.mean([fragment[0] == "A" for fragment in drawn]) == pytest.approx(4 / 6, abs=0.03)
    assert set(split_fragments(tmp_path, None, [6] * 300, seed=1)) == {"A" * 6, "G" * 6, "T" * 6}
    assert split_fragments(tmp_path, "test", [7, 6, 1], seed=1) == ["G" * 6, "G"]
    assert split_fragments(tmp_path, "val", [1], seed=1) == []
    assert split_fragments(tmp_path, None, [3] * 9, seed=4) == split_fragments(tmp_path, None, [3] * 9, seed=4)
