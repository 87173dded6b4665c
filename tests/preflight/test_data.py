from __future__ import annotations

import pytest

from tests.preflight.conftest import Configure
from workflow.config import Config
from workflow.errors import GateError
from workflow.gates import GateLog
from workflow.preflight import check_training_data, data_forecast
from workflow.preflight.data import bases_asked, bases_of_step

FEW = ("train.steps=10", "train.batch_size=4", "train.context_length=1000", "model.context_length=1024")


def fired(config: Config, train_bases: int, action: str = "stop") -> bool:
    gates = GateLog({"training_data": action})
    check_training_data(config, gates, train_bases)
    (result,) = gates.results
    return not result.passed


def test_bases_of_a_step(configure: Configure) -> None:
    assert bases_of_step(configure(*FEW)) == 4_000
    assert bases_asked(configure(*FEW, "train.accumulate=3")) == 120_000
    on_tools = configure(*FEW, "backend=nemo2", "parallel.nodes=2", "parallel.devices=8", "parallel.tensor=4")
    assert bases_of_step(on_tools) == 4 * 4_000
    assert bases_of_step(configure(*FEW, "parallel.nodes=2", "parallel.devices=3")) == 6 * 4_000


def test_bases_of_a_ramp(configure: Configure) -> None:
    """Of 10 steps of 12 samples, the first five have 4, 4, 8, 8 and 12: two fewer of those in the ramp."""
    config = configure(*FEW, "train.accumulate=3", "train.batch_ramp=0.5")
    assert [config.step_plan.samples_of(step) for step in range(6)] == [4, 4, 8, 8, 12, 12]
    assert bases_asked(config) == (4 + 4 + 8 + 8 + 12 + 5 * 12) * 1_000
    (line,) = data_forecast(config, 48_000)
    formula = "10 steps × 12 samples × 1,000 bases, fewer in the first 5 steps,"
    assert line == f"data: {formula} = 96 kb, 2 passes over the 48 kb to train on"


@pytest.mark.parametrize(
    ("train_bases", "fires"), [(10**9, False), (4_000, False), (3_999, True), (2_000, True), (0, True)]
)
def test_passes_and_steps(train_bases: int, fires: bool, configure: Configure) -> None:
    assert fired(configure(*FEW), train_bases, "warn") == fires


def test_too_many_passes(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure(*FEW, "train.steps=100")
    assert not fired(config, 20_000)
    with pytest.raises(
        GateError,
        match=r"^gate training_data: saw 100 steps × 4 samples × 1,000 bases = 400 kb, 20 passes over 20 kb, limit at "
        r"most 20 passes, and not more in one step than there is\. .*Override with gates\.training_data=warn\.$",
    ):
        fired(config, 19_999)
    assert capsys.readouterr().out == ""
    assert fired(config, 19_999, "warn")
    assert "WARNING gate training_data" in capsys.readouterr().out


def test_it_only_warns_unless_asked_to_stop(configure: Configure) -> None:
    assert configure().gates.training_data == "warn"


@pytest.mark.parametrize(
    ("train_bases", "line"),
    [
        (7_430_000_000, "data: 10 steps × 4 samples × 1,000 bases = 40 kb, 0.00% of the 7.43 Gb to train on"),
        (123_456, "data: 10 steps × 4 samples × 1,000 bases = 40 kb, 32.40% of the 123 kb to train on"),
        (20_000, "data: 10 steps × 4 samples × 1,000 bases = 40 kb, 2 passes over the 20 kb to train on"),
        (900, "data: 10 steps × 4 samples × 1,000 bases = 40 kb, 44.4 passes over the 900 bases to train on"),
    ],
)
def test_forecast(train_bases: int, line: str, configure: Configure) -> None:
    assert data_forecast(configure(*FEW), train_bases) == [line]
