"""What is installed here, and what would fail: `python -m workflow.doctor [--backend nemo2] [--model NAME] [--json]`.

Each line is ok, a warning or broken, with what to do about it. Without a GPU or NVIDIA's tools these are warnings,
unless the backend that needs them is asked for. The exit code is 1 where something is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workflow.console import say
from workflow.errors import InputError, ToolError

if TYPE_CHECKING:
    from workflow.preflight.hardware import Gpu

# Everything else is imported where it is used: packages may be missing, and this is what tells of it.

State = Literal["ok", "warning", "broken"]
_ROOT = Path(__file__).resolve().parent.parent
_INSTALL = "pip install -e ."
_TOOLCHAINS = ("nemo2", "mbridge")
#: Packages of NVIDIA's stack whose versions change results or formats.
_STACK = ("nemo-toolkit", "megatron-core", "megatron-bridge", "transformer-engine", "bionemo-evo2", "flash-attn")
#: Settings of the environment that do harm: variable, pattern of the value, what it does, remedy.
_HARMFUL = (
    ("NCCL_P2P_DISABLE", "1", "GPUs talk through main memory, several times slower", "unset it"),
    ("NCCL_SHM_DISABLE", "1", "GPUs of one machine talk through the network", "unset it"),
    ("NCCL_IB_DISABLE", "1", "machines talk through TCP, not InfiniBand", "unset it where there is InfiniBand"),
    ("NCCL_SOCKET_IFNAME", "lo.*", "no other machine can be reached", "name the network's interface, or unset it"),
    ("NCCL_DEBUG", "INFO|TRACE", "thousands of lines in the log", "set NCCL_DEBUG=WARN"),
    ("NCCL_ALGO|NCCL_PROTO", ".*", "NCCL's own choice is overruled, and may be refused", "unset it"),
    ("(TORCH_)?NCCL_ASYNC_ERROR_HANDLING", "0", "a failed rank makes the others hang for ever", "unset it"),
    ("(TORCH_)?NCCL_BLOCKING_WAIT", "1", "slow, and time-outs are other than expected", "unset it"),
    ("CUDA_LAUNCH_BLOCKING", "1", "every kernel is waited for", "unset it but for a search for a fault"),
    ("CUDA_VISIBLE_DEVICES", "|-1", "it hides every GPU", "unset it"),
    ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1|true", "a checkpoint may run any code when it is loaded", "unset it"),
)
_RUNTIMES = ("APPTAINER", "SINGULARITY")
_COMMUNICATION = re.compile(r"(TORCH_)?NCCL_\w+")
_LEAST_SHARED_GIB, _LEAST_MEMORY_GIB, _LEAST_DISK_GIB = 1.0, 8.0, 20.0
_FREE_GPU = 0.9


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Attributes
    ----------
    section : str
        What it is about.
    state : str
        `ok`, `warning` or `broken`.
    text : str
        What was seen.
    remedy : str
        What to do; empty where all is well.
    """

    section: str
    state: State
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Request:
    """What the diagnosis is for: a backend and a model, or nothing in particular."""

    backend: str | None = None
    model: str | None = None
    tokenizer: Path | None = None
    runs_folder: Path = Path("runs")

    @property
    def needs_tools(self) -> bool:
        """Whether a backend of NVIDIA's tools is asked for."""
        return self.backend in _TOOLCHAINS

    def missing(self) -> State:
        """How bad it is that something is missing which NVIDIA's tools need."""
        return "broken" if self.needs_tools else "warning"


def main(arguments: Sequence[str] | None = None) -> int:
    """Look, and tell. Returns the exit code: 1 where something is broken."""
    parser = argparse.ArgumentParser(prog="python -m workflow.doctor", description="What would fail on this machine.")
    parser.add_argument("--backend", choices=("local", *_TOOLCHAINS), help="judge by what this backend needs")
    parser.add_argument("--model", help="a name of configs/model: are its weights here, and are they good here?")
    parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer that mbridge must be given")
    parser.add_argument("--runs-folder", type=Path, default=Path("runs"), help="where runs are written")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    findings = diagnose(Request(options.backend, options.model, options.tokenizer, options.runs_folder))
    say(_as_json(findings) if options.json else _as_text(findings))
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def diagnose(request: Request) -> list[Finding]:
    """Every finding, by section. Where packages of this project are missing, nothing else can be looked at."""
    findings = list(look_at_packages(request))
    if any(finding.remedy == _INSTALL for finding in findings):
        return findings
    for look in (
        look_at_tools,
        look_at_gpus,
        look_at_machine,
        look_at_environment,
        look_at_patches,
        look_at_tokenizer,
        look_at_checkpoints,
        look_at_containers,
    ):
        findings += look(request)
    return findings


# ---------------------------------------------------------------- packages


def look_at_packages(request: Request) -> Iterator[Finding]:
    """Python, the packages that this project names, the build of torch, and NVIDIA's stack."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = ".".join(map(str, sys.version_info[:3]))
    good = _fits(python, project["requires-python"])
    yield Finding("python", "ok" if good else "broken", f"Python {python}", "" if good else "use Python 3.11 to 3.13")
    optional = project["optional-dependencies"]["local"]
    needs_engine = request.backend == "local"
    found = [
        *_requirements(project["dependencies"], "broken", _INSTALL),
        *_requirements(optional, "broken" if needs_engine else "warning", "pip install -e '.[local]'"),
    ]
    if good_ones := [finding.text for finding in found if finding.state == "ok"]:
        yield Finding("python", "ok", ", ".join(good_ones))
    yield from (finding for finding in found if finding.state != "ok")
    if build := torch_build():
        yield Finding("python", "ok", f"torch is built for {build}")
    if stack := [f"{name} {there}" for name in _STACK if (there := _version(name))]:
        yield Finding("python", "ok", ", ".join(stack))


def _requirements(wanted: Iterable[str], missing: State, remedy: str) -> Iterator[Finding]:
    for requirement in wanted:
        match = re.match(r"([\w.-]+)\s*(.*)", requirement)
        assert match, requirement
        name, bounds = match.groups()
        there = _version(name)
        if there is None:
            yield Finding("python", missing, f"{name} is not installed", remedy)
        elif not _fits(there, bounds):
            yield Finding("python", missing, f"{name} {there} is not {bounds}", remedy)
        else:
            yield Finding("python", "ok", f"{name} {there}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _fits(there: str, bounds: str) -> bool:
    """Whether a version keeps bounds such as `>=3.11,<3.14`."""
    for sign, bound in re.findall(r"(>=|<|==)\s*([\w.]+)", bounds):
        numbers, limit = _numbers(there), _numbers(bound)
        if not {">=": numbers >= limit, "<": numbers < limit, "==": numbers == limit}[sign]:
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version; local parts and suffixes left out."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def torch_build() -> str | None:
    """What the installed torch is built for, read without importing it, which takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    source = Path(spec.origin).with_name("version.py")
    match = re.search(r"^cuda\b.*=\s*['\"]([\d.]+)['\"]", source.read_text() if source.exists() else "", re.MULTILINE)
    return f"CUDA {match[1]}" if match else "the CPU"


# ---------------------------------------------------------------- tools and GPUs


def look_at_tools(request: Request) -> Iterator[Finding]:
    """NVIDIA's tools on the path, and their flags against the contract of their version."""
    from workflow.backends.nvidia.toolchain import find_toolchain, user_cache

    toolchain = request.backend if request.needs_tools else None
    try:
        installed = find_toolchain(cache=user_cache(), toolchain=toolchain, every_tool=True)
    except ToolError as error:
        remedy = "start that program by hand; some do not start without a driver"
        yield Finding("tools", "broken", str(error), remedy)
        return
    except InputError as error:
        yield Finding("tools", request.missing(), str(error), "look at them one by one with --backend")
        return
    if installed is None:
        remedy = "work inside the container (docker/README.md), or with backend=local"
        yield Finding("tools", request.missing(), f"no tools of {toolchain or 'NVIDIA'} are on the path", remedy)
        return
    name = f"{installed.toolchain} {installed.version}"
    yield Finding("tools", "ok", f"{name}, {len(installed.tools)} tools")
    if good := [tool for tool, difference in installed.differences.items() if not difference]:
        yield Finding("tools", "ok", f"flags as expected: {', '.join(good)}")
    for tool, difference in installed.differences.items():
        if difference.missing:
            remedy = f"give the version that is installed as backend.version, or do without these flags of {tool}"
            yield Finding("tools", "broken", f"{tool} of {name}: {difference}", remedy)
        elif difference.unknown:
            yield Finding("tools", "warning", f"{tool} of {name}: {difference}", "a newer version: try it with dry_run")
    if absent := sorted(set(installed.contract.tools) - set(installed.tools)):
        yield Finding("tools", "warning", f"not on the path: {', '.join(absent)}", "install the tools again")


def look_at_gpus(request: Request) -> Iterator[Finding]:
    """Each GPU with its memory, compute capability, FP8 and driver."""
    from workflow.preflight.hardware import gpus

    seen = gpus()
    if not seen:
        text = "no GPU is seen" if shutil.which("nvidia-smi") else "no GPU is seen (there is no nvidia-smi)"
        otherwise = "; NVIDIA's tools need one" if request.needs_tools else ", or use backend.device=cpu"
        yield Finding("GPU", request.missing(), text, f"start the container with --gpus all{otherwise}")
        return
    yield from (_judge_gpu(gpu, request) for gpu in seen)
    if torch_build() == "the CPU":
        remedy = "install a build for CUDA (https://pytorch.org/get-started/locally/)"
        yield Finding("GPU", "warning", "torch is built for the CPU: backend=local will not use the GPU", remedy)


def _judge_gpu(gpu: Gpu, request: Request) -> Finding:
    capability = gpu.capability or (0, 0)
    memory = f"{gpu.memory_gib:.1f} GiB" if gpu.memory_gib else "memory unknown"
    free = f" ({gpu.free_gib:.1f} free)" if gpu.free_gib is not None else ""
    arithmetic = "FP8" if capability >= (8, 9) else "bfloat16, no FP8" if capability >= (8, 0) else "no bfloat16"
    text = f"{gpu.name}: {memory}{free}, compute capability {gpu.shown_capability}, {arithmetic}, driver {gpu.driver}"
    if capability < (8, 0):
        return Finding("GPU", request.missing(), text, "NVIDIA's tools need bfloat16: use an Ampere GPU or later")
    if gpu.memory_gib and gpu.free_gib is not None and gpu.free_gib < _FREE_GPU * gpu.memory_gib:
        return Finding("GPU", "warning", text, "see with nvidia-smi which process holds its memory")
    return Finding("GPU", "ok", text)


# ---------------------------------------------------------------- machine


def look_at_machine(request: Request) -> Iterator[Finding]:
    """Main memory, shared memory, and disk where runs are written."""
    from workflow.preflight.hardware import free_disk_gib, host_memory, shared_memory_gib

    if memory := host_memory():
        text = f"{memory.available_gib:.1f} of {memory.total_gib:.1f} GiB of main memory are free"
        yield _enough("machine", memory.available_gib, _LEAST_MEMORY_GIB, text, "end other programs")
    shared = shared_memory_gib()
    if shared is not None:
        remedy = "start the container with --shm-size=16g (launcher.shm_size), which data loaders need"
        yield _enough("machine", shared, _LEAST_SHARED_GIB, f"shared memory is {shared:.1f} GiB", remedy)
    free, folder = free_disk_gib(request.runs_folder), request.runs_folder.absolute()
    yield _enough(
        "machine", free, _LEAST_DISK_GIB, f"{free:.1f} GiB are free for {folder}", "free some, or give runs_folder="
    )
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("machine", "broken", f"{there} cannot be written to", "give another runs_folder=")


def _enough(section: str, amount: float, least: float, text: str, remedy: str) -> Finding:
    return Finding(section, "ok", text) if amount >= least else Finding(section, "warning", text, remedy)


def look_at_environment(request: Request, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Settings of NCCL, and variables that are known to do harm."""
    harmful = {
        name: (harm, remedy)
        for variable, pattern, harm, remedy in _HARMFUL
        for name in environment
        if re.fullmatch(variable, name) and re.fullmatch(pattern, environment[name], re.IGNORECASE)
    }
    for name, (harm, remedy) in harmful.items():
        yield Finding("environment", "warning", f"{name}={environment[name]}: {harm}", remedy)
    settings = [name for name in sorted(environment) if _COMMUNICATION.fullmatch(name) and name not in harmful]
    told = " ".join(f"{name}={environment[name]}" for name in settings)
    yield Finding("environment", "ok", told or "no other setting of NCCL" if harmful or told else "no setting of NCCL")


def look_at_patches(request: Request) -> Iterator[Finding]:
    """Where each patch of `patches/` stands."""
    from workflow.patching import status

    for patch in status():
        good = patch.state in ("applied", "not installed")
        remedy = "" if good else "see python -m workflow.patches check"
        yield Finding("patches", "ok" if good else "warning", f"{patch.name}: {patch.text}", remedy)


def look_at_containers(request: Request) -> Iterator[Finding]:
    """Whether this is a container, and what could start one."""
    inside = Path("/.dockerenv").exists() or any(f"{name}_CONTAINER" in os.environ for name in _RUNTIMES)
    engines = [engine for engine in ("docker", "podman", "apptainer", "singularity") if shutil.which(engine)]
    text = "inside a container" if inside else "not inside a container"
    yield Finding("containers", "ok", f"{text}; {', '.join(engines) or 'no engine'} here")
    if not inside and not engines:
        yield Finding("containers", "warning", "no container can be started here", "install docker or apptainer")


# ---------------------------------------------------------------- tokenizer and weights


def look_at_tokenizer(request: Request) -> Iterator[Finding]:
    """The tokenizer's folder, which the tools of mbridge must be given."""
    folder = request.tokenizer
    remedy = "give the folder nucleotide_fast_tokenizer_512 of the recipe evo2_megatron (backend.tokenizer)"
    if folder is None:
        if request.backend == "mbridge":
            yield Finding("tokenizer", "broken", "mbridge needs a tokenizer, and --tokenizer names none", remedy)
        return
    if not folder.is_dir():
        yield Finding("tokenizer", "broken", f"{folder} is not a folder", remedy)
    elif not (folder / "tokenizer.json").is_file():
        yield Finding("tokenizer", "broken", f"{folder} holds no tokenizer.json", remedy)
    else:
        yield Finding("tokenizer", "ok", f"{folder}")


def look_at_checkpoints(request: Request) -> Iterator[Finding]:
    """The weights of the model that is asked for; or those that are here."""
    import yaml

    models = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((_ROOT / "configs" / "model").glob("*.yaml"))
    }
    if request.model is not None:
        if request.model in models:
            yield from _judge_model(models[request.model], request)
        else:
            yield Finding("weights", "broken", f"there is no model={request.model}", f"use one of {', '.join(models)}")
        return
    here = {name: path for name, model in models.items() if (path := _find_weights(_checkpoint(model, "local")))}
    for name, path in here.items():
        yield Finding("weights", "ok", f"{name}: {path}, {_gib(path):.2f} GiB")
    if here.keys() <= {"tiny"} and not request.needs_tools:  # NVIDIA's tools fetch them
        remedy = "download them as configs/model/*.yaml say, or let NVIDIA's tools fetch them (backend=nemo2)"
        yield Finding("weights", "warning", "none of the published weights are here", remedy)


def _judge_model(model: dict[str, Any], request: Request) -> Iterator[Finding]:
    """Whether the weights are here or can be fetched, and are good at the backend's precision on this GPU."""
    from workflow.config import ModelConfig
    from workflow.preflight.hardware import gpus
    from workflow.preflight.precision import judge

    name, backend = model["name"], request.backend or "local"
    checkpoint = _checkpoint(model, backend)
    if not checkpoint:
        others = ", ".join(model.get("checkpoints", {})) or "local"
        yield Finding("weights", "broken", f"{name} has no published weights for {backend}", f"use backend={others}")
    elif "://" in checkpoint:
        yield Finding("weights", "ok", f"{name}: {checkpoint}, fetched by stage=convert")
    elif path := _find_weights(checkpoint):
        yield Finding("weights", "ok", f"{name}: {path}, {_gib(path):.2f} GiB")
    else:
        yield Finding("weights", "broken", f"{name}: {checkpoint} does not exist", model["source"])
    known = {key: model[key] for key in ("name", "architecture", "context_length", "needs_fp8") if key in model}
    precision = "fp32" if backend == "local" else "bf16"
    seen = gpus() if backend != "local" else []
    verdict = judge(ModelConfig(**known), backend, "predict", precision, seen[0] if seen else None)
    yield Finding("weights", "ok" if verdict.good else "warning", verdict.saw, "" if verdict.good else verdict.why)


def _checkpoint(model: dict[str, Any], backend: str) -> str | None:
    """What a YAML file of a model names for a backend; interpolations are Hydra's affair."""
    plain = str(model.get("checkpoint", ""))
    published: str | None = model.get("checkpoints", {}).get(backend)
    return published or (plain if plain and "${" not in plain else None)


def _find_weights(checkpoint: str | None) -> Path | None:
    """A file, its first part, or a folder; as given, else in this project."""
    if not checkpoint:
        return None
    places = [base / f"{checkpoint}{part}" for base in (Path(), _ROOT) for part in ("", ".part0")]
    return next((place for place in places if place.exists()), None)


def _gib(path: Path) -> float:
    """Size of a file with its parts, or of a folder."""
    files: Iterable[Path] = [path]
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
    elif path.name.endswith(".part0"):
        files = path.parent.glob(f"{path.name.removesuffix('0')}*")
    return sum(file.stat().st_size for file in files) / 2**30


# ---------------------------------------------------------------- output


def _as_json(findings: Sequence[Finding]) -> str:
    told: dict[str, Any] = {"findings": [asdict(finding) for finding in findings], **_counts(findings)}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _as_text(findings: Sequence[Finding]) -> str:
    lines: list[str] = []
    for section, group in groupby(findings, key=lambda finding: finding.section):
        lines.append(section)
        for finding in group:
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            lines.append(f"  {finding.state:<8} {finding.text}{remedy}")
    counts = _counts(findings)
    return "\n".join([*lines, f"{counts['broken']} broken, {counts['warning']} warnings"])


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {state: sum(finding.state == state for finding in findings) for state in ("ok", "warning", "broken")}


if __name__ == "__main__":
    sys.exit(main())
