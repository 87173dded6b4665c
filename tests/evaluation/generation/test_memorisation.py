from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq

from evaluation.artefacts import sequences
from evaluation.generation.intervals import Resampling
from evaluation.generation.memorisation import exact_matches, find_copies
from evaluation.generation.samples import Samples
from tests.evaluation.generation.conftest import TEST, TRAIN, random_dna, write_genome


def slowly(sequence: str, regions: list[str]) -> tuple[int, float]:
    """Longest match of 16 bases or more, and containment, by looking for every part."""
    texts = [strand.upper() for region in regions for strand in (region, str(Seq(region).reverse_complement()))]

    def holds(part: str) -> bool:
        return "N" not in part and any(part in text for text in texts)

    longest = 0
    for start in range(len(sequence)):
        while start + longest < len(sequence) and holds(sequence[start : start + longest + 1]):
            longest += 1
    words = [sequence[start : start + 31] for start in range(len(sequence) - 30)]
    words = [word for word in words if "N" not in word]
    share = float(np.mean([holds(word) for word in words])) if words else float("nan")
    return (longest if longest >= 16 else 0), share


def reversed_(text: str) -> str:
    return str(Seq(text).reverse_complement())


@pytest.mark.parametrize("piece", [1 << 24, 500, 333])
def test_matches_are_those_of_a_plain_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(sequences, "_PIECE_BASES", piece)
    genome = random_dna(3000, 1)
    genome = genome[:700] + "N" * 5 + genome[705:1500].lower() + genome[1500:]
    regions = [("chr", 0, 1200, "train"), ("chr", 1200, 1400, "test"), ("chr", 1400, 3000, "train")]
    folder = write_genome(tmp_path, {"chr": genome}, regions)
    upper = genome.upper()
    queries = [
        random_dna(300, 2),
        random_dna(60, 3) + upper[100:180] + random_dna(60, 4) + reversed_(upper[2000:2055]),
        upper[470:560],  # over the borders of pieces
        upper[1150:1250],  # half of it in test
        upper[680:760],  # over letters that are no bases
        reversed_(upper[2900:3000]),
        upper[0:16],
        upper[0:15],
        upper[10:41],
        "A" * 100,
        random_dna(20, 5) + "N" + upper[300:350],
        "",
        "ACGTN",
    ]
    longest, containment = exact_matches(queries, folder)
    train = [genome[0:1200], genome[1400:3000]]
    expected = [slowly(query, train) for query in queries]
    assert longest.tolist() == [most for most, _ in expected]
    np.testing.assert_allclose(containment, [share for _, share in expected])
    assert longest[2] == 90 and longest[3] == 50 and longest[6] == 16 and longest[7] == 0
    assert containment[8] == 1


def test_repeats_of_the_query_and_of_train_are_all_seen(tmp_path: Path) -> None:
    unit = random_dna(40, 8)
    folder = write_genome(
        tmp_path, {"chr": random_dna(100, 9) + unit + random_dna(100, 10) + unit[:20]}, [("chr", 0, 260, "train")]
    )
    longest, containment = exact_matches([unit + "C" + unit], folder)
    assert longest[0] == 40
    assert containment[0] == pytest.approx(20 / 51)


def test_nothing_to_look_for(prepared: Path) -> None:
    longest, containment = exact_matches([], prepared)
    assert len(longest) == len(containment) == 0


def test_a_model_that_recites_train_is_found(
    make_samples: Callable[..., Samples], prepared: Path, genome: str, resampling: Resampling
) -> None:
    recited = [[genome[start : start + 300]] for start in range(TRAIN[0], TRAIN[0] + 3000, 600)]
    truth = [[genome[start : start + 300]] for start in range(TEST[0], TEST[0] + 3000, 600)]
    samples = make_samples({"truth": truth, "base": recited, "adapted": [[random_dna(300, 77)]]})
    found = find_copies(samples, prepared, resampling)
    assert list(found.longest) == ["truth", "base", "adapted", "train", "test"]
    assert found.containment["base"].estimate == found.containment["train"].estimate == 1
    assert found.containment["truth"].high < 0.05 and found.containment["test"].high < 0.05
    assert found.longest["base"].estimate == 300
    assert found.longest["adapted"].estimate < 30
    assert len(found.sequences) == 5 + 5 + 1 + 5 + 5
    assert "sequence" not in found.sequences
