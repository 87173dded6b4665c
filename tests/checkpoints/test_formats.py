from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.checkpoints.conftest import (
    MBRIDGE,
    MBRIDGE_FULL,
    MBRIDGE_LORA,
    NEMO2,
    NEMO2_FULL,
    NEMO2_LORA,
    SAVANNA,
    VORTEX,
)
from workflow.artifacts import write_json
from workflow.checkpoints import Format, is_complete, sniff, write_ours
from workflow.checkpoints.formats import open_checkpoint
from workflow.errors import InputError
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.adapters import add_lora


@pytest.mark.parametrize(
    ("path", "format"),
    [
        (SAVANNA, Format.SAVANNA),
        (VORTEX, Format.VORTEX),
        (NEMO2, Format.NEMO2),
        (NEMO2_FULL, Format.NEMO2),
        (NEMO2_LORA, Format.NEMO2_LORA),
        (MBRIDGE, Format.MBRIDGE),
        (MBRIDGE / "iter_0000001", Format.MBRIDGE),
        (MBRIDGE_FULL, Format.MBRIDGE),
        (MBRIDGE_LORA, Format.MBRIDGE_LORA),
    ],
)
def test_formats_of_nvidias_programs(path: Path, format: Format) -> None:
    assert sniff(path) is format
    assert format.is_adapter == ("lora" in str(path))


def test_our_own_formats(small: StripedHyena2, tmp_path: Path) -> None:
    write_ours(small, tmp_path / "model.safetensors")
    assert sniff(tmp_path / "model.safetensors") is sniff(tmp_path) is Format.OURS
    add_lora(small, rank=2, alpha=4, dropout=0, targets=["l1"]).save_pretrained(str(tmp_path / "adapter"))
    adapter = tmp_path / "adapter"
    assert sniff(adapter) is sniff(adapter / "adapter_model.safetensors") is Format.PEFT


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["x.pt.part0", "x.pt.part1", "x.pt.part2"], "x.pt.part1"),
        (["x.pt.part0", "x.pt.part1"], "x.pt"),
        (["x.pt.partaa", "x.pt.partab"], "x.pt.partaa"),
        (["x.pt.part_1", "x.pt.part_2"], "x.pt.part_1"),
        ([f"x.pt.part{number}" for number in range(11)], "x.pt.part0"),
    ],
)
@pytest.mark.parametrize(("whole", "format"), [(VORTEX, Format.VORTEX_PARTS), (SAVANNA, Format.SAVANNA_PARTS)])
def test_parts_are_found_and_put_in_order(
    tmp_path: Path, whole: Path, format: Format, names: list[str], asked: str
) -> None:
    content, size = whole.read_bytes(), whole.stat().st_size // len(names) + 1
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(content[number * size : (number + 1) * size])
    opened = open_checkpoint(tmp_path / asked)
    assert opened.format is format
    expected = open_checkpoint(whole)
    for name in expected.store.infos:
        assert torch.equal(opened.store.read(name), expected.store.read(name))


def test_a_lost_part_is_named(tmp_path: Path) -> None:
    for number in (0, 2):
        (tmp_path / f"x.pt.part{number}").write_bytes(b"x")
    with pytest.raises(InputError, match=r"x\.pt is incomplete: part 1 is missing"):
        sniff(tmp_path / "x.pt.part0")


def other_safetensors(folder: Path) -> Path:
    save_file({"w": torch.ones(1)}, folder / "other.safetensors")
    return folder / "other.safetensors"


def other_archive(folder: Path) -> Path:
    torch.save({"transformer.w": torch.ones(1)}, folder / "other.pt")
    return folder / "other.pt"


def other_file(folder: Path) -> Path:
    (folder / "weights.bin").write_bytes(b"1")
    return folder / "weights.bin"


def tracker(text: str) -> object:
    def make(folder: Path) -> Path:
        (folder / "latest_checkpointed_iteration.txt").write_text(text)
        return folder

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "absent.pt", r"absent\.pt does not exist"),
        (lambda folder: folder, r"is no checkpoint of a known format: looked for .*NeMo2 folder.*peft"),
        (other_file, "is no checkpoint of a known format: looked for"),
        (other_archive, "holds neither vortex's names"),
        (other_safetensors, "was not written by this project"),
        (tracker("7\n"), r"names iteration 7, but iter_0000007 does not exist"),
        (tracker("soon"), "holds 'soon' instead of the number of an iteration"),
    ],
)
def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path: Path, make: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        sniff(make(tmp_path))  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_a_folder_around_checkpoints_names_them(tmp_path: Path, small: StripedHyena2) -> None:
    download = tmp_path / "download"
    download.mkdir()
    (download / "x.pt.part0").touch()
    (download / "x.pt.part1").touch()
    with pytest.raises(InputError, match=rf"download is no checkpoint, but holds some: give {download}/x\.pt$"):
        sniff(download)
    convert = tmp_path / "run" / "convert"
    convert.mkdir(parents=True)
    (convert / "checkpoint").symlink_to(NEMO2, target_is_directory=True)
    with pytest.raises(InputError, match=rf"give {convert}/checkpoint$"):
        sniff(convert)
    write_ours(small, tmp_path / "run" / "other" / "model.safetensors")
    with pytest.raises(InputError, match=rf"give {convert}/checkpoint, or {tmp_path}/run/other$"):
        sniff(tmp_path / "run")
    for number in range(9):
        write_ours(small, tmp_path / "run" / f"model_{number}" / "model.safetensors")
    with pytest.raises(InputError, match=r"or one of 5 more$"):
        sniff(tmp_path / "run")


def test_the_folder_of_a_training_names_its_best_checkpoint(tmp_path: Path) -> None:
    for name in ("iter_0000003", "iter_0000006"):
        shutil.copytree(MBRIDGE_LORA, tmp_path / "results" / name)
    rows = [{"path": f"results/iter_000000{step}", "best": step == 3} for step in (3, 6)]
    write_json(tmp_path / "checkpoints.json", rows)
    best = tmp_path / "results" / "iter_0000003"
    with pytest.raises(InputError, match=f"but a training: give {best}, whose validation loss is the lowest"):
        sniff(tmp_path)
    assert sniff(best) is Format.MBRIDGE_LORA


def test_a_checkpoint_is_complete_when_every_shard_has_its_length(tmp_path: Path) -> None:
    assert all(map(is_complete, (NEMO2, NEMO2_LORA, MBRIDGE, MBRIDGE_LORA, MBRIDGE_FULL)))
    assert not is_complete(NEMO2_FULL)
    assert not is_complete(tmp_path)
    copy = shutil.copytree(NEMO2, tmp_path / "copy")
    marker = tmp_path / "copy-unfinished"
    marker.touch()
    assert not is_complete(copy)
    marker.unlink()
    assert is_complete(copy)
    for file in ("weights/__0_0.distcp", "weights/metadata.json", "weights/.metadata", "context/model.yaml"):
        kept = (copy / file).read_bytes()
        (copy / file).unlink()
        assert not is_complete(copy), file
        (copy / file).write_bytes(kept)
    (copy / "weights/__0_1.distcp").write_bytes((copy / "weights/__0_1.distcp").read_bytes()[:-1])
    assert not is_complete(copy)
