from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.checkpoints.conftest import CONFIG, MBRIDGE, MBRIDGE_LORA, NEMO2, NEMO2_LORA, SAVANNA, SEQUENCES, logits
from workflow.artifacts import write_json
from workflow.checkpoints import load_model, merge
from workflow.errors import InputError
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.adapters import add_lora


@pytest.mark.parametrize("name", ["merged.safetensors", "merged.pt", "savanna_merged.pt"])
@pytest.mark.parametrize(("base", "adapter"), [(NEMO2, NEMO2_LORA), (SAVANNA, MBRIDGE_LORA)])
def test_the_written_model_is_the_merged_one(base: Path, adapter: Path, name: str, tmp_path: Path) -> None:
    merged = merge(base, adapter, tmp_path / name, config=CONFIG)
    expected = logits(load_model(base, CONFIG, adapter=adapter), SEQUENCES["alpha"], begin=True)
    found = logits(load_model(merged.checkpoint, CONFIG), SEQUENCES["alpha"], begin=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{Path(name).stem}.model_card.md"}


def test_the_card_says_where_it_comes_from(tmp_path: Path) -> None:
    card = merge(NEMO2, NEMO2_LORA, tmp_path / "merged.pt").card.read_text()
    for text in ("# merged.pt", f"| base model | {NEMO2} |", "| base format | NeMo2 |", "| rank | 32 |"):
        assert text in card
    assert "| alpha | 32 (the tool's default: its files name none) |" in card
    assert "nothing more is known" in card


def test_the_card_of_a_run_tells_its_data_and_results(tmp_path: Path, small: StripedHyena2) -> None:
    train, evaluate = tmp_path / "runs" / "demo" / "train", tmp_path / "runs" / "demo" / "evaluate"
    add_lora(small, rank=2, alpha=4, dropout=0, targets=["l1"]).save_pretrained(str(train / "best"))
    evaluate.mkdir()
    write_json(
        train / "manifest.json",
        {
            "stage": "train",
            "run_name": "demo",
            "fingerprint": "abc",
            "identity": {"stages": {"preprocess": "def"}},
            "config": {"genome": {"name": "XTT22", "organism": "a | b"}, "seed": 42},
            "counts": {"steps": 150, "best_validation_loss": 1.3},
        },
    )
    write_json(evaluate / "manifest.json", {"stage": "evaluate", "counts": {"nll_adapted": 1.25}})
    card = merge(MBRIDGE, train / "best", tmp_path / "x.safetensors").card.read_text()
    for row in (
        "| genome | XTT22 |",
        "| organism | a \\| b |",
        "| fingerprint of the data | def |",
        "| fingerprint of the training | abc |",
        "| training: steps | 150 |",
        "| training: best_validation_loss | 1.3 |",
        "| evaluation: nll_adapted | 1.25 |",
    ):
        assert row in card


def test_what_bfloat16_loses_of_the_shift_is_told(tmp_path: Path) -> None:
    facts = merge(MBRIDGE, MBRIDGE_LORA, tmp_path / "x.safetensors", precision="bf16").facts
    lost = facts["share of the shift lost by rounding to bfloat16"]
    base, exact = load_model(MBRIDGE).state_dict(), load_model(MBRIDGE, adapter=MBRIDGE_LORA).state_dict()
    rounded = load_model(tmp_path / "x.safetensors").state_dict()
    names = [name for name in exact if not torch.equal(exact[name], base[name].float())]
    rest = sum(float((rounded[name].float() - exact[name]).square().sum()) for name in names)
    shift = sum(float((base[name].float() - exact[name]).square().sum()) for name in names)
    assert lost == f"{(rest / shift) ** 0.5:.1%}"
    assert "lost" not in str(merge(MBRIDGE, MBRIDGE_LORA, tmp_path / "y.safetensors").facts)


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    out, card = tmp_path / "x.safetensors", tmp_path / "x.model_card.md"
    for file in (out, card):
        file.write_text("old")
        with pytest.raises(InputError, match=rf"{file.name} exists: give another name, or --force"):
            merge(MBRIDGE, MBRIDGE_LORA, out)
        assert file.read_text() == "old"
        file.unlink()
    out.write_text("old")
    merge(MBRIDGE, MBRIDGE_LORA, out, force=True)
    assert out.stat().st_size > 1000


def test_the_second_must_be_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no adapter, but weights"):
        merge(MBRIDGE, NEMO2, tmp_path / "x.pt")
    with pytest.raises(InputError, match="is an adapter itself"):
        merge(MBRIDGE_LORA, MBRIDGE_LORA, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())
