"""The registry of runs: what was made, when, of what, and how good it is; from files alone."""

from workflow.registry.records import refresh

__all__ = ["refresh"]
