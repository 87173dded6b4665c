"""Run stages: `python -m workflow.run stage=… genome=… model=… backend=… train=…`."""

from __future__ import annotations

import os
import sys

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from workflow.config import Config, register_schema
from workflow.console import complain, say
from workflow.errors import InputError
from workflow.pipeline import Run

register_schema()


@hydra.main(version_base="1.3", config_path="../configs", config_name="config")
def main(settings: DictConfig) -> None:
    """Resolve the configuration and run the stages; exit code 2 and one line for what a user can mend."""
    show_traceback = bool(settings.debug) or os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        config = resolve(settings)
        run = Run(config)
        if config.dry_run:
            say(run.describe())
            run.preflight()
            return
        run.execute()
        report = run.folder / "evaluate" / "report.html"
        if "evaluate" in config.stages:
            say(f"report: {report.resolve()}")
    except InputError as error:
        if show_traceback:
            raise
        complain(f"error: {error}")
        sys.exit(2)


def resolve(settings: DictConfig) -> Config:
    """The typed configuration of what Hydra composed.

    Raises
    ------
    InputError
        A value is missing, of the wrong type, or does not go with another.
    """
    try:
        config = OmegaConf.to_object(settings)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key or 'configuration'}: {str(error).splitlines()[0]}") from None
    assert isinstance(config, Config)
    return config


if __name__ == "__main__":
    main()
