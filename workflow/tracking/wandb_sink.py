"""Weights & Biases: a run that is kept on disk, or sent to its server."""

from __future__ import annotations

import netrc
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import wandb

from workflow.console import complain
from workflow.errors import InputError
from workflow.tracking.tracked import TrackedRun

_SERVER = "https://api.wandb.ai"


class WandbSink:
    """One run of wandb, which is told metrics and settings and nothing of the machine, the code or the terminal.

    Parameters
    ----------
    run : TrackedRun
    known : str, optional
        Identifier of the run that is gone on with.

    Raises
    ------
    InputError
        It is to be sent to the server, and there is no login; wandb would ask for one on the terminal.
    """

    def __init__(self, run: TrackedRun, known: str | None) -> None:
        place = run.place
        if place.mode == "online":
            _require_login(place.uri or _SERVER)
        self.identifier = known or secrets.token_hex(6)
        run.offline_folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=place.project,
            entity=place.entity,
            id=self.identifier,
            name=run.name,
            group=run.group,
            tags=place.tags,
            config=run.settings | {"fingerprints": run.fingerprints},
            dir=run.offline_folder,
            mode="online" if place.mode == "online" else "offline",
            resume="allow",
            settings=wandb.Settings(
                base_url=place.uri or _SERVER,
                console="off",
                silent=True,
                host="",
                save_code=False,
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )
        # Our steps may come again after a resume; its own may not.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        if place.mode == "offline":
            complain(f"  tracking: wandb keeps this run offline; to send it: wandb sync {Path(self._run.dir).parent}")

    def log(self, step: int, metrics: Mapping[str, float], line: int) -> None:
        """Log the metrics of one step; wandb counts the lines, and drops what comes before the last."""
        self._run.log({"step": step, **metrics}, step=line)

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Put values beside the run's last metrics."""
        self._run.summary.update(dict(values))

    def close(self, succeeded: bool) -> None:
        """End the run; a later start goes on with it."""
        self._run.finish(exit_code=0 if succeeded else 1)


def _require_login(server: str) -> None:
    host = urlsplit(server).hostname or ""
    try:
        known = netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        known = False
    if not (known or os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")):
        raise InputError(f"no login for {host}: set WANDB_API_KEY, type `wandb login`, or give tracking.mode=offline")
