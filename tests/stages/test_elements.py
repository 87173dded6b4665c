"""The stage on a made-up genome, with the tiny model that ships."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.stages.conftest import Configure
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.genome.alphabet import reverse_complement
from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.convert import convert
from workflow.stages.elements import elements
from workflow.striped_hyena import StripedHyena2, load_checkpoint
from workflow.striped_hyena.scoring import score_sequences

SMALL = ("train=none", "elements.upstream=100", "elements.downstream=40")
#: kind, seqid, position, strand; the first promoter reaches past the end, the last lies in the train region.
SITES = [
    ("tss", "chr1", 60, "+"),
    ("tss", "chr1", 1000, "+"),
    ("start_codon", "chr1", 1100, "+"),
    ("tss", "chr1", 2000, "-"),
    ("tss", "chr1", 2600, "+"),
    ("tss", "chr1", 3500, "-"),
    ("tss", "chr1", 6500, "+"),
]
Stage = Callable[..., tuple[dict[str, object], Path]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, configure: Configure) -> Path:
    """What `prepare` and `convert` publish, made small."""
    folder = tmp_path_factory.mktemp("run")
    prepared = folder / "prepare"
    prepared.mkdir()
    bases = "".join(np.random.default_rng(2).choice(list("ACGTacgt"), 8000))
    (folder / "source.fa").write_text(f">chr1\n{bases}\n")
    import_fasta(folder / "source.fa", prepared / "genome.fa")
    pd.DataFrame(SITES, columns=["kind", "seqid", "position", "strand"]).to_parquet(prepared / "sites.parquet")
    regions = [("chr1", 0, 5000, "test", "a"), ("chr1", 6000, 8000, "train", "b")]
    columns = ["seqid", "start", "end", "split", "group"]
    pd.DataFrame(regions, columns=columns).to_parquet(prepared / "split.parquet")
    np.save(prepared / "classes.npy", np.zeros(8000, np.uint8))
    (folder / "convert").mkdir()
    convert(StageContext(configure("train=none"), folder / "convert", folder))
    return folder


@pytest.fixture
def stage(configure: Configure, run: Path, tmp_path: Path) -> Stage:
    def execute(*overrides: str, where: Path = run) -> tuple[dict[str, object], Path]:
        config = configure(*SMALL, *overrides)
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        return elements(StageContext(config, out, where, GateLog(asdict(config.gates)))), out

    return execute


@cache
def model_of(run: Path) -> StripedHyena2:
    return load_checkpoint(run / "convert" / "model.safetensors").float()


def direct(run: Path, bases: np.ndarray) -> np.ndarray:
    """Log-probability of each base of a sequence, (length,)."""
    (score,) = score_sequences(model_of(run), [bases], batch_tokens=1 << 14)
    codes = np.array(["ACGT".index(chr(base)) for base in bases & 0xDF])
    observed: np.ndarray = score.logprobs[np.arange(len(bases)), codes]
    return observed


def test_promoters_are_scored_on_both_strands_beside_their_controls(stage: Stage, run: Path) -> None:
    counts, out = stage("elements.source=promoters", "elements.flank=30")
    table = pd.read_parquet(out / "elements.parquet")
    assert counts["elements"] == counts["shuffled"] == 4
    assert counts["left_out"] == {"past_sequence_end": 1, "outside_split": 1}
    assert table["set"].tolist() == ["element"] * 4 + ["background"] * 4 + ["shuffled"] * 4
    own = table[table["set"] == "element"]
    places = own[["start", "end", "strand"]].to_numpy().tolist()
    assert places == [[900, 1040, "+"], [1961, 2101, "-"], [2500, 2640, "+"], [3461, 3601, "-"]]
    with Genome(run / "prepare" / "genome.fa") as genome:
        for row in table[table["set"] != "shuffled"].itertuples():
            flanked = genome.fetch(row.seqid, row.start - 30, row.end + 30, row.strand) & 0xDF
            assert row.sequence == flanked[30:-30].tobytes().decode()
            expected = [direct(run, flanked)[30:-30].mean(), direct(run, reverse_complement(flanked))[30:-30].mean()]
            assert row.score_base == pytest.approx(np.mean(expected), abs=1e-4)
    background = table[table["set"] == "background"]
    assert ((background["end"] <= 5000) & (background["start"] >= 0)).all()
    for one in background.itertuples():
        assert all(one.end <= start or end <= one.start for start, end, _ in places)
    assert counts["background_gc_worst_difference"] == pytest.approx(
        np.abs(background["gc"].to_numpy() - own["gc"].to_numpy()).max()
    )
    assert counts["score_base_of_element"] == pytest.approx(own["score_base"].mean())


def test_a_bed_file_with_one_strand_read(stage: Stage, run: Path, tmp_path: Path) -> None:
    bed = tmp_path / "peaks.bed.gz"
    bed.write_bytes(gzip.compress(b"chr1\t100\t240\nchr1\t6100\t6260\tpeak\t0\t-\nchr1\t100\t240\n"))
    counts, out = stage(
        f"elements.source={bed}", "elements.split=any", "elements.reverse_complement=false", "elements.shuffles=3"
    )
    table = pd.read_parquet(out / "elements.parquet")
    assert (counts["elements"], counts["shuffled"], counts["left_out"]) == (2, 6, {"repeated": 1})
    for row in table.itertuples():
        bases = np.frombuffer(str(row.sequence).encode(), np.uint8)
        assert row.score_base == pytest.approx(direct(run, bases).mean(), abs=1e-4)


def test_mutants_of_a_region_agree_with_scoring_each_alone(stage: Stage, run: Path) -> None:
    counts, out = stage(
        "elements.source=promoters", "elements.region=chr1:3000-3150", "elements.mutate=3", "elements.maximum=1"
    )
    assert counts["mutants"] == 9
    table = pd.read_parquet(out / "region" / "mutagenesis.parquet")
    assert table["position"].tolist() == [3073] * 3 + [3074] * 3 + [3075] * 3
    told = json.loads((out / "region" / "region.json").read_text())
    reference = np.frombuffer(told["sequence"].encode(), np.uint8)
    with Genome(run / "prepare" / "genome.fa") as genome:
        assert (reference == genome.fetch("chr1", 3000, 3150) & 0xDF).all()
    assert (told["start"], told["end"], told["strands"]) == (3000, 3150, 2)

    def likelihood(bases: np.ndarray) -> float:
        return float(np.mean([direct(run, strand).sum() for strand in (bases, reverse_complement(bases))]))

    for row in table.iloc[[0, 4, 8]].itertuples():
        mutant = reference.copy()
        assert chr(mutant[row.position - 3000]) == row.ref
        mutant[row.position - 3000] = ord(str(row.alt))
        assert row.delta_base == pytest.approx(likelihood(mutant) - likelihood(reference), abs=1e-3)

    predicted = np.load(out / "region" / "logprobs_base.npy")
    codes = np.array(["ACGT".index(chr(base)) for base in reference])
    assert predicted.shape == (2, 150, 4) and predicted.dtype == np.float32
    places = np.arange(150)
    assert predicted[0, places, codes] == pytest.approx(direct(run, reference), abs=1e-4)
    # Given the bases after it: the reverse complement, turned back.
    assert predicted[1, places, codes] == pytest.approx(direct(run, reverse_complement(reference))[::-1], abs=1e-4)


def test_a_seed_gives_the_same_sets_again(stage: Stage) -> None:
    first, again, other = (
        pd.read_parquet(
            stage("elements.source=promoters", "elements.maximum=1", f"seed={seed}")[1] / "elements.parquet"
        )
        for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert first["sequence"].tolist() != other["sequence"].tolist()


def test_what_cannot_be_scored_is_refused(stage: Stage, run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"elements\.source is empty: set it to promoters, or to a BED file"):
        stage()
    with pytest.raises(InputError, match=r"nowhere\.bed does not exist \(elements\.source names it\)"):
        stage("elements.source=nowhere.bed")
    with pytest.raises(InputError, match=r"none of 5 elements .* lies wholly in a region of the split val"):
        stage("elements.source=promoters", "elements.split=val")
    with pytest.raises(InputError, match=r"elements\.region=chr2:0-9: the genome has no sequence chr2"):
        stage("elements.source=promoters", "elements.region=chr2:0-9")
    with pytest.raises(GateError, match=r"gate context_length: saw 70 bases of context in regulatory elements"):
        stage("elements.source=promoters", "elements.upstream=30")
    with pytest.raises(GateError, match=r"gate context_length: saw 20 bases of context in mutants of a region"):
        stage("elements.source=promoters", "elements.region=chr1:0-20", "elements.upstream=30")
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    pd.read_parquet(bare / "prepare" / "sites.parquet").iloc[:0].to_parquet(bare / "prepare" / "sites.parquet")
    with pytest.raises(InputError, match=r"the annotation has no transcription start: give a BED file"):
        stage("elements.source=promoters", where=bare)


def test_a_region_without_bases_is_refused(stage: Stage, run: Path, tmp_path: Path) -> None:
    unknown = tmp_path / "unknown"
    shutil.copytree(run, unknown)
    path = unknown / "prepare" / "genome.fa"
    text = path.read_bytes()
    path.write_bytes(text[: 6 + 3000] + b"N" * 150 + text[6 + 3150 :])
    with pytest.raises(InputError, match=r"the middle of elements\.region=chr1:3000-3150 holds none of A, C, G, T"):
        stage("elements.source=promoters", "elements.region=chr1:3000-3150", where=unknown)
