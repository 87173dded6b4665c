import numpy as np
import pytest

from workflow.dataset.lineage import Lineages, read_lineage
from workflow.errors import InputError

CANE = "d__Eukaryota;p__Streptophyta;c__Magnoliopsida;o__Poales;f__Poaceae;g__Saccharum;s__officinarum"
#: As `preprocess_evo2` formats them: all ranks, and the first and last one dropped.
TAG = b"|" + CANE.encode() + b"|"
DROPPED = b"|d__None;p__None;c__None;o__None;f__None;g__None;s__None|"


def lineages(dropout: float = 0.0, spacing: int = 1000, **by_name: str) -> Lineages:
    names = {name: read_lineage(name, text) for name, text in by_name.items()}
    return Lineages(read_lineage("genome.lineage", CANE), names, spacing, dropout)


def tags(of: Lineages, seqids: list[int], names: list[str], seed: int = 0) -> list[bytes]:
    numbers, texts = of.tags(np.array(seqids), names, np.random.default_rng(seed))
    assert texts[0] == b""
    assert len(set(texts)) == len(texts)
    return [texts[number] for number in numbers]


def test_a_tag_names_the_ranks_in_order() -> None:
    assert tags(lineages(), [0, 0], ["chr1"]) == [TAG, TAG]


def test_names_match_exactly() -> None:
    other = CANE.replace("officinarum", "spontaneum")
    assert tags(lineages(chr1=other), [0, 1, 1], ["chr1", "chr10"]) == [
        TAG.replace(b"officinarum", b"spontaneum"),
        TAG,
        TAG,
    ]


def test_sequences_without_a_lineage_have_no_tag() -> None:
    some = Lineages(None, {"b": read_lineage("b", CANE)}, 1000, 0.0)
    assert tags(some, [0, 1, 0], ["a", "b"]) == [b"", TAG, b""]


def test_dropout_takes_single_ranks_as_often_as_it_says() -> None:
    drawn = tags(lineages(dropout=0.25), [0] * 4000, ["chr1"])
    ranks = [tag[1:-1].split(b";") for tag in drawn]
    for place, rank in enumerate(TAG[1:-1].split(b";")):
        dropped = np.array([of_tag[place] != rank for of_tag in ranks])
        assert all(of_tag[place] in (rank, rank[:3] + b"None") for of_tag in ranks)
        assert abs(dropped.mean() - 0.25) < 0.03
    assert tags(lineages(dropout=0.25), [0] * 4000, ["chr1"]) == drawn
    assert tags(lineages(dropout=0.25), [0] * 4000, ["chr1"], seed=1) != drawn
    assert tags(lineages(dropout=1.0), [0, 0], ["chr1"]) == [DROPPED, DROPPED]


def test_what_is_dropped_does_not_depend_on_the_batches() -> None:
    of, rng = lineages(dropout=0.5), np.random.default_rng(0)
    whole = tags(of, [0] * 20, ["chr1"])
    numbers, texts = zip(*(of.tags(np.zeros(size, int), ["chr1"], rng) for size in (3, 17)), strict=True)
    assert [texts[batch][number] for batch in range(2) for number in numbers[batch]] == whole


def test_keys_of_the_tool_find_the_longest_name_first() -> None:
    other = CANE.replace("officinarum", "spontaneum")
    taxonomy = lineages(chr1=CANE, xchr1=other).taxonomy()
    assert list(taxonomy) == ["xchr1:", "chr1:", ":"]
    assert list(taxonomy[":"]) == ["domain", "phylum", "clazz", "order", "family", "genus", "species"]
    assert taxonomy["xchr1:"]["species"] == "spontaneum"


@pytest.mark.parametrize(
    "text",
    ["", "Saccharum", CANE.replace("o__", "x__"), CANE + ";t__x", CANE.replace("c__Magnoliopsida;", ""), CANE.upper()],
)
def test_a_malformed_lineage(text: str) -> None:
    with pytest.raises(InputError, match=r"genome\.lineage=.* is not a lineage: write d__…;p__…;.*all seven ranks"):
        read_lineage("genome.lineage", text)


@pytest.mark.parametrize("name", ["a|b", "Saccharum ☘", "a\nb"])
def test_a_lineage_that_no_tag_can_hold(name: str) -> None:
    with pytest.raises(InputError, match=r"holds '\|' or a letter outside of printable ASCII"):
        read_lineage("genome.lineage", CANE.replace("officinarum", name))


def test_a_spacing_without_room() -> None:
    with pytest.raises(InputError, match=r"mixture\.lineage_spacing=50 leaves no room for bases beside a tag of"):
        lineages(spacing=50)
