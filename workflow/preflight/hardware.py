"""What this machine has: GPUs, memory, disk. Nothing here imports torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from workflow.config import ParallelConfig
from workflow.errors import InputError

GIB = 2**30
_QUERY_SECONDS = 30
_FIELDS = ("name", "memory.total", "memory.free", "driver_version", "compute_cap")


@dataclass(frozen=True)
class GpuKind:
    """A kind of GPU, from its data sheet.

    Attributes
    ----------
    memory_gib : float
        As nvidia-smi tells it.
    capability : (int, int)
        CUDA compute capability.
    bf16_tflops, fp32_tflops : float
        Peak without sparsity: of the tensor cores in bfloat16 (float16 where there is no bfloat16) and of
        plain float32.
    mark : str
        Regular expression that is found in its names.
    """

    memory_gib: float
    capability: tuple[int, int]
    bf16_tflops: float
    fp32_tflops: float
    mark: str


#: Kinds of GPU by the name that `parallel.gpu` takes.
GPUS: dict[str, GpuKind] = {
    "V100-16GB": GpuKind(16, (7, 0), 125, 15.7, r"\bV100"),
    "V100-32GB": GpuKind(32, (7, 0), 125, 15.7, r"\bV100"),
    "T4": GpuKind(15, (7, 5), 65, 8.1, r"\bT4\b"),
    "A100-40GB": GpuKind(40, (8, 0), 312, 19.5, r"\bA100\b"),
    "A100-80GB": GpuKind(80, (8, 0), 312, 19.5, r"\bA100\b"),
    "A30": GpuKind(24, (8, 0), 165, 10.3, r"\bA30\b"),
    "A10": GpuKind(22.5, (8, 6), 125, 31.2, r"\bA10G?\b"),
    "A40": GpuKind(45, (8, 6), 150, 37.4, r"\bA40\b"),
    "RTX-A6000": GpuKind(48, (8, 6), 155, 38.7, r"\bRTX A6000\b"),
    "RTX-3090": GpuKind(24, (8, 6), 71, 35.6, r"\bRTX 3090\b"),
    "RTX-4090": GpuKind(24, (8, 9), 165, 82.6, r"\bRTX 4090\b"),
    "RTX-6000-Ada": GpuKind(48, (8, 9), 364, 91.1, r"\bRTX 6000 Ada\b"),
    "L4": GpuKind(22.5, (8, 9), 121, 30.3, r"\bL4\b"),
    "L40": GpuKind(45, (8, 9), 181, 90.5, r"\bL40\b"),
    "L40S": GpuKind(45, (8, 9), 362, 91.6, r"\bL40S\b"),
    "H100-80GB": GpuKind(79.6, (9, 0), 989, 67, r"\bH100\b(?! PCIe| NVL)"),
    "H100-PCIe": GpuKind(79.6, (9, 0), 756, 51, r"\bH100 PCIe\b"),
    "H100-NVL": GpuKind(93.6, (9, 0), 835, 60, r"\bH100 NVL\b"),
    "H200": GpuKind(140.4, (9, 0), 989, 67, r"\bH200\b"),
    "GH200": GpuKind(95.6, (9, 0), 989, 67, r"\bGH200\b"),
    "B200": GpuKind(179, (10, 0), 2250, 75, r"\bB200\b"),
    "GB200": GpuKind(185, (10, 0), 2500, 80, r"\bGB200\b"),
    "RTX-5090": GpuKind(31.8, (12, 0), 209, 104.8, r"\bRTX 5090\b"),
}


@dataclass(frozen=True)
class Gpu:
    """One GPU, seen or planned for.

    Attributes
    ----------
    name : str
        As its driver calls it; of one that is planned for, its key in `GPUS`.
    memory_gib : float, optional
        None where neither the driver nor `GPUS` tells.
    capability : (int, int), optional
        CUDA compute capability, likewise.
    driver : str
        Version of the driver; empty of one that is planned for.
    free_gib : float, optional
        Memory that was free when the driver was asked.
    """

    name: str
    memory_gib: float | None
    capability: tuple[int, int] | None
    driver: str = ""
    free_gib: float | None = None

    @property
    def kind(self) -> GpuKind | None:
        """Its row of `GPUS`; where names of several fit, the one nearest in memory."""
        if self.name in GPUS:
            return GPUS[self.name]
        return _kind_of(self.name, self.memory_gib)

    @property
    def shown_capability(self) -> str:
        """Such as 9.0."""
        return ".".join(map(str, self.capability)) if self.capability else "unknown"


def gpus() -> list[Gpu]:
    """The GPUs that nvidia-smi shows and `CUDA_VISIBLE_DEVICES` leaves; empty without a driver.

    Of a GPU that is divided (MIG), the whole is told.
    """
    program = shutil.which("nvidia-smi")
    return _visible(_query(program), os.environ.get("CUDA_VISIBLE_DEVICES")) if program else []


def planned_gpus(parallel: ParallelConfig) -> list[Gpu]:
    """The GPUs of one machine that the run is planned for: those of `parallel.gpu`, else those seen here.

    Raises
    ------
    InputError
        `parallel.gpu` is no key of `GPUS`.
    """
    if parallel.gpu is None:
        return gpus()
    kind = GPUS.get(parallel.gpu)
    if kind is None:
        raise InputError(f"parallel.gpu={parallel.gpu} is not known: use one of {', '.join(GPUS)}")
    return [Gpu(parallel.gpu, kind.memory_gib, kind.capability)] * parallel.devices


@lru_cache
def _query(program: str) -> tuple[Gpu, ...]:
    """What nvidia-smi says; asked once a process, since it takes seconds where no daemon keeps the driver loaded."""
    # Drivers before 2022 do not know compute_cap, and refuse the whole question.
    for fields in (_FIELDS, _FIELDS[:-1]):
        command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(  # noqa: S603 the program is nvidia-smi, the arguments are ours
                command, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
            return ()
        if done.returncode == 0:
            found = [_read_row(row, len(fields)) for row in done.stdout.splitlines()]
            return tuple(gpu for gpu in found if gpu is not None)
    return ()


def _read_row(row: str, fields: int) -> Gpu | None:
    """One line of nvidia-smi; None where it is something else. What is not a number there is unknown."""
    values = [value.strip() for value in row.split(",")]
    if len(values) != fields or not values[0]:
        return None
    name, total, free, driver = values[:4]
    memory, capability = _gib(total), _capability(values[4] if fields > 4 else "")
    kind = _kind_of(name, memory)
    if kind:
        memory, capability = memory or kind.memory_gib, capability or kind.capability
    return Gpu(name, memory, capability, driver, _gib(free))


def _gib(mebibytes: str) -> float | None:
    return float(mebibytes) / 1024 if re.fullmatch(r"\d+(\.\d+)?", mebibytes) else None


def _capability(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _kind_of(name: str, memory_gib: float | None) -> GpuKind | None:
    kinds = [kind for kind in GPUS.values() if re.search(kind.mark, name)]
    if memory_gib is None:
        return kinds[0] if kinds else None
    return min(kinds, key=lambda kind: abs(kind.memory_gib - memory_gib), default=None)


def _visible(seen: Sequence[Gpu], wanted: str | None) -> list[Gpu]:
    """Those that `CUDA_VISIBLE_DEVICES` names. CUDA stops reading at the first number that does not exist."""
    if wanted is None:
        return list(seen)
    chosen: list[Gpu] = []
    for name in wanted.split(","):
        number = name.strip()
        if number.isdecimal() and int(number) < len(seen):
            chosen.append(seen[int(number)])
        elif number.startswith(("GPU-", "MIG-")) and len(chosen) < len(seen):
            chosen.append(seen[len(chosen)])
        else:
            break
    return chosen


# ---------------------------------------------------------------- memory and disk


@dataclass(frozen=True)
class HostMemory:
    """Main memory that this process may use, in GiB."""

    total_gib: float
    available_gib: float


def host_memory(meminfo: Path = Path("/proc/meminfo"), limits: Sequence[Path] | None = None) -> HostMemory | None:
    """Main memory, and no more than what a container may use; None where the system does not tell."""
    try:
        rows = dict(re.findall(r"^(\w+):\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE))
        total, available = (int(rows[key]) / 2**20 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError):
        return None
    limit = min(_limits_gib(_CGROUP_LIMITS if limits is None else limits), default=total)
    return HostMemory(min(total, limit), min(available, limit))


_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def _limits_gib(paths: Sequence[Path]) -> list[float]:
    texts = [path.read_text().strip() for path in paths if path.is_file()]
    return [int(text) / GIB for text in texts if text.isdecimal()]


def free_disk_gib(folder: Path) -> float:
    """Free space where a folder is, or would be made."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free / GIB


def shared_memory_gib(folder: Path = Path("/dev/shm")) -> float | None:  # noqa: S108 it is looked at, not written to
    """Size of the shared memory that data loaders hand batches over in; None where there is none."""
    return shutil.disk_usage(folder).total / GIB if folder.is_dir() else None
