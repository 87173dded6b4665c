from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints.conftest import (
    CONFIG,
    MBRIDGE,
    MBRIDGE_FULL,
    MBRIDGE_LORA,
    NEMO2,
    NEMO2_FULL,
    NEMO2_LORA,
    NVIDIA,
    SAVANNA,
    VORTEX,
)
from workflow.checkpoint import main
from workflow.checkpoints import load_model
from workflow.striped_hyena.adapters import add_lora

FASTA = NVIDIA / "input.fasta"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_inspect_tells_what_a_folder_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", NEMO2_FULL) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["format"] == "NeMo2"
    assert lines["model"] == "no published model"
    assert lines["layers"] == "4: 1 S, 1 D, 1 H, 1 *"
    assert lines["parameters"].startswith(f"{CONFIG.parameters:,} in ")
    assert lines["step"] == "6, 12 samples"
    assert lines["optimizer"] == "its state is there"
    assert lines["complete"] == "no"


def test_inspect_tells_of_an_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", NEMO2_LORA) == 0
    out = capsys.readouterr().out
    assert "rank 32, alpha 32 (the tool's default)" in out
    assert "14 layers: Wqkv, l1, l2, l3, out_proj" in out


@pytest.mark.parametrize("path", [SAVANNA, VORTEX, MBRIDGE_LORA])
def test_inspect_as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {"format", "parameters", "step", "adapter", "missing", "unknown"} <= found.keys()


def test_convert_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, vortex, again = tmp_path / "a.safetensors", tmp_path / "a.pt", tmp_path / "b.safetensors"
    assert run("convert", SAVANNA, ours, "--architecture", NEMO2) == 0
    assert f"a.safetensors: ours, {CONFIG.parameters:,} parameters" in capsys.readouterr().out
    assert run("convert", ours, vortex) == 0
    assert run("convert", vortex, again, "--architecture", ours) == 0
    assert ours.read_bytes() == again.read_bytes()
    assert run("convert", NEMO2, tmp_path / "s.pt", "--to", "savanna") == 0
    assert run("inspect", tmp_path / "s.pt") == 0
    assert "savanna" in capsys.readouterr().out


def test_converting_an_adapter_says_what_it_was_merged_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapted = add_lora(load_model(MBRIDGE).float(), rank=2, alpha=4, dropout=0, targets=["l1"])
    adapted.save_pretrained(str(tmp_path / "adapter"))
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": str(MBRIDGE)}))
    assert run("convert", tmp_path / "adapter", tmp_path / "out.safetensors") == 0
    told = capsys.readouterr().out.strip()
    assert told.endswith(f"with the adapter {tmp_path / 'adapter'} merged into it") and str(MBRIDGE) in told


def test_compare_exits_with_1_when_they_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", SAVANNA, MBRIDGE) == 0
    assert capsys.readouterr().out == "all tensors are equal\n"
    assert run("compare", MBRIDGE, MBRIDGE_FULL, "--fasta", FASTA) == 1
    out = capsys.readouterr().out
    assert f"of {len(load_model(MBRIDGE).state_dict())} tensors differ" in out and "\nand " in out
    assert "nats per base" in out


def test_merge_writes_a_model_and_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "merged.safetensors"
    assert run("merge", MBRIDGE, MBRIDGE_LORA, out) == 0
    assert "merged.model_card.md" in capsys.readouterr().out
    assert load_model(out).config == CONFIG


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "absent.pt"], "checkpoint absent.pt does not exist"),
        (["convert", SAVANNA, "{out}.safetensors"], "its shapes fit no published model"),
        (["convert", SAVANNA, "{out}.bin"], "must end in .safetensors (ours) or .pt"),
        (["convert", SAVANNA, "{out}.pt", "--architecture", "evo2_8b"], "evo2_8b names no architecture: use one of"),
        (["convert", SAVANNA, "{out}.pt", "--architecture", "evo2_7b"], "does not fit the architecture: missing"),
        (["convert", SAVANNA, "{out}.pt", "--architecture", SAVANNA], "names no architecture"),
        (["convert", NEMO2, FASTA], "must end in"),
        (["convert", NEMO2, "{there}"], "exists: give another name, or --force"),
        (["convert", NEMO2_FULL, "{out}.pt"], "is incomplete"),
        (["compare", NEMO2, MBRIDGE_LORA], "is an adapter of"),
        (["merge", NEMO2, MBRIDGE, "{out}.pt"], "holds no adapter"),
        (["compare", NEMO2, MBRIDGE, "--fasta", "absent.fa"], "absent.fa"),
    ],
)
def test_errors_of_use_are_one_line(
    arguments: list[object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.pt").touch()
    filled = [str(text).format(out=tmp_path / "new", there=tmp_path / "there.pt") for text in arguments]
    assert run(*filled) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["there.pt"]


def test_force_replaces(tmp_path: Path) -> None:
    (tmp_path / "x.pt").touch()
    assert run("convert", NEMO2, tmp_path / "x.pt", "--force") == 0
    assert (tmp_path / "x.pt").stat().st_size > 1000


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workflow.checkpoint", "inspect", "absent"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr == "error: checkpoint absent does not exist\n"
