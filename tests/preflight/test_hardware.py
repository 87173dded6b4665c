from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.config import ParallelConfig
from workflow.errors import InputError
from workflow.preflight.hardware import (
    GPUS,
    Gpu,
    free_disk_gib,
    gpus,
    host_memory,
    planned_gpus,
    shared_memory_gib,
)

Install = Callable[[str], Path]
TWO = r"printf 'NVIDIA H100 80GB HBM3, 81559, 80000, 550.54.15, 9.0\nTesla T4, 15360, 15000, 550.54.15, 7.5\n'"
OLD = """case "$1" in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.' >&2; exit 2;; esac
echo 'Tesla V100-SXM2-32GB, 32768, 32000, 460.32.03'"""


def test_gpus_as_nvidia_smi_tells_them(nvidia_smi: Install) -> None:
    nvidia_smi(TWO)
    hopper, turing = gpus()
    assert hopper.name == "NVIDIA H100 80GB HBM3" and hopper.driver == "550.54.15"
    assert (hopper.memory_gib, hopper.free_gib) == (81559 / 1024, 80000 / 1024)
    assert (hopper.capability, hopper.shown_capability) == ((9, 0), "9.0")
    assert hopper.kind is GPUS["H100-80GB"] and turing.kind is GPUS["T4"]


def test_driver_that_does_not_know_compute_capability(nvidia_smi: Install) -> None:
    nvidia_smi(OLD)
    (gpu,) = gpus()
    assert (gpu.capability, gpu.kind, gpu.driver) == ((7, 0), GPUS["V100-32GB"], "460.32.03")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("exit 0", []),
        ("echo 'No devices were found'; exit 6", []),
        ("echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9", []),
        ("echo; echo 'No devices were found'; echo 'a, b'", []),
        (r"printf '\377\376'", []),
        (
            "echo 'NVIDIA H200, [N/A], [Not Supported], 560.1, [N/A]'",
            [Gpu("NVIDIA H200", GPUS["H200"].memory_gib, (9, 0), "560.1", None)],
        ),
        ("echo 'NVIDIA Unheard, [N/A], 1024, 570, 11.0'", [Gpu("NVIDIA Unheard", None, (11, 0), "570", 1.0)]),
        ("echo 'NVIDIA Unheard, 1024, 512, 570, [N/A]'", [Gpu("NVIDIA Unheard", 1.0, None, "570", 0.5)]),
    ],
)
def test_odd_answers(lines: str, expected: list[Gpu], nvidia_smi: Install) -> None:
    nvidia_smi(lines)
    assert gpus() == expected


def test_unknown_capability_is_told() -> None:
    assert Gpu("NVIDIA Unheard", 1.0, None).shown_capability == "unknown"


def test_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("0,1", ["H100", "T4"]),
        ("1", ["T4"]),
        ("1,0", ["T4", "H100"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["H100"]),
        ("GPU-5d1e", ["H100"]),
    ],
)
def test_visible_devices(variable: str, names: list[str], nvidia_smi: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    seen = gpus()
    assert len(seen) == len(names)
    assert all(name in gpu.name for name, gpu in zip(names, seen, strict=True))


@pytest.mark.parametrize(
    ("name", "memory", "kind"),
    [
        ("NVIDIA A100-SXM4-40GB", 40.0, "A100-40GB"),
        ("NVIDIA A100-SXM4-80GB", 80.0, "A100-80GB"),
        ("NVIDIA A100 80GB PCIe", 80.0, "A100-80GB"),
        ("Tesla V100-PCIE-16GB", 15.8, "V100-16GB"),
        ("NVIDIA A10", 22.5, "A10"),
        ("NVIDIA A10G", 22.5, "A10"),
        ("NVIDIA L4", 22.5, "L4"),
        ("NVIDIA L40", 45.0, "L40"),
        ("NVIDIA L40S", 45.0, "L40S"),
        ("NVIDIA H100 PCIe", 79.6, "H100-PCIe"),
        ("NVIDIA H100 NVL", 93.6, "H100-NVL"),
        ("NVIDIA H100 80GB HBM3", 79.6, "H100-80GB"),
        ("NVIDIA H200", 140.4, "H200"),
        ("NVIDIA GH200 480GB", 95.6, "GH200"),
        ("NVIDIA B200", 179.0, "B200"),
        ("NVIDIA GB200", 185.0, "GB200"),
        ("NVIDIA GeForce RTX 3090", 24.0, "RTX-3090"),
        ("NVIDIA GeForce RTX 4090", 24.0, "RTX-4090"),
        ("NVIDIA RTX 6000 Ada Generation", 48.0, "RTX-6000-Ada"),
        ("NVIDIA RTX A6000", 48.0, "RTX-A6000"),
    ],
)
def test_names_of_kinds(name: str, memory: float, kind: str) -> None:
    assert Gpu(name, memory, None).kind is GPUS[kind]


def test_unknown_kind() -> None:
    assert Gpu("NVIDIA T400", 4.0, (7, 5)).kind is None


def test_gpus_that_are_planned_for(nvidia_smi: Install) -> None:
    nvidia_smi(TWO)
    planned = planned_gpus(ParallelConfig(devices=4, gpu="A100-40GB"))
    assert planned == [Gpu("A100-40GB", 40, (8, 0))] * 4 and planned[0].kind is GPUS["A100-40GB"]
    assert [gpu.name for gpu in planned_gpus(ParallelConfig(devices=4))] == ["NVIDIA H100 80GB HBM3", "Tesla T4"]


def test_unknown_gpu_is_told_with_the_list() -> None:
    with pytest.raises(InputError, match=r"^parallel\.gpu=H900 is not known: use one of V100-16GB, .*H100-80GB.*$"):
        planned_gpus(ParallelConfig(gpu="H900"))


def test_main_memory_is_that_of_the_container(tmp_path: Path) -> None:
    meminfo, limit, other = tmp_path / "meminfo", tmp_path / "memory.max", tmp_path / "limit_in_bytes"
    meminfo.write_text("MemTotal:       67108864 kB\nMemFree:  1 kB\nMemAvailable:   33554432 kB\n")
    memory = host_memory(meminfo, [limit])
    assert memory and (memory.total_gib, memory.available_gib) == (64, 32)
    limit.write_text("max\n")
    memory = host_memory(meminfo, [limit])
    assert memory and (memory.total_gib, memory.available_gib) == (64, 32)
    other.write_text(f"{16 * 2**30}\n")
    memory = host_memory(meminfo, [limit, other])
    assert memory and (memory.total_gib, memory.available_gib) == (16, 16)
    meminfo.write_text("nothing of the kind")
    assert host_memory(meminfo, []) is None
    assert host_memory(tmp_path / "absent", []) is None


def test_disk_of_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    assert free_disk_gib(tmp_path / "a" / "b") == pytest.approx(free_disk_gib(tmp_path), rel=0.01)
    assert free_disk_gib(tmp_path) > 0
    assert shared_memory_gib(tmp_path / "absent") is None
