from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from workflow import doctor
from workflow.backends.contracts import load_contract
from workflow.doctor import Finding, Request, diagnose, look_at_environment, main
from workflow.preflight import hardware

ROOT = Path(__file__).parent.parent
SECTIONS = ["python", "tools", "GPU", "machine", "environment", "patches", "weights", "containers"]
HOPPER = "NVIDIA H100 80GB HBM3, 81559, 81000, 550.54.15, 9.0"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without GPU, tools and containers; its folder of programs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    hardware._query.cache_clear()
    return programs


def install(programs: Path, name: str, text: str = "") -> None:
    """A program that prints a text."""
    (programs / f"{name}.txt").write_text(text)
    program = programs / name
    program.write_text(f'#!/bin/sh\nexec /bin/cat "{programs / name}.txt"\n')
    program.chmod(0o755)


def install_tools(programs: Path, toolchain: str, version: str) -> None:
    """Stand-ins of a version's tools, that know `--help` only."""
    contract = load_contract(toolchain, version)
    for name in contract.tools:
        install(programs, name, contract.parser(name).format_help())


def of_section(section: str, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.section == section]


def states(section: str, request: Request | None = None) -> list[str]:
    return [finding.state for finding in of_section(section, diagnose(request or Request()))]


def test_laptop_without_gpu_and_container(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")][:-1] == SECTIONS
    assert lines[-1].startswith("0 broken, ")
    told = "\n".join(lines)
    assert "warning  no GPU is seen (there is no nvidia-smi) -> " in told
    assert "warning  no tools of NVIDIA are on the path -> work inside the container" in told
    assert "ok       tiny: " in told


@pytest.mark.parametrize("backend", ["nemo2", "mbridge"])
def test_what_a_backend_needs_is_broken_without(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--backend", backend]) == 1
    told = capsys.readouterr().out
    assert "  broken   no GPU is seen" in told and f"  broken   no tools of {backend} are on the path" in told
    assert ("  broken   mbridge needs a tokenizer" in told) == (backend == "mbridge")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--backend", "nemo2"]) == 1
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["broken"] == 2 == sum(finding["state"] == "broken" for finding in told["findings"])
    assert told["ok"] + told["warning"] + told["broken"] == len(told["findings"])
    assert all(finding["remedy"] for finding in told["findings"] if finding["state"] != "ok")
    assert {finding["section"] for finding in told["findings"]} <= {*SECTIONS, "tokenizer"}


def test_command_is_quick_and_needs_no_torch(tmp_path: Path) -> None:
    started = time.monotonic()
    command = [sys.executable, "-X", "importtime", "-m", "workflow.doctor", "--runs-folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not any(line.endswith(" torch") for line in done.stderr.splitlines())
    assert time.monotonic() - started < 20


def test_unknown_backend_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--backend", "jax"])
    assert caught.value.code == 2


# ---------------------------------------------------------------- packages


def test_versions_and_bounds() -> None:
    assert doctor._fits("2.13.0+cpu", ">=2.4") and doctor._fits("1.3.2", ">=1.3.2,<1.4") and doctor._fits("4.9.4", "")
    assert not doctor._fits("1.4", ">=1.3.2,<1.4") and not doctor._fits("2.3.1", ">=2.4")
    assert doctor._fits("2.8.0a0+34c6371d24.nv25.08", ">=2.4") and doctor._fits("0.16.1", "==0.16.1")


def test_missing_package_ends_the_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"pandas": None, "numpy": "1.20"}
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, real(name)))
    findings = diagnose(Request())
    assert {finding.section for finding in findings} == {"python"}
    broken = [(finding.text, finding.remedy) for finding in findings if finding.state == "broken"]
    assert broken == [("numpy 1.20 is not >=1.26", "pip install -e ."), ("pandas is not installed", "pip install -e .")]


@pytest.mark.parametrize(("backend", "state"), [(None, "warning"), ("nemo2", "warning"), ("local", "broken")])
def test_the_engine_is_needed_by_the_local_backend(
    backend: str | None, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "peft" else real(name))
    findings = diagnose(Request(backend=backend))
    (finding,) = [finding for finding in findings if finding.text == "peft is not installed"]
    assert (finding.state, finding.remedy) == (state, "pip install -e '.[local]'")
    assert "containers" in {finding.section for finding in findings}


def test_build_of_torch_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(doctor, "find_spec", lambda name: Spec)
    (tmp_path / "version.py").write_text("__version__ = '2.7.0'\ncuda: Optional[str] = '12.8'\nhip = None\n")
    assert doctor.torch_build() == "CUDA 12.8"
    (tmp_path / "version.py").write_text("cuda: Optional[str] = None\n")
    assert doctor.torch_build() == "the CPU"
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert doctor.torch_build() is None


# ---------------------------------------------------------------- tools and GPUs


@pytest.mark.parametrize(("toolchain", "version"), [("nemo2", "2.7.1"), ("mbridge", "2026.05")])
def test_tools_that_keep_their_contract(toolchain: str, version: str, machine: Path) -> None:
    install_tools(machine, toolchain, version)
    findings = of_section("tools", diagnose(Request(backend=toolchain)))
    assert findings[0].text.startswith(f"{toolchain} {version}, ")
    assert [finding.state for finding in findings] == ["ok", "ok"]
    told = findings[1].text.removeprefix("flags as expected: ").split(", ")
    assert sorted(told) == sorted(load_contract(toolchain, version).tools)


def test_tools_that_do_not(machine: Path) -> None:
    install_tools(machine, "nemo2", "2.7.1")
    parser = load_contract("nemo2", "2.7.1").parser("train_evo2")
    parser.add_argument("--flag-of-tomorrow")
    install(machine, "train_evo2", parser.format_help())
    text = load_contract("nemo2", "2.7.1").parser("predict_evo2").format_help()
    install(machine, "predict_evo2", text.replace("--prepend-bos", "--prepend-nothing"))
    (machine / "splice_evo2").unlink()
    findings = of_section("tools", diagnose(Request(backend="nemo2")))
    by_state = {
        state: [finding.text for finding in findings if finding.state == state] for state in ("warning", "broken")
    }
    assert by_state["warning"] == [
        "train_evo2 of nemo2 2.7.1: with the unknown --flag-of-tomorrow",
        "not on the path: splice_evo2",
    ]
    assert by_state["broken"] == [
        "predict_evo2 of nemo2 2.7.1: without --prepend-bos, with the unknown --prepend-nothing"
    ]


def test_tool_that_tells_no_version_is_looked_at_too(machine: Path) -> None:
    install_tools(machine, "nemo2", "2.7.1")
    text = load_contract("nemo2", "2.7.1").parser("evo2_convert_to_nemo2").format_help()
    install(machine, "evo2_convert_to_nemo2", text.replace("--model-size", "--size-of-model"))
    (finding,) = (f for f in of_section("tools", diagnose(Request(backend="nemo2"))) if f.state == "broken")
    assert "evo2_convert_to_nemo2 of nemo2 2.7.1: without --model-size" in finding.text


def test_both_toolchains_at_once(machine: Path) -> None:
    install_tools(machine, "nemo2", "2.7.1")
    install_tools(machine, "mbridge", "2026.05")
    (finding,) = of_section("tools", diagnose(Request()))
    assert finding.state == "warning" and "both installed" in finding.text


def test_tool_that_does_not_start(machine: Path) -> None:
    install_tools(machine, "nemo2", "2.7.1")
    (machine / "train_evo2").write_text("#!/bin/sh\necho 'libcuda.so.1: cannot open' >&2\nexit 1\n")
    (finding,) = of_section("tools", diagnose(Request(backend="nemo2")))
    assert finding.state == "broken" and "libcuda.so.1: cannot open" in finding.text
    assert finding.remedy.startswith("start that program by hand")
    (finding,) = of_section("tools", diagnose(Request()))
    assert finding.state == "broken"


def test_remedies_are_those_of_the_backend(machine: Path) -> None:
    """NVIDIA's tools do not run on a CPU, and fetch the weights themselves."""
    (gpu,) = of_section("GPU", diagnose(Request(backend="nemo2")))
    assert gpu.remedy == "start the container with --gpus all; NVIDIA's tools need one"
    (gpu,) = of_section("GPU", diagnose(Request(backend="local")))
    assert gpu.remedy.endswith("or use backend.device=cpu")
    told = {
        backend: [finding.state for finding in of_section("weights", diagnose(Request(backend=backend)))]
        for backend in ("local", "nemo2")
    }
    assert "warning" in told["local"] and "warning" not in told["nemo2"]


@pytest.mark.parametrize(
    ("row", "state", "told"),
    [
        (HOPPER, "ok", "NVIDIA H100 80GB HBM3: 79.6 GiB (79.1 free), compute capability 9.0, FP8, driver 550.54.15"),
        ("NVIDIA L4, 23034, 22900, 550, 8.9", "ok", "compute capability 8.9, FP8, driver 550"),
        ("NVIDIA A100-SXM4-40GB, 40960, 40000, 550, 8.0", "ok", "compute capability 8.0, bfloat16, no FP8, driver 550"),
        ("NVIDIA A100-SXM4-40GB, 40960, 4000, 550, 8.0", "warning", "40.0 GiB (3.9 free)"),
        ("Tesla T4, 15360, 15000, 550, 7.5", "broken", "compute capability 7.5, no bfloat16, driver 550"),
    ],
)
def test_gpus(row: str, state: str, told: str, machine: Path) -> None:
    install(machine, "nvidia-smi", row)
    finding, *_ = of_section("GPU", diagnose(Request(backend="nemo2")))
    assert finding.state == state and told in finding.text
    assert bool(finding.remedy) == (state != "ok")


def test_torch_for_the_cpu_beside_a_gpu(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, "nvidia-smi", f"{HOPPER}\n{HOPPER}")
    monkeypatch.setattr(doctor, "torch_build", lambda: "the CPU")
    assert states("GPU") == ["ok", "ok", "warning"]
    monkeypatch.setattr(doctor, "torch_build", lambda: "CUDA 12.8")
    assert states("GPU") == ["ok", "ok"]


def test_driver_that_shows_no_gpu(machine: Path) -> None:
    install(machine, "nvidia-smi", "No devices were found")
    (finding,) = of_section("GPU", diagnose(Request()))
    assert (finding.state, finding.text) == ("warning", "no GPU is seen")


# ---------------------------------------------------------------- machine


def test_memory_and_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "host_memory", lambda: hardware.HostMemory(64.0, 32.0))
    monkeypatch.setattr(hardware, "shared_memory_gib", lambda: 16.0)
    monkeypatch.setattr(hardware, "free_disk_gib", lambda folder: 500.0)
    good = of_section("machine", diagnose(Request(runs_folder=tmp_path / "runs")))
    assert [finding.state for finding in good] == ["ok", "ok", "ok"]
    assert good[0].text == "32.0 of 64.0 GiB of main memory are free"
    assert good[2].text == f"500.0 GiB are free for {tmp_path / 'runs'}"
    monkeypatch.setattr(hardware, "host_memory", lambda: hardware.HostMemory(64.0, 2.0))
    monkeypatch.setattr(hardware, "shared_memory_gib", lambda: 0.0625)
    monkeypatch.setattr(hardware, "free_disk_gib", lambda folder: 5.0)
    poor = of_section("machine", diagnose(Request(runs_folder=tmp_path / "runs")))
    assert [finding.state for finding in poor] == ["warning"] * 3
    assert "--shm-size=16g" in poor[1].remedy
    monkeypatch.setattr(hardware, "host_memory", lambda: None)
    monkeypatch.setattr(hardware, "shared_memory_gib", lambda: None)
    assert len(of_section("machine", diagnose(Request()))) == 1


def test_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    finding = of_section("machine", diagnose(Request(runs_folder=tmp_path / "runs")))[-1]
    assert (finding.state, finding.text) == ("broken", f"{tmp_path} cannot be written to")


@pytest.mark.parametrize(
    ("variable", "value", "harm"),
    [
        ("NCCL_P2P_DISABLE", "1", "main memory"),
        ("NCCL_IB_DISABLE", "1", "TCP"),
        ("NCCL_SHM_DISABLE", "1", "network"),
        ("NCCL_SOCKET_IFNAME", "lo", "no other machine"),
        ("NCCL_DEBUG", "info", "thousands of lines"),
        ("NCCL_ALGO", "Tree", "overruled"),
        ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", "hang"),
        ("NCCL_BLOCKING_WAIT", "1", "slow"),
        ("CUDA_LAUNCH_BLOCKING", "1", "waited for"),
        ("CUDA_VISIBLE_DEVICES", "", "hides every GPU"),
        ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1", "any code"),
    ],
)
def test_harmful_settings(variable: str, value: str, harm: str) -> None:
    warned, rest = look_at_environment(Request(), {variable: value, "HOME": "/root"})
    assert warned.state == "warning" and warned.text.startswith(f"{variable}={value}: ") and harm in warned.text
    assert warned.remedy and (rest.state, rest.text) == ("ok", "no other setting of NCCL")


def test_harmless_settings() -> None:
    environment = {"NCCL_P2P_DISABLE": "0", "NCCL_DEBUG": "WARN", "NCCL_SOCKET_IFNAME": "eth0", "PATH": "/bin"}
    (finding,) = look_at_environment(Request(), environment)
    assert finding.state == "ok"
    assert finding.text == "NCCL_DEBUG=WARN NCCL_P2P_DISABLE=0 NCCL_SOCKET_IFNAME=eth0"
    (finding,) = look_at_environment(Request(), {})
    assert (finding.state, finding.text) == ("ok", "no setting of NCCL")


@pytest.mark.parametrize(
    ("state", "expected"),
    [("applied", "ok"), ("not installed", "ok"), ("applicable", "warning"), ("wrong version", "warning")],
)
def test_patches(state: Any, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from workflow import patching

    monkeypatch.setattr(patching, "status", lambda: [patching.PatchStatus("mend", state, "was seen")])
    (finding,) = of_section("patches", diagnose(Request()))
    assert (finding.state, finding.text) == (expected, "mend: was seen")
    assert bool(finding.remedy) == (expected != "ok")


def test_containers(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPTAINER_CONTAINER", "/x.sif")
    assert [finding.text for finding in of_section("containers", diagnose(Request()))] == [
        "inside a container; no engine here"
    ]
    install(machine, "docker")
    install(machine, "apptainer")
    assert of_section("containers", diagnose(Request()))[0].text == "inside a container; docker, apptainer here"


# ---------------------------------------------------------------- tokenizer and weights


def test_tokenizer(tmp_path: Path) -> None:
    folder = tmp_path / "nucleotide_fast_tokenizer_512"
    assert states("tokenizer") == []
    assert states("tokenizer", Request(tokenizer=folder)) == ["broken"]
    folder.mkdir()
    (finding,) = of_section("tokenizer", diagnose(Request(backend="mbridge", tokenizer=folder)))
    assert finding.state == "broken" and finding.text.endswith("holds no tokenizer.json")
    (folder / "tokenizer.json").write_text("{}")
    assert states("tokenizer", Request(backend="mbridge", tokenizer=folder)) == ["ok"]


@pytest.mark.parametrize(
    ("model", "backend", "expected"),
    [
        ("tiny", "local", [("ok", "tiny: "), ("ok", "tiny on backend local in fp32")]),
        (
            "evo2_7b",
            "local",
            [("broken", "evo2_7b: data/checkpoints/evo2_7b.pt does not exist"), ("ok", "evo2_7b on backend local")],
        ),
        (
            "evo2_7b",
            "nemo2",
            [("ok", "evo2_7b: hf://arcinstitute/savanna_evo2_7b, fetched by stage=convert"), ("ok", "evo2_7b on")],
        ),
        (
            "evo2_20b",
            "nemo2",
            [
                ("broken", "evo2_20b has no published weights for nemo2"),
                ("warning", "evo2_20b on backend nemo2 in bf16, while these weights need FP8"),
            ],
        ),
        ("evo3", None, [("broken", "there is no model=evo3")]),
    ],
)
def test_weights_of_a_model(
    model: str, backend: str | None, expected: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_ROOT", small_project(tmp_path))
    monkeypatch.chdir(tmp_path)
    findings = of_section("weights", diagnose(Request(backend=backend, model=model)))
    assert [
        (finding.state, finding.text.startswith(text)) for finding, (_, text) in zip(findings, expected, strict=True)
    ] == [(state, True) for state, _ in expected]


def small_project(folder: Path) -> Path:
    """The files of this project that are read, without weights but for the tiny model's."""
    project = folder / "project"
    (project / "data" / "tiny").mkdir(parents=True)
    (project / "data" / "tiny" / "model.safetensors").write_bytes(b"weights")
    shutil.copytree(ROOT / "configs" / "model", project / "configs" / "model")
    shutil.copy(ROOT / "pyproject.toml", project)
    return project


def test_weights_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = small_project(tmp_path)
    monkeypatch.setattr(doctor, "_ROOT", project)
    monkeypatch.chdir(tmp_path)
    tiny, none = of_section("weights", diagnose(Request()))
    assert (tiny.state, none.state) == ("ok", "warning") and "none of the published weights are here" in none.text
    checkpoints = project / "data" / "checkpoints"
    checkpoints.mkdir()
    for part in (0, 1):
        with (checkpoints / f"evo2_40b.pt.part{part}").open("wb") as file:
            file.truncate(2**30)
    (checkpoints / "evo2_7b.pt").mkdir()
    (checkpoints / "evo2_7b.pt" / "shard").write_bytes(b"weights")
    told = {finding.text.partition(":")[0]: finding.text for finding in of_section("weights", diagnose(Request()))}
    assert set(told) == {"tiny", "evo2_40b", "evo2_7b"}
    assert told["evo2_40b"].endswith("evo2_40b.pt.part0, 2.00 GiB") and told["evo2_7b"].endswith("0.00 GiB")
