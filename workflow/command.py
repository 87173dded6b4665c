"""What the commands have in common: settings composed by Hydra, and errors told in one line."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches

import hydra
import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from workflow import config as schema
from workflow.config import Config, register_schema
from workflow.console import complain
from workflow.errors import InputError

register_schema()
#: Lines of Hydra's messages that tell of its own workings.
_ABOUT_HYDRA = ("full_key:", "reference_type=", "object_type=", "Config search path:", "provider=")
_UNKNOWN_KEY = re.compile(r"Key '([^']*)' not in '(\w+)'")
_SETTING = re.compile(r"=|^[+~]")
_WITH_FOLDER = ("--config-dir", "-cd", "--config-path", "-cp")
_PLUS = re.compile(r"To append to your config use \S+ ")
#: What the system says of a folder or disk that the user can mend.
_ERRNO_OF_USERS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)


def compose() -> DictConfig | None:
    """The settings that the command line asks for; None where Hydra was only asked to show something.

    Exits with code 2 and one line when they cannot be composed; HYDRA_FULL_ERROR=1 shows the traceback.
    """
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Else Hydra prints its errors itself, in several lines, and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    options, overrides = split_options(sys.argv[1:])
    sys.argv[1:] = options + overrides  # its parser refuses settings that follow an option
    composed: list[DictConfig] = []
    try:
        hydra.main(version_base="1.3", config_path="../configs", config_name="config")(composed.append)()
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        if wants_traceback:
            raise
        complain(f"error: {explain(error)}")
        sys.exit(2)
    if composed:
        composed[0].debug = bool(composed[0].debug) or wants_traceback
    return composed[0] if composed else None


def split_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's options with their values, and the settings.

    What follows an option, is none itself and looks like no setting, is the option's value.
    """
    options: list[str] = []
    settings: list[str] = []
    expects = False
    for argument in arguments:
        is_option = argument.startswith("-")
        is_value = expects and not is_option and (options[-1] in _WITH_FOLDER or not _SETTING.search(argument))
        (options if is_option or is_value else settings).append(argument)
        expects = is_option and "=" not in argument
    return options, settings


def explain(error: Exception) -> str:
    """What is wrong with the settings, in one line, when Hydra could not compose them."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        return f"{mark.name}, line {mark.line + 1}: not YAML ({error.problem or error.context})"
    if isinstance(error, UnicodeDecodeError):
        return "a configuration file is not UTF-8 text; save it as UTF-8"
    causes = [error, *((error.__cause__,) if error.__cause__ else ())]
    lines = [line.strip() for cause in causes for line in str(cause).splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith(_ABOUT_HYDRA))
    if match := _UNKNOWN_KEY.search(told):
        # Adding it with a plus, as Hydra proposes, works for entries of dictionaries only.
        told = _PLUS.sub("", told) + _nearest(*match.groups())
    return told


def _nearest(key: str, section: str) -> str:
    """The keys of a section of the schema that are spelt nearly so."""
    known = [field.name for field in fields(getattr(schema, section, None) or Config)]
    near = get_close_matches(key, known, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else f"; it has {', '.join(known)}"


@contextmanager
def told_in_one_line(show_traceback: bool) -> Iterator[None]:
    """Exit with code 2 and one line for what a user can mend, with 130 for Ctrl-C; all else keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        complain("stopped; the same command goes on from what is there")
        sys.exit(130)
    except BrokenPipeError:
        # What it printed into, such as `head`, has read enough; what is still to be written has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
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
