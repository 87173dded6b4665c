from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.elements.choice import choose, located, on_genome, promoters
from workflow.elements.intervals import Stretches
from workflow.genome.layout import Layout

LENGTHS = {"chr1": 100, "chr2": 60}


def sites(*rows: tuple[str, str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "seqid", "position", "strand"])


def places(*rows: tuple[str, int, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seqid", "start", "end", "strand"])


def rows(table: pd.DataFrame) -> list[tuple[str, int, int, str]]:
    return list(table.itertuples(index=False, name=None))


def test_promoters_hold_the_first_transcribed_base_on_both_strands() -> None:
    found = promoters(sites(("tss", "chr1", 50, "+"), ("donor", "chr1", 60, "+"), ("tss", "chr1", 50, "-")), 20, 5)
    # Forward: 20 bases before 50, then 50 to 54. Backward: 54 … 46 are read as 50 down to 46, after 51 to 70.
    assert rows(found) == [("chr1", 30, 55, "+"), ("chr1", 46, 71, "-")]


def test_a_promoter_without_downstream_bases_ends_before_the_transcript() -> None:
    found = promoters(sites(("tss", "chr1", 50, "+"), ("tss", "chr1", 50, "-")), 10, 0)
    assert rows(found) == [("chr1", 40, 50, "+"), ("chr1", 51, 61, "-")]


def test_places_past_the_ends_and_repeats_are_counted() -> None:
    given = places(("chr1", -1, 9, "+"), ("chr1", 0, 10, "+"), ("chr1", 0, 10, "+"), ("chr2", 50, 61, "-"))
    kept, left_out = on_genome(pd.concat([given, places(("chr2", 50, 60, "-"))]), LENGTHS)
    assert rows(kept) == [("chr1", 0, 10, "+"), ("chr2", 50, 60, "-")]
    assert left_out == {"past_sequence_end": 2, "repeated": 1}


def test_only_places_wholly_in_the_regions_are_chosen() -> None:
    layout = Layout(LENGTHS)
    regions = places(("chr1", 20, 40, "+"), ("chr2", 0, 30, "+"))
    given = places(
        ("chr2", 20, 30, "-"),
        ("chr2", 21, 31, "-"),
        ("chr1", 20, 30, "+"),
        ("chr1", 19, 29, "+"),
        ("chr1", 90, 100, "+"),
    )
    choice = choose(given, layout, Stretches.of(*located(regions, layout)), 10, seed=0)
    assert rows(choice.table) == [("chr1", 20, 30, "+"), ("chr2", 20, 30, "-")]
    assert choice.left_out == {"outside_split": 3, "not_sampled": 0}


def test_a_sample_is_evenly_spaced_and_repeated_by_its_seed() -> None:
    layout = Layout({"chr1": 10_000})
    given = places(*(("chr1", start, start + 10, "+") for start in range(0, 10_000, 10)))
    regions = Stretches.of(np.array([0]), np.array([10_000]))
    first, again, other = (choose(given, layout, regions, 100, seed).table["start"].to_numpy() for seed in (3, 3, 4))
    assert len(first) == 100 and (np.diff(first) == 100).all()
    assert (first == again).all() and (first != other).any()


def test_places_outside_of_every_region_leave_nothing() -> None:
    layout = Layout(LENGTHS)
    choice = choose(places(("chr1", 0, 10, "+")), layout, Stretches.of(np.array([50]), np.array([60])), 5, seed=0)
    assert choice.table.empty and choice.left_out == {"outside_split": 1, "not_sampled": 0}
