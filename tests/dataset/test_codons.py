"""Which codons of a sample are in frame: on either strand of the genome, over splices, tags and unknown bases."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from Bio import SeqIO
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.conftest import write_token_file
from workflow.annotation.gff3 import import_annotation
from workflow.annotation.models import gene_models
from workflow.dataset.bases import TokenBases
from workflow.dataset.codons import Coding, codons_in_frame, genetic_codes, open_coding
from workflow.dataset.reading import open_split
from workflow.dataset.samples import Sample, TrainingSamples, validation_places, validation_samples
from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.genome.layout import Layout
from workflow.striped_hyena.codons.genetic_code import amino_acids
from workflow.windows.pieces import Regions
from workflow.windows.spliced import cds_windows

TAG = b"|d__Acta|"
PLASTID_FASTA, PLASTID_GFF3 = (
    Path(__file__).parents[2] / "data" / "demo" / f"athaliana_plastid_NC_000932.1.{kind}" for kind in ("fa", "gff3")
)


def ascii_of(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        (b"ATGGCC", 0, [[0, 1, 2], [3, 4, 5]]),
        (b"ATGGCCT", 1, [[2, 3, 4]]),
        (b"ATGGCCT", 2, [[1, 2, 3], [4, 5, 6]]),
        (b"ATGGCC", 3, [[0, 1, 2], [3, 4, 5]]),
        (b"atgNCCTAA", 0, [[0, 1, 2], [6, 7, 8]]),
        (b"|d|ATG|d|GCC", 0, [[3, 4, 5], [9, 10, 11]]),
        (b"AT|d|GGCC", 0, [[0, 1, 5], [6, 7, 8]]),
        (b"|ATG|AT", 0, []),
        (b"A", 1, []),
        (b"", 0, []),
    ],
)
def test_codons_in_frame(text: bytes, start: int, expected: list[list[int]]) -> None:
    assert codons_in_frame(ascii_of(text), start).tolist() == expected


@settings(max_examples=30)
@given(
    documents=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    context=st.integers(1, 25),
    spacing=st.integers(len(TAG) + 1, 40),
    tagged=st.booleans(),
)
def test_samples_hold_the_codons_of_their_document(
    tmp_path_factory: pytest.TempPathFactory, documents: list[int], context: int, spacing: int, tagged: bool
) -> None:
    rng = np.random.default_rng(sum(documents))
    bases = [rng.choice(ascii_of(b"ACGTacgtN"), length).tobytes() for length in documents]
    tag = TAG if tagged else b""
    stretch = spacing - len(tag) if tagged else 100
    written = [b"".join(tag + text[at : at + stretch] for at in range(0, len(text), stretch)) for text in bases]
    tokens = write_token_file(tmp_path_factory.mktemp("codons") / "x", written)
    held = TokenBases(tokens, np.full(len(bases), len(tag)), spacing if tagged else 1)
    samples = TrainingSamples([held], [1.0], context_length=context, seed=1, reverse_complement=0.3)
    coding = Coding([np.arange(len(bases)) + 1])
    for sample in itertools.islice(samples.from_position(0), 20):
        read = samples[sample]
        codons = coding.codons(sample, read)
        if sample.reverse:
            assert len(codons) == 0
            continue
        text, end = bases[sample.document].upper(), sample.start + sample.length
        whole = [text[at : at + 3] for at in range(-(-sample.start // 3) * 3, end - 2, 3)]
        assert [read[row].tobytes().upper() for row in codons[:, :3]] == [codon for codon in whole if b"N" not in codon]
        assert ["ACGT"[n // 16] + "ACGT"[n // 4 % 4] + "ACGT"[n % 4] for n in codons[:, 3]] == [
            codon.decode() for codon in whole if b"N" not in codon
        ]
        assert (codons[:, 4] == sample.document + 1).all()
    assert len(Coding([None]).codons(Sample(0, 0, 0, 9, reverse=False), ascii_of(b"ATGATGATG"))) == 0


def test_validation_places_are_where_the_samples_are(tmp_path: Path) -> None:
    held = TokenBases(write_token_file(tmp_path / "x", [b"ACGTTGCAACGGA", b"TTGCA"]))
    asked = {"context_length": 5, "count": 9}
    places = validation_places([held], [1.0], **asked)
    assert [(place.document, place.start, place.length) for place in places] == [
        (0, 0, 5),
        (0, 5, 5),
        (0, 10, 3),
        (1, 0, 5),
    ]
    assert [sample.tobytes() for sample in validation_samples([held], [1.0], **asked)] == [
        b"ACGTT", b"GCAAC", b"GGA", b"TTGCA",
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `preprocess` published: regions, and coding sequences of a chromosome and a plastid."""
    rows = []
    for name, kind, documents in (
        ("x_train", "regions", [("chr1", b"ACGTACGT")]),
        ("x_cds_train", "cds", [("chr1", b"ATGTAA"), ("plastid", b"ATGTGA"), ("chr1", b"ATGTAG")]),
    ):
        write_token_file(tmp_path / name, [text for _, text in documents])
        rows += [(name, kind, seqid, 0) for seqid, _ in documents]
    pd.DataFrame(rows, columns=["file", "set", "seqid", "tag"]).to_parquet(tmp_path / "documents.parquet")
    names = ("x_train", "x_cds_train")
    entries = [{"dataset_prefix": name, "dataset_split": "train", "dataset_weight": 0.5} for name in names]
    (tmp_path / "training_data_config.yaml").write_text(yaml.safe_dump(entries))
    (tmp_path / "genetic_codes.json").write_text(json.dumps({"plastid": 11}))
    return tmp_path


def test_each_document_has_the_code_of_its_sequence(folder: Path) -> None:
    coding = open_coding(folder, "train", ["cds"], 4)
    assert coding.codes[0] is None
    assert coding.codes[1] is not None
    assert coding.codes[1].tolist() == [4, 11, 4]
    assert coding.tables() == {"4": 2, "11": 1}
    files, _ = open_split(folder, "train", 1)
    sample = Sample(1, 1, 0, 6, reverse=False)
    assert coding.codons(sample, files[1].read(1, 0, 6)).tolist() == [[0, 1, 2, 14, 11], [3, 4, 5, 56, 11]]


def test_a_folder_of_an_earlier_version(folder: Path) -> None:
    (folder / "genetic_codes.json").unlink()
    with pytest.raises(InputError, match=r"genetic_codes\.json does not exist: run stage=preprocess again with force"):
        open_coding(folder, "train", ["cds"], 1)


def test_a_genetic_code_that_there_is_not(folder: Path) -> None:
    (folder / "genetic_codes.json").write_text(json.dumps({"plastid": 11, "chr1": 7}))
    with pytest.raises(InputError, match=r"gives chr1 transl_table=7, which is none of NCBI's: mend it in"):
        open_coding(folder, "train", ["cds"], 1)


def test_the_code_of_a_sequence_is_the_one_of_most_of_its_coding_parts(tmp_path: Path) -> None:
    rows = [("CDS", "m", 3), ("CDS", "m", 3), ("CDS", "m", 4), ("gene", "n", 11), ("CDS", "n", None), ("CDS", "b", 11)]
    table = pd.DataFrame(rows, columns=["type", "seqid", "transl_table"]).astype({"transl_table": "Int8"})
    table.to_parquet(tmp_path / "annotation.parquet")
    assert genetic_codes(tmp_path / "annotation.parquet") == {"b": 11, "m": 3}


def test_codons_of_the_plastid_translate_to_its_proteins(tmp_path: Path) -> None:
    """Coding sequences as `prepare` joins them, cut into samples, against Biopython's reading of the GFF3 file."""
    import_fasta(PLASTID_FASTA, tmp_path / "genome.fa")
    genome = SeqIO.read(PLASTID_FASTA, "fasta").seq
    lengths = {"NC_000932.1": len(genome)}
    import_annotation(PLASTID_GFF3, tmp_path / "annotation.parquet", lengths)
    assert genetic_codes(tmp_path / "annotation.parquet") == {"NC_000932.1": 11}
    models, layout = gene_models(tmp_path / "annotation.parquet"), Layout(lengths, list(lengths))
    whole = pd.DataFrame({"seqid": list(lengths), "start": 0, "end": len(genome), "split": "train"})
    windows = cds_windows(models, layout, Regions(whole, layout))
    pieces, documents = windows.read(), []
    for first, after in itertools.pairwise(pieces.first):
        parts = [genome[pieces.start[k] : pieces.end[k]] for k in range(first, after)]
        turned = [part.reverse_complement() if pieces.reverse[k] else part for k, part in enumerate(parts, first)]
        documents.append(b"".join(bytes(part) for part in turned))
    files = [TokenBases(write_token_file(tmp_path / "cds", documents))]
    samples = TrainingSamples(files, [1.0], context_length=200, seed=1, reverse_complement=0.0)
    coding = Coding([np.full(len(documents), 11)])
    proteins = _proteins(PLASTID_GFF3, genome)
    residues, strands = amino_acids(11), set()
    for sample in itertools.islice(samples.from_position(0), 400):
        found = "".join(residues[number] for number in coding.codons(sample, samples[sample])[:, 3])
        protein = proteins[int(windows.start[sample.document]), int(windows.end[sample.document])]
        skipped = -(-sample.start // 3)
        assert found == protein[skipped : skipped + len(found)]
        assert len(found) >= (sample.length - 4) // 3
        strands.add((bool(windows.reverse[sample.document]), int(np.diff(pieces.first)[sample.document]) > 1))
    assert len(strands) == 4


def _proteins(annotation: Path, genome: Seq) -> dict[tuple[int, int], str]:
    """Translation of each coding sequence by its extent; parts that are trans-spliced stand in their order."""
    parts: dict[str, list[tuple[int, int, str]]] = {}
    trans_spliced: set[str] = set()
    for line in annotation.read_text().splitlines():
        fields = line.split("\t")
        if len(fields) > 8 and fields[2] == "CDS":
            key = fields[8].split(";")[0]
            trans_spliced |= {key} if "exception=trans-splicing" in line else set()
            parts.setdefault(key, []).append((int(fields[3]) - 1, int(fields[4]), fields[6]))
    proteins = {}
    for key, of_gene in parts.items():
        if key not in trans_spliced:
            of_gene.sort(reverse=of_gene[0][2] == "-")
        turned = [genome[a:b].reverse_complement() if strand == "-" else genome[a:b] for a, b, strand in of_gene]
        joined = sum(turned, Seq(""))
        extent = min(a for a, _, _ in of_gene), max(b for _, b, _ in of_gene)
        proteins[extent] = str(joined[: len(joined) // 3 * 3].translate(table=11))
    return proteins
