from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.classification.conftest import Open, dna
from workflow.artifacts import read_json, write_json
from workflow.classification.folder import load_trained
from workflow.classification.neural import train_method
from workflow.classification.reads import label_sequences, most_probable
from workflow.errors import InputError
from workflow.sequence_files import SequenceRecord

LOGITS, NAMES = [2.0, 1.9, 0.1, -3.0, -3.0, -3.0], tuple("abcdef")


def records(texts: list[bytes]) -> list[SequenceRecord]:
    return [
        SequenceRecord(f"r{number}", np.frombuffer(text, np.uint8), f"line {number}")
        for number, text in enumerate(texts)
    ]


def label(
    folder: Path, texts: list[bytes], out: Path, **settings: float
) -> tuple[list[dict[str, Any]], list[dict[str, str]], Any]:
    out.mkdir(exist_ok=True)
    chosen = {"top_k": 5, "threshold": 0.2, "batch_tokens": 300} | settings
    told = label_sequences(load_trained(folder), records(texts), out, **chosen)  # type: ignore[arg-type]
    with (out / "predictions.csv").open() as table:
        rows = list(csv.DictReader(table))
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()], rows, told


@pytest.mark.parametrize(
    ("top_k", "threshold", "expected"), [(5, 0.2, "ab"), (1, 0.2, "a"), (5, 0.6, ""), (10, 0.0, "abcdef")]
)
def test_the_most_probable_come_first_and_the_threshold_is_strict(top_k: int, threshold: float, expected: str) -> None:
    # MicrobeRT's own answers; among equal ones it turns the order of the classes round.
    probabilities = torch.tensor([LOGITS]).softmax(-1).numpy()
    (told,) = most_probable(probabilities, NAMES, top_k, threshold)
    assert "".join(str(item["label"]) for item in told) == expected
    known = {"a": 0.482016, "b": 0.436146, "c": 0.0720945, "d": 0.00324780}
    assert [item["probability"] for item in told if item["label"] in known] == pytest.approx(
        [known[name] for name in expected if name in known], rel=1e-5
    )
    assert list(most_probable(np.array([[0.5, 0.5]]), ("x", "y"), 5, 0.5)) == [[]]


@pytest.mark.parametrize("method", ["head", "lora", "ia3", "full"])
def test_a_folder_that_was_moved_labels_as_the_training_did(workshop: Open, method: str, tmp_path: Path) -> None:
    shop = workshop(epochs=1)
    folder = train_method(shop, method)
    moved = tmp_path / "elsewhere" / "model"
    if method == "lora":  # the weights of the base are not stored twice
        assert (folder / "model" / "model.safetensors").samefile(shop.model.base / "model.safetensors")
        assert set(read_json(folder / "model" / "model.json")["files"]) == {
            "adapter/adapter_config.json",
            "adapter/adapter_model.safetensors",
            "heads.safetensors",
            "labels.json",
            "model.safetensors",
        }
    shutil.copytree(folder / "model", moved)
    shutil.rmtree(folder / "model")
    shutil.rmtree(shop.model.base)
    test = shop.data.take(shop.data.of("test"))
    lines, rows, told = label(moved, test.sequences, tmp_path / "out", top_k=9, threshold=0.0)
    table = pd.read_parquet(folder / "test.parquet")
    for level in ("kingdom", "species"):
        expected = np.load(folder / f"probabilities.{level}.npy")
        classes = shop.encoding.classes[level]
        found = [
            [{item["label"]: item["probability"] for item in line[level]}[name] for name in classes] for line in lines
        ]
        np.testing.assert_allclose(found, expected, atol=2e-5)
        assert [row[level] for row in rows] == table[f"predicted.{level}"].tolist()
    assert [line["id"] for line in lines] == [row["id"] for row in rows] == [f"r{n}" for n in range(len(test))]
    assert told.sequences == len(test) and told.cut == 0


def test_a_layer_in_the_middle_leaves_a_shorter_model(workshop: Open, tmp_path: Path) -> None:
    shop = workshop(layer=1, epochs=1)
    folder = train_method(shop, "ia3")
    recipe = read_json(folder / "model" / "model.json")
    assert recipe["architecture"]["pattern"] == "SD" and recipe["layer"] == 1
    test = [shop.data.sequences[place] for place in shop.data.of("test")]
    lines, _, _ = label(folder / "model", test, tmp_path / "out", top_k=1, threshold=0.0)
    best = np.load(folder / "probabilities.species.npy").max(1)
    np.testing.assert_allclose([line["species"][0]["probability"] for line in lines], best, atol=2e-5)


def test_long_sequences_are_cut_in_the_middle_and_counted(workshop: Open, tmp_path: Path) -> None:
    folder = train_method(workshop(max_length=32, epochs=1), "head") / "model"
    long = dna(101, 5)
    lines, _, told = label(folder, [long, long[34:66]], tmp_path / "out")
    assert lines[0] | {"id": ""} == lines[1] | {"id": ""}
    assert told.cut == 1 and told.bases == 133


def test_numbers_come_in_their_own_unit(workshop: Open, tmp_path: Path) -> None:
    shop = workshop("regression", epochs=1)
    folder = train_method(shop, "head")
    test = [shop.data.sequences[place] for place in shop.data.of("test")]
    lines, rows, _ = label(folder / "model", test, tmp_path / "out")
    expected = pd.read_parquet(folder / "test.parquet")["predicted.activity"]
    np.testing.assert_allclose([line["activity"] for line in lines], expected, rtol=1e-4)
    assert [float(row["activity"]) for row in rows] == [line["activity"] for line in lines]


def test_bases_are_labelled_to_the_end_of_a_long_sequence(workshop: Open, tmp_path: Path) -> None:
    folder = train_method(workshop("per_base", max_length=40, epochs=1), "head") / "model"
    texts = [dna(101, 5), b"A"]
    lines, rows, _ = label(folder, texts, tmp_path / "out")
    assert [len(line["next"]) for line in lines] == [101, 1] and set(lines[0]["next"]) <= set("yn")
    assert [(row["id"], int(row["position"])) for row in rows] == [*(("r0", place) for place in range(101)), ("r1", 0)]
    assert "".join(row["next"] for row in rows) == lines[0]["next"] + lines[1]["next"]


def test_damaged_folders_are_refused_in_one_line(workshop: Open, tmp_path: Path) -> None:
    whole = train_method(workshop(epochs=1), "lora") / "model"

    def damaged(name: str) -> Path:
        shutil.copytree(whole, tmp_path / name)
        return tmp_path / name

    with pytest.raises(InputError, match=r"is no folder of a trained classifier"):
        load_trained(tmp_path)
    other = damaged("version")
    write_json(other / "model.json", read_json(other / "model.json") | {"version": 2})
    with pytest.raises(InputError, match=r"a classifier of version 2, this program reads version 1; train it again"):
        load_trained(other)
    cut = damaged("cut") / "model.safetensors"
    cut.write_bytes((whole / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(InputError, match=r"model\.safetensors has [\d,]+ bytes instead of [\d,]+; take"):
        load_trained(cut.parent)
    (damaged("less") / "adapter" / "adapter_config.json").unlink()
    with pytest.raises(InputError, match=r"adapter_config\.json is missing; take"):
        load_trained(tmp_path / "less")
    spoilt = damaged("spoilt") / "heads.safetensors"
    spoilt.write_bytes(b"\xff" * spoilt.stat().st_size)
    with pytest.raises(InputError, match=r"spoilt is damaged \(.*\); take"):
        load_trained(spoilt.parent)
    silent = damaged("silent") / "model.json"
    write_json(silent, {key: value for key, value in read_json(silent).items() if key != "pooling"})
    with pytest.raises(InputError, match=r"model\.json says nothing of pooling"):
        load_trained(silent.parent)
    heads = damaged("nan") / "heads.safetensors"
    save_file({name: value * torch.nan for name, value in load_file(heads).items()}, heads)
    with pytest.raises(InputError, match=r"says what is no number of some sequences: its weights are spoilt"):
        label(heads.parent, [b"ACGT"], tmp_path / "out")
