"""Several workers on one machine, each with devices of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.process import BaseProcess

from omegaconf import DictConfig

from workflow.command import told_in_one_line
from workflow.config import Config
from workflow.console import complain
from workflow.errors import InputError
from workflow.launch.stopping import StopRequest
from workflow.preflight.hardware import gpus
from workflow.sweeping.plan import Plan, make_plan
from workflow.sweeping.process import end_with_parent
from workflow.sweeping.settings import changed
from workflow.sweeping.storage import faults_told
from workflow.sweeping.worker import work

_VISIBLE, _THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"


def run_crew(plan: Plan) -> None:
    """Let `sweep.workers` processes work on a study until none is left. Should one die, the others take its trial.

    Raises
    ------
    InputError
        There are not enough devices.
    SystemExit
        All workers failed, each having told why; or this process was asked to end.
    KeyboardInterrupt
        Ctrl-C.
    """
    context = multiprocessing.get_context("spawn")
    with StopRequest() as stop:
        workers: list[BaseProcess] = []
        for environment in environments(plan.config):
            settings = _settings(plan, environment)
            workers.append(context.Process(target=_work, args=(settings, plan.typed, environment)))
            workers[-1].start()
        _wait(workers, stop)
    codes = [worker.exitcode for worker in workers]
    for number, code in enumerate(codes):
        if code is not None and code < 0:
            complain(f"worker {number} was ended by {signal.Signals(-code).name}")
    if all(codes):
        raise SystemExit(next((code for code in codes if code and code > 0), 1))


def environments(config: Config) -> list[dict[str, str]]:
    """The variables that give each worker its devices: its share of the cores, and GPUs where trials use them.

    Raises
    ------
    InputError
        There are fewer GPUs than the workers' trials need, or trials spread over several machines.
    """
    workers, parallel = config.sweep.workers, config.parallel
    if parallel.nodes > 1 or config.launcher.name == "torchrun":
        raise InputError(
            f"sweep.workers={workers}, but a trial takes several machines: use sweep.workers=1 and give the command on "
            "each group of machines"
        )
    visible = _visible_gpus()
    cores = len(os.sched_getaffinity(0)) // (workers * parallel.devices)
    threads = {_THREADS: os.environ.get(_THREADS) or str(max(1, cores))}
    if config.backend.device == "cpu" or not visible:
        return [threads] * workers
    if workers * parallel.devices > len(visible):
        raise InputError(
            f"sweep.workers={workers} with parallel.devices={parallel.devices} need {workers * parallel.devices} GPUs, "
            f"there are {len(visible)}: use sweep.workers={max(1, len(visible) // parallel.devices)}"
        )
    shares = [visible[first * parallel.devices :][: parallel.devices] for first in range(workers)]
    return [threads | {_VISIBLE: ",".join(share)} for share in shares]


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get(_VISIBLE)
    return named.split(",") if named else [str(number) for number in range(len(gpus()))]


def _settings(plan: Plan, environment: Mapping[str, str]) -> DictConfig:
    """Containers do not see the environment of the one who starts them."""
    if plan.config.launcher.name != "docker" or _VISIBLE not in environment:
        return plan.settings
    return changed(plan.settings, {"launcher.gpus": f"device={environment[_VISIBLE]}"})


def _work(settings: DictConfig, typed: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """What a worker's process does."""
    os.setsid()  # Ctrl-C at the terminal comes through the parent, once.
    os.environ.update(environment)
    end_with_parent()
    with told_in_one_line(show_traceback=bool(settings.debug)), faults_told(settings.sweep.storage):
        work(make_plan(settings, typed))


def _wait(workers: list[BaseProcess], stop: StopRequest) -> None:
    """Wait for all to end; pass on each signal once."""
    passed = 0
    while any(worker.is_alive() for worker in workers):
        for worker in workers:
            worker.join(0.1)
        for signum in stop.received[passed:]:
            for worker in workers:
                if worker.is_alive() and worker.pid is not None:
                    os.kill(worker.pid, signum)
            passed += 1
