"""Run stages: `python -m workflow.run stage=… genome=… model=… backend=… train=…`."""

from __future__ import annotations

import errno
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
#: What the system says of a folder or disk that the user can mend.
_ERRNO_OF_USERS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)


@hydra.main(version_base="1.3", config_path="../configs", config_name="config")
def main(settings: DictConfig) -> None:
    """Resolve the configuration and run the stages; exit code 2 and one line for what a user can mend."""
    show_traceback = bool(settings.debug) or os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        config = resolve(settings)
        run = Run(config)
        if config.dry_run:
            say(run.describe())
            run.preflight(run.plan())
            return
        run.execute()
        report = run.folder / "evaluate" / "report.html"
        if "evaluate" in config.stages:
            say(f"report: {report.resolve()}")
    except (InputError, OSError) as error:
        if show_traceback or not (isinstance(error, InputError) or error.errno in _ERRNO_OF_USERS):
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
        if missing := sorted(OmegaConf.missing_keys(settings)):
            raise InputError(f"{missing[0]} is not set: give {missing[0]}=…")
        config = OmegaConf.to_object(settings)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key or 'configuration'}: {str(error).splitlines()[0]}") from None
    assert isinstance(config, Config)
    return config


if __name__ == "__main__":
    main()
