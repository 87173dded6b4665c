from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.artefacts.facts import read_run
from evaluation.artefacts.records import Record, stages_of_report
from workflow.artifacts import InputError, read_json, write_json

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def run(improved_run: Path, tmp_path: Path) -> Path:
    """A copy of the improved run that a test may spoil."""
    return Path(shutil.copytree(improved_run, tmp_path / "run"))


def edit(folder: Path, change: Change) -> None:
    manifest = read_json(folder / "manifest.json")
    change(manifest)
    write_json(folder / "manifest.json", manifest)


def without_training(manifest: dict[str, Any]) -> None:
    del manifest["identity"]["stages"]["train"]


def test_stages_come_in_the_order_in_which_they_run(run: Path) -> None:
    assert list(stages_of_report(run)) == ["prepare", "preprocess", "convert", "train", "predict", "infer"]


def test_a_training_that_predict_did_not_read_is_not_in_the_report(run: Path) -> None:
    edit(run / "predict", without_training)
    facts = read_run(run)
    # The generations are of the trained model.
    assert list(facts.manifests) == ["prepare", "preprocess", "convert", "predict"]
    assert facts.metrics is None
    assert facts.method == "none"
    edit(run / "infer", without_training)
    assert "infer" in read_run(run).manifests


def test_a_codon_objective_is_told(run: Path) -> None:
    def trained(manifest: dict[str, Any]) -> None:
        codon = {"alpha": 0.4, "beta": 15.0, "head": "box", "hierarchy": "random"}
        manifest["config"]["train"] |= {"objective": "codon_hxe", "codon": codon}
        seen = {"codon_sets": ["cds"], "codon_share_seen": 0.25, "codon_tables": {"1": 2000, "11": 1}}
        manifest["counts"] |= seen

    assert "objective" not in dict(read_run(run).lines(24, 200))["Training"]
    edit(run / "train", trained)
    assert dict(read_run(run).lines(24, 200))["Training"].endswith(
        "objective codon_hxe (alpha 0.4, head box, random hierarchy) · 25.0 % of the bases seen in codons in frame · "
        "genetic code 1 of 2,000 documents, 11 of 1 document"
    )


@pytest.mark.parametrize("stage", ["prepare", "convert", "train"])
def test_generations_of_another_model_or_genome_are_left_out(run: Path, stage: str) -> None:
    edit(run / "infer", lambda manifest: manifest["identity"]["stages"].update({stage: "another"}))
    assert "infer" not in stages_of_report(run)


@pytest.mark.parametrize("stage", ["embed", "classify"])
def test_labelled_sequences_may_need_less_of_the_run(run: Path, stage: str) -> None:
    read = read_json(run / "predict" / "manifest.json")["identity"]["stages"]
    (run / stage).mkdir()

    def is_there(stages: dict[str, str]) -> bool:
        write_json(run / stage / "manifest.json", {"identity": {"stages": stages}})
        return stage in stages_of_report(run)

    assert is_there(read)
    assert is_there({"convert": read["convert"]})
    assert not is_there({"convert": read["convert"], "train": "another"})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("train", "predict was made before train ran again with other settings or inputs: run stage=predict"),
        ("convert", "predict was made before convert ran again"),
        ("prepare", "predict was made before prepare ran again"),
    ],
)
def test_predictions_of_an_earlier_state_are_refused(run: Path, changed: str, message: str) -> None:
    edit(run / changed, lambda manifest: manifest.update(fingerprint="another"))
    with pytest.raises(InputError, match=message):
        stages_of_report(run)


def test_token_files_of_an_earlier_genome_are_refused(run: Path) -> None:
    edit(run / "preprocess", lambda manifest: manifest["identity"]["stages"].update(prepare="another"))
    with pytest.raises(InputError, match="preprocess was made before prepare ran again"):
        stages_of_report(run)


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("predict", lambda manifest: manifest.pop("identity")),
        ("predict", lambda manifest: manifest.pop("versions")),
        ("predict", lambda manifest: manifest["config"].pop("genome")),
        ("predict", lambda manifest: manifest.update(gates=[{"name": "old"}])),
        ("prepare", lambda manifest: manifest.pop("fingerprint")),
        ("preprocess", lambda manifest: manifest.update(identity=None)),
        ("train", lambda manifest: manifest.update(timings=None)),
        ("train", lambda manifest: manifest["config"].pop("train")),
        ("infer", lambda manifest: manifest.pop("identity")),
    ],
)
def test_manifests_of_another_version_are_named(run: Path, stage: str, change: Change) -> None:
    edit(run / stage, change)
    with pytest.raises(InputError) as caught:
        _all_facts(run)
    assert str(caught.value) == (
        f"{run / stage / 'manifest.json'} was written by another version: "
        f"run the stage again with stage={stage} force=true"
    )


def test_accounting_of_another_version_is_named(run: Path) -> None:
    write_json(run / "prepare" / "accounting.json", {"bases": 5})
    with pytest.raises(InputError, match=r"accounting\.json was written by another version: .* stage=prepare"):
        _all_facts(run)


def test_values_are_found_by_nested_keys(tmp_path: Path) -> None:
    record = Record(tmp_path / "stage" / "manifest.json", json.loads('{"a": {"b": null}}'))
    assert record.value("a", "b") is None
    with pytest.raises(InputError, match="another version"):
        record.value("a", "b", "c")


def _all_facts(run: Path) -> None:
    facts = read_run(run)
    facts.gates()
    facts.lines(windows=24, typical_length=200)
