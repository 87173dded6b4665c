"""The command that checks the flags of NVIDIA's tools before it starts them, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_tools import install, write_program
from workflow import tools
from workflow.backends.contracts import load_contract

ROOT = Path(__file__).parent.parent
NEMO2 = load_contract("nemo2", "2.7.1")
MBRIDGE = load_contract("mbridge", "2026.05")
PREDICT = ("predict_evo2", "--fasta", "a b.fa", "--ckpt-dir", "c")
NOT_HERE = (
    "error: NVIDIA's Evo2 tools are not on PATH: run inside their container (docker/README.md), or give "
    "--backend nemo2 or --backend mbridge to see what they take\n"
)


@pytest.fixture(autouse=True)
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def run_command(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if folder is not None:
        environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    line = [sys.executable, "-m", "workflow.tools", *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)


def test_a_tool_takes_the_place_of_the_command(tmp_path: Path) -> None:
    folder = install(NEMO2, tmp_path / "bin")
    done = run_command(*PREDICT, "--prepend-bos", folder=folder)
    assert done.returncode == 7
    assert done.stdout == "predict_evo2|--fasta|a b.fa|--ckpt-dir|c|--prepend-bos|"
    assert done.stderr == ""


def test_a_flag_that_the_installed_version_lacks_starts_nothing(tmp_path: Path) -> None:
    folder = install(load_contract("nemo2", "2.7"), tmp_path / "bin")
    done = run_command(*PREDICT, "--lora-checkpoint-path", "x", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: predict_evo2 of nemo2 2.7: --lora-checkpoint-path is not a flag of this version "
        "(2.7.1 and main-2026.03 have it)\n"
    )


def test_torchrun_starts_those_of_mbridge(tmp_path: Path) -> None:
    folder = install(MBRIDGE, tmp_path / "bin")
    write_program(folder / "torchrun", "#!/bin/sh\nprintf '%s|' \"$@\"\nexit 5\n")
    done = run_command("--processes", "4", *PREDICT, folder=folder)
    assert done.returncode == 5
    tool = folder / "predict_evo2"
    assert done.stdout == f"--nproc-per-node|4|--no-python|{tool}|--fasta|a b.fa|--ckpt-dir|c|"


def test_torchrun_that_is_not_there(tmp_path: Path) -> None:
    done = run_command(*PREDICT, folder=install(MBRIDGE, tmp_path / "bin"))
    assert done.returncode == 2
    assert done.stderr == "error: torchrun is not on PATH: install PyTorch where the tools are\n"


def test_not_installed() -> None:
    done = run_command("--backend", "nemo2", *PREDICT)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: predict_evo2 is not on PATH: run inside their container (docker/README.md), or give --dry-run to see "
        "the command alone"
    )


@pytest.mark.parametrize("arguments", [(), PREDICT, ("splice_evo2", "--help")])
def test_not_installed_and_no_toolchain_named(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(arguments) == 2
    assert capsys.readouterr() == ("", NOT_HERE)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--backend", "nemo2", *PREDICT), "predict_evo2 --fasta 'a b.fa' --ckpt-dir c\n"),
        (
            ("--backend", "mbridge", *PREDICT),
            "torchrun --nproc-per-node 1 --no-python predict_evo2 --fasta 'a b.fa' --ckpt-dir c\n",
        ),
        (("evo2_mamba_remove_optimizer", "--model-path=m", "--output-dir", "o"), None),
    ],
)
def test_dry_run_prints_the_line(
    arguments: tuple[str, ...], line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tools.main(["--dry-run", *arguments]) == 0
    assert capsys.readouterr().out == (line or "evo2_mamba_remove_optimizer --model-path=m --output-dir o\n")


def test_dry_run_of_a_named_version_asks_no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(install(NEMO2, tmp_path) / "train_evo2", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert tools.main(["--dry-run", "--backend", "nemo2", "--version", "2.7", *PREDICT]) == 0
    assert tools.main(["--dry-run", "--backend", "nemo2", *PREDICT]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--version", "2.4.1.9.9", "--backend", "mbridge", *PREDICT),
            "error: the flags of mbridge 2.4.1.9.9 are not known: use one of 2026.05\n",
        ),
        (
            ("--backend", "nemo2", "--processes", "2", *PREDICT),
            "error: --processes is for mbridge: predict_evo2 of nemo2 2.7.1 starts its own processes (--devices)\n",
        ),
        (("--backend", "mbridge", "--processes", "0", *PREDICT), "error: --processes 0 must be positive\n"),
        (
            ("--backend", "nemo2", "predict_evo2"),
            "error: predict_evo2 of nemo2 2.7.1: the following arguments are required: --fasta, --ckpt-dir\n",
        ),
        (
            ("--backend", "nemo2", "preprocess_evo2", "-c", "/does/not/exist.yaml"),
            "error: /does/not/exist.yaml is not a YAML file that can be read: [Errno 2] No such file or directory: "
            "'/does/not/exist.yaml'\n",
        ),
    ],
)
def test_refusals(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["--dry-run", *arguments]) == 2
    assert capsys.readouterr().err.splitlines(keepends=True)[-1] == message


def test_flags_and_keys_that_do_nothing_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["--dry-run", "--backend", "mbridge", *PREDICT, "--devices=2"]) == 0
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == "WARNING predict_evo2 of mbridge 2026.05 accepts --devices and does nothing with it"
    assert tools.main(["--dry-run", "--backend", "mbridge", *PREDICT, "--mask-phy"]) == 0
    assert "accepts --mask-phylogenetic-tags and does nothing" in capsys.readouterr().err.splitlines()[-1]
    config = tmp_path / "c.yaml"
    config.write_text("- {datapaths: [a.fa], subsample: 1}\n- {seed: 1, hf_tokenizer_model_path: x}\n")
    arguments = ["--dry-run", "--backend", "nemo2", "preprocess_evo2", "--config", str(config)]
    assert tools.main(arguments) == 0
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"WARNING preprocess_evo2 of nemo2 2.7.1 passes over the key {key} of {config}: it knows none such"
        for key in ("hf_tokenizer_model_path", "subsample")
    ]


def test_a_configuration_that_is_no_list_of_mappings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("- 1\n")
    assert tools.main(["--dry-run", "--backend", "nemo2", "preprocess_evo2", "--config", str(config)]) == 2
    assert f"error: {config} must be a YAML list of mappings, one for each data set\n" in capsys.readouterr().err


def test_lists_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = install(NEMO2, tmp_path / "bin")
    (folder / "splice_evo2").unlink()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert tools.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nemo2 2.7.1: installed"
    assert [line.split()[0] for line in lines[1:]] == list(NEMO2.tools)
    assert lines[-1].split() == ["train_evo2", str(folder / "train_evo2")]
    assert any(line.split() == ["splice_evo2", "not", "on", "PATH"] for line in lines)


def test_lists_what_would_be_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["--backend", "mbridge"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("mbridge 2026.05: not installed here\n")
    assert output.count("not on PATH") == len(MBRIDGE.tools)


def test_flags_of_a_tool_with_their_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["--backend", "nemo2", "--version", "2.7.1", "train_evo2", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train_evo2 of nemo2 2.7.1"
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert rows["--lora-dim"] == ["--lora-dim", "int", "2.7.1,", "main-2026.03"]
    assert rows["--seq-length"] == ["--seq-length", "int", "8192", "all"]
    assert rows["--fp8"] == ["--fp8", "switch", "all"]
    assert rows["--nsys-ranks"] == ["--nsys-ranks", "int", "…", "0", "all"]
    assert rows["--ckpt-format"] == ["--ckpt-format", "str", "torch_dist", "all", "torch_dist,", "zarr"]
    assert any("--seq-len-interpolation-factor (never read)" in line for line in lines)
    assert lines[-2:] == [
        "  exactly one of --dataset-config, --mock-data, --fasta-data, --sharded-eden-data",
        "  at most one of --no-activation-checkpointing, --selective-activation-checkpointing",
    ]


def test_neither_torch_nor_the_stages_are_imported() -> None:
    code = "import sys, workflow.tools; print([name for name in ('torch', 'workflow.stages') if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
