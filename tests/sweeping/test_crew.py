import os
from collections.abc import Callable

import pytest

from workflow.errors import InputError
from workflow.sweeping.crew import _settings, environments
from workflow.sweeping.plan import Plan

Planned = Callable[..., Plan]


def test_cores_are_shared(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))
    config = planned("backend.device=cpu", workers=2).config
    assert environments(config) == [{"OMP_NUM_THREADS": str(max(1, cores // 2))}] * 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environments(config)[0] == {"OMP_NUM_THREADS": "3"}
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)))
    config = planned("backend.device=cpu", "parallel.devices=2", workers=2).config
    assert environments(config)[0] == {"OMP_NUM_THREADS": "4"}  # each of a trial's processes has so many


def test_gpus_are_divided(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3,5,GPU-7")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    plan = planned("parallel.devices=2", "launcher=docker", workers=2)
    found = environments(plan.config)
    assert [share["CUDA_VISIBLE_DEVICES"] for share in found] == ["0,3", "5,GPU-7"]
    assert {share["OMP_NUM_THREADS"] for share in found} == {"3"}
    assert _settings(plan, found[1]).launcher.gpus == "device=5,GPU-7"
    with pytest.raises(InputError, match=r"need 6 GPUs, there are 4: use sweep\.workers=2"):
        environments(planned("parallel.devices=2", workers=3).config)


@pytest.mark.parametrize("overrides", [("parallel.nodes=2",), ("launcher=torchrun",)])
def test_trials_of_several_machines(planned: Planned, overrides: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"but a trial takes several machines: use sweep\.workers=1"):
        environments(planned(*overrides, workers=2).config)
