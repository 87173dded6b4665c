from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.artefacts import sequences
from evaluation.artefacts.sequences import (
    gc_shares,
    information,
    kmer_names,
    kmer_spectrum,
    random_fragments,
    regions_of_split,
    spectrum_distance,
)
from workflow.artifacts import InputError


def test_gc_shares() -> None:
    np.testing.assert_allclose(gc_shares(["GGcc", "ATat", "ACGTN", "ANNN"]), [1, 0, 0.5, 0])
    assert np.isnan(gc_shares(["NN", ""])).all()


def test_kmers_closed_form() -> None:
    spectrum = dict(zip(kmer_names(2), kmer_spectrum(["ACAC", "aNca", "G"], 2), strict=True))
    assert {word: share for word, share in spectrum.items() if share} == {"AC": 0.5, "CA": 0.5}
    assert not kmer_spectrum(["A"], 3).any()


def test_distance() -> None:
    left, right = np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])
    assert spectrum_distance(left, left) == 0
    assert spectrum_distance(left, right) == pytest.approx(1)
    mixed = (left + right) / 2
    # Divergence of a point and an even mixture: H(3/4, 1/4) − H(1/2, 1/2)/2 bits.
    expected = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5
    assert spectrum_distance(left, mixed) == pytest.approx(np.sqrt(expected))
    assert np.isnan(spectrum_distance(left, np.zeros(4)))


def test_information_has_the_small_sample_correction() -> None:
    heights = information(["AC", "AG", "AT", "AA"], 5)
    correction = 3 / (2 * np.log(2) * 4)
    assert heights.shape == (2, 4)
    assert heights.loc[0, "A"] == pytest.approx(2 - correction)
    assert heights.loc[1].sum() == 0
    assert information(["N", "A"], 3).loc[0, "A"] == 0
    assert information([""], 3).empty


def test_fragments_have_the_lengths_asked_for_and_come_from_the_genome(tmp_path: Path) -> None:
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">a\nACGTACGTAC\n>b\nGGGGG\n")
    Path(f"{fasta}.fai").write_text("a\t10\t3\t10\t11\nb\t5\t17\t5\t6\n")
    fragments = random_fragments(fasta, [1, 5, 6, 10, 11] * 40, seed=1)
    assert [len(fragment) for fragment in fragments] == [1, 5, 6, 10] * 40
    assert all(fragment in ("ACGTACGTAC" if len(set(fragment)) > 1 else "GGGGGACGT") for fragment in fragments)
    # Of the seven places for 5 bases, one lies in b.
    share = np.mean([fragment == "GGGGG" for fragment in random_fragments(fasta, [5] * 2000, seed=0)])
    assert share == pytest.approx(1 / 7, abs=0.03)
    assert random_fragments(fasta, [4] * 5, seed=3) == random_fragments(fasta, [4] * 5, seed=3)


def test_a_genome_without_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">a\nACGT\n")
    with pytest.raises(InputError, match=r"genome\.fa\.fai does not exist"):
        random_fragments(tmp_path / "genome.fa", [2], seed=0)


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
