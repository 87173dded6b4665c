import subprocess
from pathlib import Path

import pytest

from workflow.launch.shell import as_typed, is_secret, shows_secret, write_commands


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "NGC_API_KEY", "wandb_api_key", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "TOKENS", "KEY_1", "TOKEN2"],
)
def test_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "KEYBOARD", "PATH", "PYTHONHASHSEED", "NCCL_DEBUG"])
def test_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_login_in_the_value_of_a_variable() -> None:
    assert is_secret("HTTPS_PROXY", "http://me:pass@proxy:3128")
    assert not is_secret("HTTPS_PROXY", "http://proxy:3128")
    assert as_typed(["ls"], {"HTTPS_PROXY": "http://me:pass@proxy:3128"}) == 'HTTPS_PROXY="$HTTPS_PROXY" ls'


@pytest.mark.parametrize("text", ["export HF_TOKEN=x", "{A: 1, HF_TOKEN: x}", "HF_TOKEN = 'x'", "git://me:x@host"])
def test_text_that_shows_a_secret(text: str) -> None:
    assert shows_secret(text)


@pytest.mark.parametrize("text", ["export HF_TOKEN=$MINE", 'HF_TOKEN="$(cat f)"', "HF_TOKEN=", "{tokens: 5}", "A=1"])
def test_text_that_shows_none(text: str) -> None:
    assert not shows_secret(text)


def test_line_is_quoted_as_needed() -> None:
    line = as_typed(
        ["train_evo2", "--prompt", "it's A&C", "--seq-length", "8192"], {"A": "1", "B": "x y"}, Path("/a b")
    )
    assert line == "(cd '/a b' && A=1 B='x y' train_evo2 --prompt 'it'\"'\"'s A&C' --seq-length 8192)"


def test_plain_line() -> None:
    assert as_typed(["ls", "-l"]) == "ls -l"


def test_secret_is_taken_from_the_shell() -> None:
    line = as_typed(["sh", "-c", "echo $HF_TOKEN"], {"HF_TOKEN": "hidden"})
    assert line == "HF_TOKEN=\"$HF_TOKEN\" sh -c 'echo $HF_TOKEN'"
    ran = subprocess.run(
        ["bash", "-c", line], env={"HF_TOKEN": "given", "PATH": "/bin"}, capture_output=True, text=True
    )
    assert ran.stdout == "given\n"


def test_script_runs(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    script = tmp_path / "commands.sh"
    write_commands(
        script,
        [
            "# convert: say where",
            as_typed(["sh", "-c", 'echo "$GREETING from $(pwd)"'], {"GREETING": "it's 1 & 2"}, folder),
            as_typed(["pwd"]),
        ],
    )
    ran = subprocess.run([script], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"it's 1 & 2 from {folder}\n{tmp_path}\n"


def test_script_stops_at_the_first_failure(tmp_path: Path) -> None:
    script = tmp_path / "commands.sh"
    write_commands(script, ["echo one", as_typed(["false"], folder=tmp_path), "echo two"])
    ran = subprocess.run([script], capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stdout == "one\n"


def test_script_is_replaced(tmp_path: Path) -> None:
    script = tmp_path / "commands.sh"
    write_commands(script, ["echo one"])
    write_commands(script, ["echo two"])
    assert script.read_text() == "#!/usr/bin/env bash\nset -euo pipefail\necho two\n"
    assert [path.name for path in tmp_path.iterdir()] == ["commands.sh"]
