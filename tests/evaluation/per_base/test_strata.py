from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.analysis import PerBaseResult, analyse
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.scores import ALL, INSIDE, OUTSIDE, UNIFORM_NLL
from evaluation.per_base.strata import CLASSES, NLL_EDGES
from workflow.artifacts import BASE_CLASSES, PerBaseScores

Store = Callable[..., PerBaseScores]
CODE = {name: code for code, name in enumerate(BASE_CLASSES)}


class Even:
    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def with_nll(nll: np.ndarray) -> np.ndarray:
    """Log-probabilities that give A this NLL, and less than a quarter or more than it to the others."""
    return np.column_stack([-nll, *[np.log((1 - np.exp(-nll)) / 3)] * 3])


def sequences(seqids: list[str], length: int, **columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({"seqid": seqids, "length": length, "group": "", "haplotype": "", "subgenome": ""})
    return table.assign(**columns)


def analysed(
    tmp_path: Path,
    store: Store,
    base: np.ndarray,
    adapted: np.ndarray,
    letters: bytes,
    prepared: Path | None,
    **index: object,
) -> PerBaseResult:
    """Windows of equal length one behind the other; NLL of each base under each model, (windows, length)."""
    windows, length = base.shape
    bases = [letters[row * length : (row + 1) * length] for row in range(windows)]
    models = {
        name: store(tmp_path / name, [with_nll(row) for row in nll], bases, **index)
        for name, nll in (("base", base), ("adapted", adapted))
    }
    seqids = list(dict.fromkeys(models["base"].index["seqid"]))
    track = ClassTrack(prepared) if prepared is not None else None
    table = sequences(seqids, windows * length)
    return analyse(models, {"markov": Even()}, track, table, 200, 0.95, seed=0)


@pytest.fixture
def planted(tmp_path: Path, store: Store, track: Callable[..., Path]) -> PerBaseResult:
    """8 windows of 20 bases: 6 in frame, a donor and an acceptor, 5 promoter, 7 intergenic of which 3 are repeats."""
    layout = [CODE["cds_0"], CODE["cds_1"], CODE["cds_2"]] * 2 + [CODE["donor"], CODE["acceptor"]]
    layout += [CODE["promoter"]] * 5 + [CODE["intergenic"]] * 4 + [CODE["repeat"]] * 3
    prepared = track(tmp_path, np.tile(layout, 8), {"s": 160})
    base = np.tile(np.where(np.array(layout) == CODE["cds_2"], 1.25, 1.0), (8, 1))
    gain = np.zeros(20)
    gain[2:6:3], gain[17:] = 0.25, 0.5
    return analysed(tmp_path, store, base, base - gain, (b"A" * 17 + b"aaa") * 8, prepared)


def test_every_class_has_its_bases_and_their_scores(planted: PerBaseResult) -> None:
    table = planted.strata.kind("class").set_index(["name", "repeats"])
    assert table["bases"].to_dict() == {
        ("CDS", ALL): 48,
        ("CDS", OUTSIDE): 48,
        **{(f"codon position {place}", which): 16 for place in (1, 2, 3) for which in (ALL, OUTSIDE)},
        **{(f"{site} site (10 bp)", which): 8 for site in ("donor", "acceptor") for which in (ALL, OUTSIDE)},
        ("promoter (1 kb)", ALL): 40,
        ("promoter (1 kb)", OUTSIDE): 40,
        ("intergenic", ALL): 56,
        ("intergenic", OUTSIDE): 32,
        ("intergenic", INSIDE): 24,
    }
    assert table.loc[("codon position 3", ALL), "nll_base"] == pytest.approx(1.25)
    assert table.loc[("codon position 3", ALL), "nll_adapted"] == pytest.approx(1.0)
    assert table.loc[("CDS", ALL), "nll_base"] == pytest.approx((1 + 1 + 1.25) / 3)
    assert table.loc[("CDS", ALL), "gain"] == pytest.approx(0.25 / 3)
    assert table.loc[("intergenic", INSIDE), "gain"] == pytest.approx(0.5)
    assert table["nll_markov"].to_numpy() == pytest.approx(UNIFORM_NLL)
    assert (table["nll_uniform"] == UNIFORM_NLL).all()


def test_shares_of_a_partition_add_up(planted: PerBaseResult) -> None:
    table = planted.strata.kind("class")
    whole = table[(table["repeats"] == ALL) & ~table["name"].str.startswith("codon")]
    assert whole["share"].sum() == pytest.approx(1)
    assert whole["share_of_gain"].sum() == pytest.approx(1)
    shares = whole.set_index("name")["share_of_gain"]
    assert shares["CDS"] == pytest.approx(2 * 0.25 / (2 * 0.25 + 3 * 0.5))
    assert shares["promoter (1 kb)"] == pytest.approx(0)
    apart = table[table["repeats"] != ALL]
    assert apart.loc[~apart["name"].str.startswith("codon"), "share_of_gain"].sum() == pytest.approx(1)


def test_a_gain_is_looked_up(planted: PerBaseResult) -> None:
    gain = planted.strata.gain("class", "CDS")
    assert gain is not None
    assert gain.estimate == pytest.approx(0.25 / 3)
    assert gain.low == pytest.approx(gain.high)
    assert planted.strata.gain("class", "ncRNA") is None


def test_the_histogram_counts_every_base_once(planted: PerBaseResult) -> None:
    base = planted.strata.histogram[planted.strata.models.index("base")]
    of_class = dict(zip(CLASSES, base, strict=True))
    assert of_class["CDS"].sum() == 48
    assert of_class["codon position 3"][np.searchsorted(NLL_EDGES, 1.25, side="right") - 1] == 16


@pytest.mark.parametrize("strand", ["+", "-"])
def test_borders_of_features_on_both_strands(
    tmp_path: Path, store: Store, track: Callable[..., Path], strand: str
) -> None:
    """A coding stretch [7, 13) of a sequence of 20 bases: exactly its six bases count, whichever strand is read."""
    layout = np.full(20, CODE["intergenic"])
    layout[7:13] = [CODE["cds_0"], CODE["cds_1"], CODE["cds_2"]] * 2
    prepared = track(tmp_path, layout, {"s": 20})
    # The base at forward position p costs 1 + p/32 nats, which 16-bit numbers hold exactly.
    nll = 1 + np.arange(20) / 32
    read = nll if strand == "+" else nll[::-1]
    result = analysed(tmp_path, store, read[None], read[None], b"A" * 20, prepared, strand=strand)
    table = result.strata.kind("class").set_index("name")
    assert table.loc["CDS", "bases"] == 6
    assert table.loc["CDS", "nll_base"] == pytest.approx(1 + 9.5 / 32)
    assert table.loc["codon position 1", "nll_base"] == pytest.approx(1 + 8.5 / 32)
    assert table.loc["codon position 3", "nll_base"] == pytest.approx(1 + 10.5 / 32)
    assert table.loc["intergenic", "bases"] == 14


def test_joined_exons_are_counted_without_class(tmp_path: Path, store: Store, track: Callable[..., Path]) -> None:
    prepared = track(tmp_path, np.zeros(40), {"s": 40})
    nll = np.ones((2, 10))
    result = analysed(tmp_path, store, nll, nll, b"A" * 20, prepared, start=[0, 10], end=[10, 40])
    table = result.strata.kind("class").set_index("name")["bases"]
    assert table.to_dict() == {"intergenic": 10, "no class (joined exons)": 10}


def test_without_classes_or_groups_there_is_nothing_to_tell(tmp_path: Path, store: Store) -> None:
    result = analysed(tmp_path, store, np.ones((3, 4)), np.ones((3, 4)), b"ACGT" * 3, None)
    assert result.strata.table.empty
    assert result.strata.gain("class", "CDS") is None
    assert not result.strata.histogram.any()


def test_sequences_by_haplotype_group_and_subgenome(tmp_path: Path, store: Store) -> None:
    names = [f"c{group}{haplotype}" for group in (2, 10) for haplotype in "AB"]
    models = {
        name: store(
            tmp_path / name,
            [
                with_nll(np.full(8, level + (0.25 if seqid.endswith("B") and name == "base" else 0)))
                for seqid in names * 4
            ],
            [b"AAAAaaAA"] * 16,
            seqid=names * 4,
            start=np.repeat(np.arange(4) * 8, 4),
            end=np.repeat(np.arange(1, 5) * 8, 4),
        )
        for name, level in (("base", 1.0), ("adapted", 1.0))
    }
    table = sequences(names, 32, group=["2", "2", "10", "10"], haplotype=["A", "B", "A", "B"])
    result = analyse(models, {"markov": Even()}, None, table, 200, 0.95, seed=0)
    assert set(result.strata.table["kind"]) == {"haplotype", "homolog group"}
    haplotypes = result.strata.kind("haplotype").set_index(["name", "repeats"])
    assert haplotypes.loc[("B", ALL), "gain"] == pytest.approx(0.25)
    assert haplotypes.loc[("A", ALL), "gain"] == pytest.approx(0)
    assert haplotypes.loc[("B", INSIDE), "bases"] == 16
    assert haplotypes["share_of_gain"].to_dict()[("B", ALL)] == pytest.approx(1)
    # In the order of their numbers, not of their letters; the copies of a place are one block.
    groups = result.strata.kind("homolog group")
    assert groups["name"].unique().tolist() == ["2", "10"]
    assert groups["blocks"].unique().tolist() == [4]


def test_many_groups_are_told_by_the_largest(tmp_path: Path, store: Store) -> None:
    names = [f"scaffold_{number}" for number in range(60)]
    lengths = [12 if number < 10 else 8 for number in range(60)]
    opened = store(
        tmp_path,
        [with_nll(np.ones(length)) for length in lengths],
        [b"A" * length for length in lengths],
        seqid=names,
        start=0,
        end=lengths,
    )
    result = analyse({"base": opened}, {"markov": Even()}, None, sequences(names, 12, group=names), 100, 0.95, seed=0)
    groups = result.strata.kind("homolog group").set_index("name")["bases"]
    assert len(groups) == 40
    assert groups.index[-1] == "the other 21"
    assert groups.iloc[-1] == 21 * 8
    assert groups["scaffold_9"] == 12
    assert groups.sum() == sum(lengths)
