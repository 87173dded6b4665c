from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.classification import classes
from evaluation.classification.analysis import analyse
from evaluation.classification.reading import read
from evaluation.classification.verdict import checks, judge
from evaluation.page.text import bracketed
from workflow.artifacts import InputError, read_json, write_json

Make = Callable[..., Path]
HOW = {"samples": 300, "confidence": 0.95, "seed": 1}


def test_the_verdict_says_who_beats_the_words_and_gates_fire_for_those_who_do_not(make: Make) -> None:
    analysis = analyse(make(rows=500), **HOW)
    verdict = judge(analysis)
    gain = analysis.gain("lora", "kmer")
    assert gain is not None
    assert verdict.outcome == "better"
    assert (
        verdict.headline
        == f"LoRA beats k-mer counts, logistic regression: {bracketed(gain.interval, signed=True)} MCC."
    )
    assert {check["subject"]: check["passed"] for check in checks(analysis)} == {
        "classify: lora": True,
        "classify: full": False,
    }
    assert any(note.startswith("LoRA is better than head only: +") for note in verdict.notes)


@pytest.mark.parametrize(
    ("skills", "outcome", "headline"),
    [
        ({"kmer": 1.0, "head": 0.98, "lora": 1.0}, "none", "No method beats k-mer counts"),
        ({"kmer": 1.6, "head": 0.2, "lora": 0.4}, "worse", "Every method is worse than k-mer counts"),
    ],
)
def test_a_model_that_is_no_better_is_reported_so(
    make: Make, skills: dict[str, float], outcome: str, headline: str
) -> None:
    analysis = analyse(make(rows=400, skills=skills), **HOW)
    assert judge(analysis).outcome == outcome
    assert judge(analysis).headline.startswith(headline)
    assert not any(check["passed"] for check in checks(analysis))


def test_p_values_are_corrected_for_all_methods_and_levels(make: Make) -> None:
    analysis = analyse(make(rows=300, sizes=(2, 4), skills={"kmer": 1.0, "head": 0.8, "lora": 1.2}), **HOW)
    gains = [gain for key, gain in analysis.gains.items() if key[0] == "kmer" and key[3] == "mcc"]
    smallest = min(gains, key=lambda gain: gain.p_value)
    assert len(gains) == 4
    assert smallest.corrected == pytest.approx(min(4 * smallest.p_value, 1))
    assert analysis.key == "balanced_accuracy"
    assert analysis.main_level == "level 1"


def test_missing_labels_are_left_out_unseen_ones_are_wrong_and_leaks_are_set_aside(make: Make) -> None:
    analysis = analyse(make(rows=300, missing=0.1, unseen=20, leaks=5), **HOW)
    data = analysis.data
    assert data.unseen("level 0") == 20
    assert 10 < int((~data.used("level 0")).sum()) < 50
    matrix = classes.confusion(data, data.methods[0], "level 0")
    assert matrix.sum() == data.used("level 0").sum()
    assert matrix[2].sum() == 20
    assert matrix[2, 2] == 0
    # Neither a pair within the test, nor one with what was removed from training, is a leak.
    assert analysis.leaked == 5
    assert analysis.without_leaks is not None
    kept, whole = (scores["level 0"]["lora"]["mcc"] for scores in (analysis.without_leaks, analysis.scores))
    assert whole.observations - kept.observations == (data.leaked & data.used("level 0")).sum() == 5
    notes = " ".join(judge(analysis).notes)
    assert "5 test sequences (1.7 %) also stand in training" in notes
    assert "20 test sequences of level 0 have a label that training lacks; they count as wrong." in notes


def test_whole_groups_are_resampled(make: Make) -> None:
    analysis = analyse(make(rows=120, groups=15), **HOW)
    assert analysis.units("level 0") == 15
    assert analysis.data.unit_noun == "group"


def test_bases_are_resampled_by_sequence(make: Make) -> None:
    analysis = analyse(make(rows=40, task="per_base", sizes=(3,)), **HOW)
    assert analysis.units("level 0") == 40
    assert len(analysis.data.ids) == 400
    assert analysis.data.row_noun == "base"


def test_numbers_are_judged_by_spearman(make: Make) -> None:
    analysis = analyse(make(rows=300, task="regression"), **HOW)
    assert analysis.key == "spearman"
    assert analysis.ranked()[0].name == "lora"
    assert judge(analysis).outcome == "better"


def test_one_sequence_has_no_score_and_breaks_nothing(make: Make) -> None:
    analysis = analyse(make(rows=1, probabilities=False), **HOW)
    assert judge(analysis).headline.startswith("MCC is not defined on this test set: no method is shown to beat")
    assert "auroc" not in analysis.scores["level 0"]["kmer"]


def test_classes_of_methods(make: Make) -> None:
    data = read(make(rows=300, sizes=(2, 5)))
    method = data.methods[0]
    matrix = classes.confusion(data, method, "level 1")
    table = classes.class_table(matrix)
    assert table["support"].sum() == 300
    assert classes.order(data, "level 1").tolist() == [0, 1, 2, 3, 4]
    pairs = classes.most_confused(matrix, 3)
    wrong = matrix[:, :-1] - np.diag(np.diagonal(matrix))
    assert wrong[pairs[0]] == wrong.max()
    shared = classes.jaccard(data, "level 1")
    right = [m.predicted["level 1"] == data.true["level 1"] for m in data.methods]
    assert shared[0, 1] == pytest.approx((right[0] & right[1]).sum() / (right[0] | right[1]).sum())
    table = classes.reliability(data, method, "level 1")
    assert table is not None
    assert table["rows"].sum() == 300
    assert (table["rows"] * table["hits"]).sum() == pytest.approx(right[0].sum())


def test_classes_stand_in_the_order_of_the_tree(make: Make) -> None:
    folder = make(rows=50, sizes=(2, 4))
    labels = read_json(folder / "labels.json")
    labels["parents"]["level 1"] = [1, 0, 1, 0]
    write_json(folder / "labels.json", labels)
    assert classes.order(read(folder), "level 1").tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize(
    ("f1", "support", "expected"),
    [([0.1, 0.5, 0.9, 0.95], [1, 2, 3, 4], 1.0), ([0.5, 0.5, 0.5], [1, 2, 3], None), ([0.1, 0.9], [1, 2], None)],
)
def test_correlation_of_f1_and_support(f1: list[float], support: list[int], expected: float | None) -> None:
    found = classes.f1_and_support(pd.DataFrame({"f1": f1, "support": support}), 0.95, 1)
    assert np.isnan(found.estimate) if expected is None else found.estimate == pytest.approx(expected)
    assert not found.defined


def _other_rows(folder: Path) -> None:
    path = folder / "methods" / "lora" / "test.parquet"
    pd.read_parquet(path).iloc[::-1].to_parquet(path, index=False)


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _short_probabilities(folder: Path) -> None:
    np.save(folder / "methods" / "lora" / "probabilities.level 0.npy", np.zeros((3, 2), np.float32))


def _without_key(name: str, key: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = read_json(folder / name)
        del content[key]
        write_json(folder / name, content)

    return change


def _foreign_class(folder: Path) -> None:
    path = folder / "methods" / "lora" / "test.parquet"
    pd.read_parquet(path).assign(**{"predicted.level 0": "elsewhere"}).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_other_rows, r"lora/test\.parquet has other rows or labels than that of kmer: run the stage again"),
        (_without("methods/lora/test.parquet"), r"lora/test\.parquet"),
        (_without("duplicates.csv"), r"duplicates\.csv cannot be read"),
        (_short_probabilities, r"probabilities\.level 0\.npy was written by another version"),
        (_without_key("classify.json", "task"), r"classify\.json was written by another version"),
        (_without_key("labels.json", "classes"), r"labels\.json was written by another version"),
        (_without_key("methods/lora/method.json", "title"), r"method\.json was written by another version"),
        (_foreign_class, r"test\.parquet was written by another version"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(
    make: Make, damage: Callable[[Path], None], message: str
) -> None:
    folder = make(rows=20)
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
