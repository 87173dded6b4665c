"""What NVIDIA's tools accept, by version, as data; and commands that are checked against it."""

from workflow.backends.contracts.command import Command, Option
from workflow.backends.contracts.contract import (
    TOOLCHAINS,
    Contract,
    contract_versions,
    is_release,
    load_contract,
    nearest_version,
)
from workflow.backends.contracts.flags import ExclusiveGroup, Flag, Tool
from workflow.backends.contracts.help_text import HelpDifference, compare_flags, flags_of_help

__all__ = [
    "TOOLCHAINS",
    "Command",
    "Contract",
    "ExclusiveGroup",
    "Flag",
    "HelpDifference",
    "Option",
    "Tool",
    "compare_flags",
    "contract_versions",
    "flags_of_help",
    "is_release",
    "load_contract",
    "nearest_version",
]
