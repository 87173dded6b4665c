from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from tests.stages.conftest import Configure
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.genome.alphabet import reverse_complement
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.variants import variants
from workflow.striped_hyena import load_checkpoint
from workflow.striped_hyena.embedding import embed_sequences
from workflow.striped_hyena.scoring import score_sequences

WINDOW = 160
FIRST = 41_000_313
RunStage = Callable[..., tuple[pd.DataFrame, dict[str, object]]]


@pytest.fixture
def run(configure: Configure, tmp_path: Path) -> RunStage:
    """Run the stage in a run folder; its table and counts."""

    def stage(folder: Path, *overrides: str) -> tuple[pd.DataFrame, dict[str, object]]:
        out = tmp_path / "out"
        out.mkdir()
        config = configure("train=none", f"variants.window={WINDOW}", *overrides)
        counts = variants(StageContext(config, out, folder, GateLog(asdict(config.gates))))
        return pd.read_parquet(out / "variants.parquet"), counts

    return stage


def saturation(tmp_path: Path, bases: str, header: str = ">slice chromosome:17:41000312:41000712") -> list[str]:
    """A workbook in the form of a published supplement, with a FASTA whose header is off by one; the settings."""
    (tmp_path / "slice.fa").write_text(f"{header}\n{bases}\n")
    book = openpyxl.Workbook()
    book.active.append(["Variant ID", None, None, None, None, "data"])
    book.active.append([])
    book.active.append(["chromosome", "position (hg19)", "reference", "alt", "consequence", "score", "class"])
    for number, start in enumerate(range(195, 205)):
        for alt in "ACGT":
            if alt != bases[start]:
                label = ("LOF", "FUNC", "INT")[number % 3]
                row = [17, FIRST + start, bases[start], alt, "Missense", -1.5 + number, label]
                book.active.append(row)
    book.save(tmp_path / "table.xlsx")
    return [
        f"variants.table={tmp_path / 'table.xlsx'}",
        f"variants.fasta={tmp_path / 'slice.fa'}",
        "variants.header_row=3",
        "variants.position_column='position (hg19)'",
        "variants.ref_column=reference",
        "variants.label_column=class",
        "variants.positive=[LOF]",
        "variants.negative=[FUNC]",
        "variants.score_column=score",
        "variants.consequence_column=consequence",
        "variants.sequence_name='17'",
    ]


@pytest.fixture
def bases() -> str:
    return "".join(np.random.default_rng(1).choice(list("ACGT"), 400))


def test_a_slice_whose_header_is_off_by_one(prepared: Path, run: RunStage, tmp_path: Path, bases: str) -> None:
    settings = saturation(tmp_path, bases)
    with pytest.raises(InputError, match=rf"of 10 reference alleles agree.*variants\.first_position={FIRST}$"):
        run(prepared, *settings, f"variants.first_position={FIRST - 1}")
    (tmp_path / "out").rename(tmp_path / "failed")
    table, counts = run(prepared, *settings, f"variants.first_position={FIRST}", "variants.reverse_complement=false")
    assert counts == {
        "variants": 30,
        "reference_sites": 10,
        "snv": 30,
        "positive": 12,
        "negative": 9,
        "left_out": {},
    }
    assert table["variant_id"][0].startswith(f"17:{FIRST + 195}:{bases[195]}:")
    assert table["position"].tolist() == np.repeat(np.arange(195, 205), 3).tolist()
    assert set(table["seqid"]) == {"slice"}
    assert table["left_flank"][0] == bases[180:195] and table["right_flank"][0] == bases[196:211]
    assert table["positive"].isna().sum() == 9
    assert (table["window_end"] - table["window_start"] == WINDOW).all()
    assert "delta_reverse_base" not in table
    np.testing.assert_array_equal(table["delta_base"], table["delta_forward_base"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "about.json",
        "left_out.parquet",
        "variants.parquet",
    ]


def test_every_delta_is_that_of_its_windows_scored_alone(prepared: Path, run: RunStage, tmp_path: Path) -> None:
    with Genome(prepared / "prepare" / "genome.fa") as genome:
        (seqid,) = genome.lengths
        length = genome.lengths[seqid]
        whole = genome.whole(seqid).tobytes().decode().upper()
    rows = [
        (0, 1, "A" if whole[0] != "A" else "C"),
        (5000, 1, "ACGT"[("ACGT".index(whole[5000]) + 1) % 4]),
        (5000, 3, "T"),
        (7001, 2, "GATTACA"),
        (length - 1, 1, "A" if whole[-1] != "A" else "C"),
    ]
    lines = ["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"{seqid}\t{at + 1}\t.\t{whole[at : at + size]}\t{alt},<DEL>\t.\t.\t." for at, size, alt in rows]
    (tmp_path / "a.vcf").write_text("\n".join(lines))
    table, counts = run(prepared, f"variants.table={tmp_path / 'a.vcf'}", "predict.batch_tokens=700")
    assert counts["left_out"] == {"symbolic allele or breakend": 5}

    model = load_checkpoint(prepared / "convert" / "model.safetensors").float()

    def total(text: str, strand: str) -> float:
        bases = np.frombuffer(text.encode(), np.uint8)
        bases = bases if strand == "+" else reverse_complement(bases)
        (score,) = score_sequences(model, [bases], batch_tokens=1)
        return score.total

    for row, (at, size, alt) in zip(table.itertuples(), rows, strict=True):
        low = min(max(at + size // 2 - WINDOW // 2, 0), length - WINDOW)
        high = low + WINDOW
        assert (row.window_start, row.window_end, row.position) == (low, high, at)
        reference = whole[low:high]
        changed = whole[low:at] + alt + whole[at + size : high]
        deltas = [total(changed, strand) - total(reference, strand) for strand in "+-"]
        assert row.delta_forward_base == pytest.approx(deltas[0], abs=1e-4)
        assert row.delta_reverse_base == pytest.approx(deltas[1], abs=1e-4)
        assert row.delta_base == pytest.approx(np.mean(deltas), abs=1e-4)
        assert abs(deltas[0]) > 1e-2


def test_scores_made_elsewhere_need_no_model(run: RunStage, tmp_path: Path, bases: str) -> None:
    ids = [f"17,{FIRST + 195},{bases[195]},{alt}" for alt in "ACGT" if alt != bases[195]]
    lines = [f"{name},{score},x" for name, score in zip(ids, (-3, 0.5, "NA"), strict=True)]
    header = "chromosome,position (hg19),reference,alt,other model,note\n"
    (tmp_path / "scores.csv").write_text(header + "\n".join(lines))
    settings = [*saturation(tmp_path, bases), f"variants.first_position={FIRST}"]
    table, _ = run(tmp_path / "no run", *settings, f"variants.scores={tmp_path / 'scores.csv'}")
    np.testing.assert_array_equal(table["delta_other model"][:4], [-3, 0.5, np.nan, np.nan])
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about["models"] == ["other model"] and about["scores"] == "scores.csv"
    assert about["reference_sites"] == 10 and about["alleles"] == 30


def test_a_table_without_a_variant_that_can_be_scored(run: RunStage, tmp_path: Path, bases: str) -> None:
    settings = saturation(tmp_path, bases)
    (tmp_path / "t.csv").write_text(f"chromosome,position,ref,alt\n17,{FIRST},{bases[0]},*\n17,{FIRST},N,A\n")
    with pytest.raises(
        InputError, match=r"none of the 2 variants can be scored \(allele of .* \(\*\): 1; letters other.*: 1\)"
    ):
        run(
            tmp_path,
            f"variants.table={tmp_path / 't.csv'}",
            settings[1],
            settings[-1],
            f"variants.first_position={FIRST}",
        )


def test_windows_longer_than_the_model_knows_are_refused(
    prepared: Path, run: RunStage, tmp_path: Path, bases: str
) -> None:
    settings = [*saturation(tmp_path, bases * 10), f"variants.first_position={FIRST}"]
    with pytest.raises(GateError, match="gate context_length: saw 3000 bases of context in windows of variants"):
        run(prepared, *settings, "variants.window=3000")


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_distances_are_those_of_hidden_states(prepared: Path, run: RunStage, tmp_path: Path, strands: str) -> None:
    """Of a substitution, an insertion and a deletion, at the ends of the sequence and within it."""
    with Genome(prepared / "prepare" / "genome.fa") as genome:
        (seqid,) = genome.lengths
        length = genome.lengths[seqid]
        whole = genome.whole(seqid).tobytes().decode().upper()
    rows = [
        (0, 1, "A" if whole[0] != "A" else "C"),
        (5000, 1, "ACGT"[("ACGT".index(whole[5000]) + 1) % 4]),
        (5000, 1, "ACGT"[("ACGT".index(whole[5000]) + 2) % 4]),
        (7001, 3, whole[7001]),
        (7001, 1, whole[7001] + "GAT"),
        (length - 1, 1, "A" if whole[-1] != "A" else "C"),
    ]
    lines = ["chromosome,position,ref,alt"]
    lines += [f"{seqid},{at + 1},{whole[at : at + size]},{alt}" for at, size, alt in rows]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    both = strands == "both"
    settings = ("variants.layer=-2", f"variants.reverse_complement={both}", "predict.batch_tokens=700")
    table, _ = run(prepared, f"variants.table={tmp_path / 't.csv'}", *settings)

    model = load_checkpoint(prepared / "convert" / "model.safetensors").float()

    def states(text: str) -> np.ndarray:
        """Output of the last layer but one at each base."""
        (found,) = embed_sequences(
            model,
            [np.frombuffer(text.encode(), np.uint8)],
            layers=[len(model.blocks) - 2],
            pooling="all",
            batch_tokens=1,
            chunk=1024,
            overlap=0,
        )
        return found[0].astype(float)

    def turned(text: str) -> str:
        return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]

    for row, (at, size, alt) in zip(table.itertuples(), rows, strict=True):
        window, cut = whole[row.window_start : row.window_end], at - row.window_start
        place, mean = [], []
        for allele in (whole[at : at + size], alt):
            changed = window[:cut] + allele + window[cut + size :]
            readings = [(changed, cut + len(allele) - 1), (turned(changed), len(changed) - 1 - cut)][: 1 + both]
            found = [(states(text), end) for text, end in readings]
            place.append(np.concatenate([values[end] for values, end in found]))
            mean.append(np.concatenate([values.mean(axis=0) for values, _ in found]))
        for what, (before, after) in {"place": place, "mean": mean}.items():
            norm = np.linalg.norm(after - before)
            angle = 1 - before @ after / np.linalg.norm(before) / np.linalg.norm(after)
            assert getattr(row, f"l2_{what}_base") == pytest.approx(norm, rel=1e-3)
            assert getattr(row, f"cosine_{what}_base") == pytest.approx(angle, rel=1e-2, abs=1e-7)
            assert norm > 1e-3


def test_distances_and_scores_made_elsewhere_exclude_each_other(run: RunStage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"variants\.layer compares embeddings of a model, variants\.scores runs none"):
        run(tmp_path, "variants.table=a.vcf", "variants.layer=1", "variants.scores=b.csv")
