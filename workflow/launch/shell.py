"""Commands as a person would type them, and the script that holds a run's commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow.artifacts import write_text
from workflow.provenance import mask_secrets

#: `HF_TOKEN`, but not `TOKENIZERS_PARALLELISM`.
_SECRET = re.compile(r"(token|key|passwd|password|secret|credential)s?(?:[\d_]|$)", re.IGNORECASE)
#: A variable that is given a value of its own, and not that of another variable or of a command.
_GIVEN = re.compile(r"\b([A-Z][A-Z0-9_]*)\s*[:=]\s*[\"']?(?=[^\s\"'$`,}])")
_PREAMBLE = "#!/usr/bin/env bash\nset -euo pipefail\n"


def is_secret(name: str, value: str = "") -> bool:
    """Whether an environment variable holds what nobody should read: its name tells, or a login in its URL."""
    return _SECRET.search(name) is not None or mask_secrets(value) != value


def shows_secret(text: str) -> bool:
    """Whether a text gives a value to a secret variable, such as `export HF_TOKEN=…` or `{HF_TOKEN: …}`."""
    return mask_secrets(text) != text or any(is_secret(name) for name in _GIVEN.findall(text))


def as_typed(argv: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """The command as a line of bash, which can be pasted.

    The value of a secret variable is not shown: the line takes it from the shell that it is typed into.

    Parameters
    ----------
    argv : sequence of str
        Program and arguments.
    environment : mapping, optional
        Variables set for this command only.
    folder : Path, optional
        Where it has to be started. The change of folder does not outlive the command.
    """
    settings = (
        f'{name}="${name}"' if is_secret(name, value) else f"{name}={shlex.quote(value)}"
        for name, value in (environment or {}).items()
    )
    line = " ".join([*settings, shlex.join(argv)])
    return line if folder is None else f"(cd {shlex.quote(str(folder))} && {line})"


def write_commands(path: Path, lines: Sequence[str]) -> None:
    """Write a bash script that runs the lines one after another and stops at the first that fails.

    Parameters
    ----------
    path : Path
        The script, which is made executable.
    lines : sequence of str
        What `as_typed` gave, and comments that begin with `#`.
    """
    write_text(path, _PREAMBLE + "".join(f"{line}\n" for line in lines))
    path.chmod(0o755)
