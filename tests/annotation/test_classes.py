from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.annotation.classes import CLASS_NAMES, BaseClass, ClassTrack, write_classes
from workflow.annotation.models import GeneModels
from workflow.errors import InputError

LETTER = {
    BaseClass.INTERGENIC: ".",
    BaseClass.REPEAT: "r",
    BaseClass.PROMOTER: "p",
    BaseClass.INTRON: "i",
    BaseClass.NCRNA: "n",
    BaseClass.UTR3: "3",
    BaseClass.UTR5: "5",
    BaseClass.ACCEPTOR: "a",
    BaseClass.DONOR: "d",
    BaseClass.CDS_0: "0",
    BaseClass.CDS_1: "1",
    BaseClass.CDS_2: "2",
    BaseClass.GAP: "N",
}


def models(*transcripts: tuple[str, str, str, list, list]) -> GeneModels:
    """seqid, strand, type, exons and coding parts (start, end, phase) of genes with one transcript each."""
    genes, rows, exons, cds = [], [], [], []
    for number, (seqid, strand, kind, of_exons, of_cds) in enumerate(transcripts):
        start, end = min(s for s, _ in of_exons), max(e for _, e in of_exons)
        genes.append((f"g{number}", seqid, start, end, strand, "gene", None))
        rows.append((f"t{number}", number, seqid, start, end, strand, kind, bool(of_cds)))
        exons += [(number, seqid, one, other, strand) for one, other in of_exons]
        cds += [(number, seqid, one, other, strand, phase) for one, other, phase in of_cds]
    part = ["transcript", "seqid", "start", "end", "strand"]
    place = ["seqid", "start", "end", "strand", "type"]
    numbers = {"start": np.int64, "end": np.int64}
    return GeneModels(
        pd.DataFrame(genes, columns=["gene_id", *place, "name"]).astype(numbers),
        pd.DataFrame(rows, columns=["transcript_id", "gene", *place, "coding"]).astype(numbers),
        pd.DataFrame(exons, columns=part).astype(numbers | {"transcript": np.int64}),
        pd.DataFrame(cds, columns=[*part, "phase"]).astype(numbers | {"transcript": np.int64, "phase": np.int8}),
    )


def classes_of(genome, found: GeneModels, path: Path, chunk_bases: int = 7) -> dict[str, str]:
    """The track as one letter a base; the counts are checked on the way."""
    counts = write_classes(genome, found, path, chunk_bases)
    text = {}
    with ClassTrack(path, genome.lengths) as track:
        for seqid, length in genome.lengths.items():
            text[seqid] = "".join(LETTER[BaseClass(code)] for code in track.of(seqid, 0, length))
    whole = "".join(text.values())
    assert counts == {name: whole.count(LETTER[code]) for name, code in zip(CLASS_NAMES, BaseClass, strict=True)}
    return text


EXONS = [(5, 20), (60, 80)]
CODING = [(10, 20, 0), (60, 72, 2)]
PLUS = "ppppp55555" + "0120120120" + "dddddddddd" + "i" * 20 + "aaaaaaaaaa" + "120120120120" + "33333333"


@pytest.mark.parametrize("chunk_bases", [1, 7, 1000])
def test_a_gene_on_the_plus_strand(genome_of, tmp_path, chunk_bases) -> None:
    genome = genome_of({"a": "A" * 80 + "aaNN"})
    found = classes_of(genome, models(("a", "+", "mRNA", EXONS, CODING)), tmp_path / "c.npy", chunk_bases)
    assert found == {"a": PLUS + "rrNN"}


def test_a_gene_on_the_minus_strand_is_its_mirror_image(genome_of, tmp_path) -> None:
    exons = [(80 - end, 80 - start) for start, end in EXONS]
    coding = [(80 - end, 80 - start, phase) for start, end, phase in CODING]
    genome = genome_of({"other": "C", "a": "A" * 80})
    found = classes_of(genome, models(("a", "-", "mRNA", exons, coding)), tmp_path / "c.npy")
    assert found == {"other": ".", "a": PLUS[::-1]}


def test_the_stronger_class_holds_and_the_first_frame(genome_of, tmp_path) -> None:
    genome = genome_of({"a": "acgtNN" * 10})
    found = models(
        ("a", "+", "mRNA", [(10, 30)], [(12, 30, 0)]),
        ("a", "-", "mRNA", [(20, 40)], [(20, 38, 0)]),
        ("a", "+", "lnc_RNA", [(5, 45)], []),
        ("a", "+", "pseudogenic_transcript", [(0, 60)], []),
        ("a", "+", "mRNA", [(0, 60)], []),
    )
    text = classes_of(genome, found, tmp_path / "c.npy")["a"]
    unmasked = "p" * 5 + "nnnnn" + "55" + "012" * 6 + "10210210" + "55" + "nnnnn" + "p" * 15
    expected = "".join("N" if letter in "Nn" else code for letter, code in zip("acgtNN" * 10, unmasked, strict=True))
    assert text == expected


def test_frameshifts_are_no_introns(genome_of, tmp_path) -> None:
    genome = genome_of({"a": "A" * 30})
    found = models(("a", "+", "mRNA", [(0, 9), (10, 30)], [(0, 9, 0), (10, 30, 0)]))
    assert classes_of(genome, found, tmp_path / "c.npy")["a"] == "012012012" + "." + "01201201201201201201"


@given(st.integers(0, 19), st.integers(1, 20), st.integers(0, 2), st.sampled_from("+-"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_the_frame_goes_on_across_the_origin(genome_of, tmp_path, start, length, phase, strand) -> None:
    span = (start, start + length)
    found = models(("a", strand, "mRNA", [span], [(*span, phase)]))
    text = classes_of(genome_of({"a": "A" * 20}), found, tmp_path / "c.npy")["a"]
    positions = [at % 20 for at in range(*span)]
    read = [text[at] for at in (positions if strand == "+" else positions[::-1])]
    assert read == [str((at - phase) % 3) for at in range(length)]


def test_slices(genome_of, tmp_path) -> None:
    genome = genome_of({"b": "ACgtNN", "a": "nnAC"})
    write_classes(genome, models(), tmp_path / "c.npy")
    with ClassTrack(tmp_path / "c.npy", genome.lengths) as track:
        assert track.of("b", 1, 5).tolist() == [0, 1, 1, 12]
        assert track.of("a", 0, 3).tolist() == [12, 12, 0]
    assert np.load(tmp_path / "c.npy").tolist() == [0, 0, 1, 1, 12, 12, 12, 12, 0, 0]


def test_a_track_that_is_not_that_of_the_genome(tmp_path) -> None:
    path = tmp_path / "c.npy"
    with pytest.raises(InputError, match=r"c\.npy does not exist: run stage=prepare first"):
        ClassTrack(path, {"a": 3})
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"c\.npy is damaged \(.*\): run stage=prepare again"):
        ClassTrack(path, {"a": 3})
    for array in (np.zeros(4, np.uint8), np.zeros(3, np.int8), np.zeros((1, 3), np.uint8)):
        np.save(path, array)
        with pytest.raises(InputError, match="does not hold 3 bases as the genome does: run stage=prepare again"):
            ClassTrack(path, {"a": 3})
    np.save(path, np.zeros(3, np.uint8))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="does not hold 3 bases as the genome does: run stage=prepare again"):
        ClassTrack(path, {"a": 3})
