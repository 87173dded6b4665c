from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from evaluation.baselines import markov
from evaluation.baselines.markov import MarkovModel
from evaluation.drawing import style
from evaluation.experiment import figures
from evaluation.experiment.analysis import Experiment, analyse, metrics, read
from evaluation.experiment.section import section
from workflow.artifacts import InputError, write_json

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 2", "kmer": "k-mer regression"}


def measurements(rows: int, seed: int = 0, models: tuple[str, ...] = ("base", "adapted")) -> pd.DataFrame:
    """The adapted model knows more of the value than the base model; both know GC."""
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet([8] * 4, rows)
    sequences = ["".join(generator.choice(list("ACGT"), 60, p=share)) for share in shares]
    gc = np.array([(text.count("G") + text.count("C")) / 60 for text in sequences])
    value = 4 * gc + generator.normal(size=rows)
    table = pd.DataFrame({"row": np.arange(2, rows + 2), "sequence": sequences, "value": value, "gc": gc, "length": 60})
    table["id"] = table["group"] = pd.array([None] * rows, dtype="string")
    for place, model in enumerate(models):
        table[f"score_{model}"] = -1.38 + 0.03 * place * value + 0.1 * gc + 0.02 * generator.normal(size=rows)
    return table


@pytest.fixture(scope="module")
def baseline() -> MarkovModel:
    bases = [np.frombuffer(text.encode(), np.uint8) for text in measurements(30, seed=9)["sequence"]]
    return markov.fit(bases[:20], bases[20:], 2)


def analysed(table: pd.DataFrame, baseline: MarkovModel | None, **options: object) -> Experiment:
    settings: dict[str, object] = {"samples": 200, "confidence": 0.95, "seed": 0}
    return analyse(table, "enrichment", baseline, **(settings | options))  # type: ignore[arg-type]


def test_models_stand_beside_their_baselines(baseline: MarkovModel) -> None:
    table = measurements(150)
    found = analysed(table, baseline)
    assert found.scores == ("base", "adapted", "markov", "kmer")
    assert found.correlations["adapted"].spearman.sign == 1
    assert found.differences["adapted", "base"].sign == 1
    assert found.correlations["adapted"].partial_spearman.sign == 1
    assert found.pairs() == [
        ("adapted", "base"),
        ("adapted", "markov"),
        ("adapted", "kmer"),
        ("base", "markov"),
        ("base", "kmer"),
    ]
    expected = [baseline.strand_average(sequence) for sequence in table["sequence"]]
    np.testing.assert_allclose(found.score("markov"), expected)
    one_strand = analysed(table, baseline, both_strands=False)
    np.testing.assert_allclose(one_strand.score("markov"), [baseline.average(text) for text in table["sequence"]])
    assert analysed(table, None).scores == ("base", "adapted", "kmer")


def test_rows_without_a_score_are_left_out_for_every_score(baseline: MarkovModel) -> None:
    table = measurements(40)
    table.loc[3, ["sequence", "gc", "score_base", "score_adapted"]] = ["N" * 60, np.nan, np.nan, np.nan]
    table.loc[5, "sequence"] = table["sequence"][4].lower()
    found = analysed(table, baseline)
    assert (len(found.table), found.without_score, found.repeated) == (39, 1, 2)
    assert 5 not in found.table["row"].tolist()
    assert found.correlations["base"].spearman.defined


def test_groups_are_resampled_and_predicted_as_wholes(baseline: MarkovModel) -> None:
    table = measurements(60)
    table["group"] = pd.array([f"family {row % 12}" for row in range(60)], dtype="string")
    found = analysed(table, baseline)
    assert found.groups == 12
    assert "whole groups of rows (12)" in section(found, LABELS).remarks[0]
    assert not np.array_equal(found.score("kmer"), analysed(table.assign(group=None), baseline).score("kmer"))


def test_a_run_folder_is_read(tmp_path: Path, baseline: MarkovModel) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    with pytest.raises(InputError, match="run stage=experiment first"):
        read(tmp_path, baseline, 100, 0.95, 0)
    table = measurements(30)
    table.to_parquet(folder / "experiment.parquet", index=False)
    settings = {"value_column": "log2 activity", "reverse_complement": False}
    write_json(folder / "manifest.json", {"config": {"experiment": settings}})
    found = read(tmp_path, baseline, 100, 0.95, 0)
    assert found.value_name == "log2 activity" and not found.both_strands
    again = read(tmp_path, baseline, 100, 0.95, 0)
    assert found.correlations == again.correlations and found.differences == again.differences
    table.drop(columns=["score_base", "score_adapted"]).to_parquet(folder / "experiment.parquet", index=False)
    with pytest.raises(InputError, match="no column score_base or score_adapted"):
        read(tmp_path, baseline, 100, 0.95, 0)


def test_metrics_are_plain_numbers(tmp_path: Path, baseline: MarkovModel) -> None:
    found = analysed(measurements(40), baseline)
    told = metrics(found)
    write_json(tmp_path / "metrics.json", told)
    assert told["rows"] == 40 and list(told["scores"]) == ["base", "adapted", "markov", "kmer"]
    assert told["scores"]["base"]["spearman"] == vars(found.correlations["base"].spearman)
    first = told["spearman_differences"][0]
    assert (first["score"], first["reference"]) == ("adapted", "base") and first["low"] <= first["estimate"]


def test_the_section_claims_what_the_intervals_allow(baseline: MarkovModel) -> None:
    remarks = " ".join(section(analysed(measurements(150), baseline), LABELS).remarks)
    assert "Spearman's correlation is higher after the adaptation: +" in remarks
    table = measurements(150)
    noise = np.random.default_rng(1).normal(size=(2, 150))
    table["score_base"], table["score_adapted"] = noise
    remarks = " ".join(section(analysed(table, baseline), LABELS).remarks)
    assert remarks.count("could be shown.") == 2 and "could not be shown to differ" in remarks
    below = "The adapted model's score correlates less positively with the measured value than Markov order 2 and k-mer"
    assert below in remarks
    table["score_base"] = table["gc"] + 1e-3 * noise[0]
    remarks = " ".join(section(analysed(table, baseline), LABELS).remarks)
    assert (
        "Given GC and length, no correlation of the base model's score with the measured value could be shown ("
        in remarks
    )


def test_tables_hold_every_score_and_difference(baseline: MarkovModel) -> None:
    correlations, differences = section(analysed(measurements(40), baseline), LABELS).tables
    assert [row[0] for row in correlations.rows] == [
        *("base", "adapted", "Markov order 2 (baseline)", "k-mer regression (baseline)")
    ]
    assert all(len(row) == len(correlations.columns) and "[" in row[1] for row in correlations.rows)
    assert differences.rows[0][0] == "adapted − base" and len(differences.rows) == 5


def test_too_few_rows_are_told_and_not_drawn(baseline: MarkovModel) -> None:
    part = section(analysed(measurements(2), baseline), LABELS)
    assert not part.pictures and not part.tables
    assert part.remarks[-1].startswith("No correlation is defined")
    assert section(analysed(measurements(4), baseline), LABELS).pictures


@pytest.mark.parametrize(("rows", "hexagons"), [(30, False), (figures.MOST_POINTS + 1, True)])
def test_many_rows_are_drawn_as_hexagons(rows: int, hexagons: bool) -> None:
    found = analysed(measurements(30), None)
    repeats = -(-rows // 30)
    table = pd.concat([found.table] * repeats, ignore_index=True)[:rows]
    found = Experiment(**(vars(found) | {"table": table}))
    with style.applied():
        figure = figures.scatter(found, LABELS)
    kinds = {type(artist) for axes in figure.axes[:3] for artist in axes.collections}
    assert kinds == ({mpl.collections.PolyCollection} if hexagons else {mpl.collections.PathCollection})
    assert len(figure.axes) == 3 + hexagons
    assert figure.axes[2].get_xlabel() == "predicted value (out of fold)"


def test_names_from_the_table_are_no_mathematics(tmp_path: Path) -> None:
    found = analysed(measurements(30), None)
    found = Experiment(**(vars(found) | {"value_name": r"$\frac{of} the $activity$ in a long experiment"}))
    with style.applied():
        for number, figure in enumerate((figures.scatter(found, LABELS), figures.forest(found, LABELS))):
            style.save(figure, tmp_path / f"{number}.png")
    assert (tmp_path / "1.png").stat().st_size > 10_000


def test_the_forest_shows_every_interval() -> None:
    found = analysed(measurements(30), None)
    with style.applied():
        left, right = figures.forest(found, LABELS).axes
    drawn = {tuple(line.get_segments()[0][:, 0]) for line in left.collections if hasattr(line, "get_segments")}
    wanted = {
        (part.low, part.high) for correlation in found.correlations.values() for part in vars(correlation).values()
    }
    assert drawn == wanted
    assert [label.get_text().split("\n")[0] for label in right.get_yticklabels()] == [*("adapted", "adapted", "base")]
