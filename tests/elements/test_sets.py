from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tests.elements.conftest import Surround
from workflow.elements.sets import Flanked, assemble
from workflow.errors import InputError

GENERATOR = np.random.default_rng(3)
CHR1 = "".join(GENERATOR.choice(list("ACGTacgt"), 6000))
CHOSEN = pd.DataFrame(
    [("chr1", 2, 102, "+"), ("chr1", 500, 600, "-"), ("chr2", 0, 40, "+"), ("chr1", 800, 850, "+")],
    columns=["seqid", "start", "end", "strand"],
)
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def test_the_three_sets_stand_together(surround: Surround) -> None:
    found = assemble(CHOSEN, surround({"chr1": CHR1, "chr2": "N" * 40}, CHOSEN), flank=5, shuffles=2, seed=1)
    table = found.table
    assert table["set"].tolist() == ["element"] * 3 + ["background"] * 3 + ["shuffled"] * 6
    assert table["pair"].tolist() == [0, 1, 2] * 4
    assert (found.without_bases, found.without_background) == (1, 0)
    assert table["element_id"].is_unique and table["element_id"][0] == "chr1:2-102(+)"
    assert table["element_id"].tolist()[-1] == "chr1:800-850(+)|shuffled2"
    assert (table["length"] == table["sequence"].str.len()).all() and (table["n"] == table["length"]).all()
    upper = CHR1.upper()
    for row, one in zip(table.itertuples(), found.sequences, strict=True):
        if row.set == "shuffled":
            assert Counter(pairwise(row.sequence)) == Counter(pairwise(table["sequence"][row.pair]))
            assert np.isnan(row.soft_masked) and row.gc == pytest.approx(table["gc"][row.pair])
        else:
            first, last = max(row.start - 5, 0), row.end + 5
            read = upper[first:last] if row.strand == "+" else upper[first:last].translate(COMPLEMENT)[::-1]
            assert one.bases.tobytes().decode() == read
            own = upper[row.start : row.end]
            assert row.sequence == (own if row.strand == "+" else own.translate(COMPLEMENT)[::-1])
        assert one.core.tobytes().decode() == row.sequence
    assert [(one.before, one.after) for one in found.sequences[:3]] == [(2, 5), (5, 5), (5, 5)]


def test_a_shuffled_copy_stands_between_the_flanks_of_its_element(surround: Surround) -> None:
    found = assemble(CHOSEN, surround({"chr1": CHR1, "chr2": "N" * 40}, CHOSEN), flank=5, shuffles=1, seed=1)
    element, copy = found.sequences[0], found.sequences[6]
    assert (copy.bases[:2] == element.bases[:2]).all() and (copy.bases[-5:] == element.bases[-5:]).all()
    assert (copy.core != element.core).any()


def test_only_the_bases_between_the_flanks_count_on_both_strands() -> None:
    one = Flanked(np.frombuffer(b"GGACNTAAA", np.uint8), before=2, after=3)
    forward = np.log(np.arange(1, 37).reshape(9, 4) / 100)
    # Rows 2, 3, 5 hold A, C, T: columns 0, 1, 3.
    assert one.log_likelihood(forward, "+") == pytest.approx(np.log(9 / 100) + np.log(14 / 100) + np.log(24 / 100))
    # The reverse complement is TTTANGTCC: of its core ANGT, rows 3, 5, 6 are A, G, T.
    assert one.log_likelihood(forward, "-") == pytest.approx(np.log(13 / 100) + np.log(23 / 100) + np.log(28 / 100))


def test_elements_without_bases_are_refused(surround: Surround) -> None:
    chosen = CHOSEN.iloc[[2]].reset_index(drop=True)
    with pytest.raises(InputError, match=r"no element of elements\.source holds any of A, C, G, T"):
        assemble(chosen, surround({"chr1": CHR1, "chr2": "N" * 40}, chosen), flank=0, shuffles=1, seed=1)
