import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import workflow
from workflow.provenance import command_line, environment, mask_secrets, now


def test_now() -> None:
    told = now()
    assert told.endswith("+00:00")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(told)).total_seconds()) < 5


def test_environment() -> None:
    told = environment()
    assert told["versions"]["workflow"] == workflow.__version__
    assert told["versions"]["python"] == platform.python_version()
    assert told["versions"]["numpy"] == np.__version__
    assert "pandas" in told["versions"]
    assert told["host"]["cores"] == len(os.sched_getaffinity(0))
    assert told["host"]["system"]
    assert told["accelerator"]
    json.dumps(told)


def test_accelerator_is_asked_without_loading_torch() -> None:
    program = (
        "import sys; from workflow.provenance import environment; print(environment()['accelerator'], *sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == "cpu"
    assert "torch" not in said


@pytest.mark.parametrize(
    "key", ["password", "db_password", "PASSWD", "client_secret", "api_key", "apikey", "hub_token", "credentials"]
)
def test_secret_values_are_masked(key: str) -> None:
    assert mask_secrets({"sweep": {key: "hunter2", "user": "ana"}}) == {"sweep": {key: "***", "user": "ana"}}
    assert "hunter" not in json.dumps(mask_secrets({key: ["hunter2", "hunter3"]}))


@pytest.mark.parametrize("value", [12345, {"user": "12345", "key": "12345"}])
def test_secrets_need_not_be_text(value: object) -> None:
    assert "12345" not in json.dumps(mask_secrets({"credentials": value}))


@pytest.mark.parametrize("key", ["batch_tokens", "tokens", "name", "keyboard", "passed"])
def test_what_is_no_secret_is_kept(key: str) -> None:
    assert mask_secrets({key: "16384"}) == {key: "16384"}


def test_unset_password_is_seen_to_be_unset() -> None:
    assert mask_secrets({"password": "", "token": None}) == {"password": "", "token": None}


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://ana:hunter2@db.org:5432/hpo", "postgresql://***@db.org:5432/hpo"),
        ("https://hunter2@host/a.fa.gz", "https://***@host/a.fa.gz"),
        ("copy https://a:hunter2@x/ and ftp://b:hunter2@y/", "copy https://***@x/ and ftp://***@y/"),
        ("postgresql://ana:hun@ter2@db.org/hpo", "postgresql://***@db.org/hpo"),
        ("https://host/user@example.org", "https://host/user@example.org"),
        ("sqlite:///runs/hpo.db", "sqlite:///runs/hpo.db"),
        ("mail ana@example.org", "mail ana@example.org"),
    ],
)
def test_credentials_in_urls_are_masked(url: str, masked: str) -> None:
    assert mask_secrets(url) == masked
    assert mask_secrets({"a": [{"b": url}]}) == {"a": [{"b": masked}]}


def test_masking_leaves_the_configuration_as_it_was() -> None:
    config = {"a": {"password": "hunter2"}, "n": 1, "none": None, "yes": True, "list": [1.5, "x"]}
    assert mask_secrets(config) == config | {"a": {"password": "***"}}
    assert config["a"] == {"password": "hunter2"}


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("a.password=hunter2", "a.password=***"),
        ("+a.password=hunter2", "+a.password=***"),
        ("++a.api_key=hunter2=x", "++a.api_key=***"),
        ("hub_token=hunter2", "hub_token=***"),
        ("sweep.storage=postgresql://ana:hunter2@db/x?a=b", "sweep.storage=postgresql://***@db/x?a=b"),
        ("https://ana:hunter2@host/x", "https://***@host/x"),
        ("a.password=", "a.password="),
        ("stage=[train,predict]", "stage=[train,predict]"),
        ("--cfg", "--cfg"),
    ],
)
def test_secrets_of_the_command_line_are_masked(monkeypatch: pytest.MonkeyPatch, argument: str, told: str) -> None:
    monkeypatch.setattr(sys, "argv", ["program.py", "before=1", argument])
    assert command_line()[-2:] == ["before=1", told]


@pytest.mark.parametrize("as_module", [True, False])
def test_command_can_be_typed_again(tmp_path: Path, as_module: bool) -> None:
    (tmp_path / "told.py").write_text(
        "import shlex; from workflow.provenance import command_line; print(shlex.join(command_line()))"
    )
    start = ["-m", "told"] if as_module else ["told.py"]
    arguments = ["genome=a b", "x='y'", "infer.prompts=[ACGT,AC]"]
    said = subprocess.run(
        [sys.executable, *start, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert shlex.split(said) == [*(["python", "-m", "told"] if as_module else ["told.py"]), *arguments]
