import dataclasses

import numpy as np
import pytest

from workflow.config import GatesConfig
from workflow.errors import GateError, InputError
from workflow.gates import GateLog

SAW = {"saw": "a loss of 1.39", "limit": "below ln 4 = 1.386", "why": "The model guesses."}


def test_gate_that_passes(capsys: pytest.CaptureFixture[str]) -> None:
    log = GateLog({"first_validation_loss": "stop"})
    log.check("first_validation_loss", True, **SAW)
    assert log.as_records() == [{"name": "first_validation_loss", "passed": True, "subject": "", **SAW}]
    assert capsys.readouterr() == ("", "")


def test_gate_that_stops() -> None:
    log = GateLog({"first_validation_loss": "stop"})
    with pytest.raises(GateError) as caught:
        log.check("first_validation_loss", False, **SAW)
    assert str(caught.value) == (
        "gate first_validation_loss: saw a loss of 1.39, limit below ln 4 = 1.386. The model guesses. "
        "Override with gates.first_validation_loss=warn."
    )
    assert isinstance(caught.value, InputError), "the commands print it as one line"
    assert [record["passed"] for record in log.as_records()] == [False]


def test_gate_that_warns(capsys: pytest.CaptureFixture[str]) -> None:
    log = GateLog({"first_validation_loss": "warn"})
    log.check("first_validation_loss", False, **SAW)
    assert capsys.readouterr().out.startswith("  WARNING gate first_validation_loss: saw a loss of 1.39, limit below")
    assert log.as_records() == [{"name": "first_validation_loss", "passed": False, "subject": "", **SAW}]


def test_gate_without_an_action_stops() -> None:
    with pytest.raises(GateError):
        GateLog().check("x", False, **SAW)


def test_each_gate_has_its_own_action(capsys: pytest.CaptureFixture[str]) -> None:
    log = GateLog({"a": "warn", "b": "stop"})
    log.check("a", False, **SAW)
    with pytest.raises(GateError, match=r"gates\.b=warn"):
        log.check("b", False, **SAW)
    assert [record["name"] for record in log.as_records()] == ["a", "b"]


def test_every_gate_of_the_configuration_can_be_overridden(capsys: pytest.CaptureFixture[str]) -> None:
    for gate in dataclasses.fields(GatesConfig):
        with pytest.raises(GateError):
            GateLog(vars(GatesConfig(**{gate.name: "stop"}))).check(gate.name, False, **SAW)
        GateLog(vars(GatesConfig(**{gate.name: "warn"}))).check(gate.name, False, **SAW)
    assert capsys.readouterr().out.count("WARNING") == len(dataclasses.fields(GatesConfig))


def test_later_look_replaces_the_earlier_one() -> None:
    log = GateLog({"x": "warn"})
    log.check("x", False, **SAW)
    log.check("y", True, **SAW)
    log.check("x", True, **SAW | {"saw": "a loss of 1.2"})
    assert [(r["name"], r["passed"], r["saw"]) for r in log.as_records()] == [
        ("y", True, "a loss of 1.39"),
        ("x", True, "a loss of 1.2"),
    ]


def test_subjects_are_kept_apart() -> None:
    log = GateLog({"x": "warn"})
    log.check("x", True, **SAW, subject="base")
    log.check("x", False, **SAW, subject="adapted")
    log.check("x", True, **SAW, subject="adapted")
    assert [(r["subject"], r["passed"]) for r in log.as_records()] == [("base", True), ("adapted", True)]


def test_same_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = GateLog({"x": "warn"})
    for subject in ("base", "base", "adapted"):
        log.check("x", False, **SAW, subject=subject)
    assert capsys.readouterr().out.count("WARNING") == 2


def test_log_goes_on_from_its_records() -> None:
    before = GateLog({"x": "warn"})
    before.check("x", False, **SAW, subject="base")
    before.check("y", True, **SAW)
    after = GateLog()
    after.check("z", True, **SAW)
    after.check("y", True, **SAW | {"saw": "seen anew"})
    after.restore(before.as_records())
    assert [(r["name"], r["saw"]) for r in after.as_records()] == [
        ("z", SAW["saw"]),
        ("x", SAW["saw"]),
        ("y", SAW["saw"]),
    ]


def test_passed_is_a_plain_bool() -> None:
    log = GateLog()
    log.check("x", np.float32(1) < 2, **SAW)
    assert log.as_records()[0]["passed"] is True


def test_logs_do_not_share_their_results() -> None:
    GateLog().check("x", True, **SAW)
    assert GateLog().as_records() == []
