"""Changes to installed NVIDIA packages: `python -m workflow.patches list|check|apply|revert [NAME…]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from workflow.console import complain, say
from workflow.errors import InputError
from workflow.patching import Patch, PatchStatus, apply, load_patch, load_patches, look, revert

_DESCRIPTION = (
    "Patches of installed packages. list: what each is for. check: where each stands. apply, revert: do it. "
    "Exit code 0: all is as asked, or the package is not installed; 1: a patch is missing or does not fit; "
    "2: nothing could be done."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; one line a patch. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m workflow.patches", description=_DESCRIPTION)
    parser.add_argument("verb", choices=("list", "check", "apply", "revert"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="patches; all when none is named")
    options = parser.parse_args(arguments)
    try:
        patches = [load_patch(name) for name in options.names] if options.names else load_patches()
        if options.verb == "list":
            for patch in patches:
                say(_introduction(patch))
            return 0
        return max((_run(options.verb, patch) for patch in patches), default=0)
    except InputError as error:
        complain(f"error: {error}")
        return 2


def _introduction(patch: Patch) -> str:
    return (
        f"{patch.name}: {patch.package} {patch.versions[0]}-{patch.versions[-1]}, {patch.module}/{patch.file}. "
        f"{patch.why} Upstream: {patch.issue}. Goes when: {patch.until}"
    )


def _run(verb: str, patch: Patch) -> int:
    """Do what is asked with one patch and tell of it."""
    found = look(patch)
    if verb != "check" and found.state in ("applied", "applicable"):
        found = apply(patch) if verb == "apply" else revert(patch)
    wanted = "applicable" if verb == "revert" else "applied"
    good = found.state in (wanted, "not installed")
    (say if good else complain)(_line(found, verb))
    return 0 if good else 1


def _line(found: PatchStatus, verb: str) -> str:
    if verb == "revert" and found.state == "applicable":
        return f"{found.name}: reverted"
    return f"{found.name}: {found.state}: {found.text}"


if __name__ == "__main__":
    sys.exit(main())
