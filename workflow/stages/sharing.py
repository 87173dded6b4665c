"""What stages whose work is cut into shards have in common: how a shard is made, and on what each process computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow.backends import Backend
from workflow.config import Config
from workflow.console import say
from workflow.errors import InputError
from workflow.provenance import mask_secrets
from workflow.sharding import Fill, Shard, ShardStore
from workflow.stages.context import StageContext

#: Writes the files of a shard into the folder that it is given.
Write = Callable[[Backend, Shard, Path], None]


class ShardMaker:
    """Makes shards one after another by one backend, which may keep a model from one to the next.

    Parameters
    ----------
    context : StageContext
        Of the stage; its gates are told in the shards' manifests.
    """

    def __init__(self, context: StageContext) -> None:
        # A copy has a workplace of its own.
        self._context = replace(context)

    @cached_property
    def _backend(self) -> Backend:
        """Opened when there is something to make: what only joins shards needs no GPU."""
        return self._context.backend()

    def fill(self, write: Write) -> Fill:
        """What makes a shard in the folder that it is given; an empty one has no files."""

        def fill(shard: Shard, out: Path) -> dict[str, Any]:
            place, logs = self._context.place, self._context.log_folder
            place.folder, place.log_folder = out, logs and logs / shard.label
            place.commands.clear()
            if shard:
                write(self._backend, shard, out)
            return {
                "gates": self._context.gates.as_records(),
                "tools": mask_secrets(place.commands),
                "notes": list(place.notes),
            }

        return fill


def tell_of_shards(store: ShardStore, shards: Sequence[Shard]) -> None:
    """Tell of shards that are empty, and of others that are there and will be deleted."""
    if empty := sum(len(shard) == 0 for shard in shards):
        say(f"  note: {empty} of {len(shards)} shards are empty, as there are no more batches")
    if others := store.others(shards):
        say(
            f"  note: {len(others)} shards of other settings or another number are in {store.root}; they are deleted "
            "when this result is published"
        )


def take_over(context: StageContext, store: ShardStore, shards: Sequence[Shard]) -> None:
    """Tell of a stage what the tools of its shards told."""
    for shard in shards:
        told = store.manifest(shard)
        context.place.commands += told["tools"]
        context.place.notes += [note for note in told["notes"] if note not in context.place.notes]


def environments(config: Config, count: int) -> list[dict[str, str]]:
    """Variables of each of `count` processes: a GPU for each, or its share of the processors.

    Raises
    ------
    InputError
        There are fewer GPUs.
    """
    gpus = _gpus(config, count)
    if gpus and len(gpus) < count:
        raise InputError(f"parallel.devices={count} are more than the {len(gpus)} GPUs here: give {len(gpus)} at most")
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, len(os.sched_getaffinity(0)) // count))
    shares: list[dict[str, str]] = [{"OMP_NUM_THREADS": threads} for _ in range(count)]
    return [share | {"CUDA_VISIBLE_DEVICES": gpu} for share, gpu in zip(shares, gpus, strict=False)] or shares


def _gpus(config: Config, count: int) -> list[str]:
    """What CUDA calls the GPUs that this process may use; none where the CPU is asked for, or there are none."""
    if config.backend.device == "cpu":
        return []
    import torch

    found = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (named.split(",") if named else [str(number) for number in range(found)])[:found][:count]
