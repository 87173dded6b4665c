"""Gate `parallel_sizes`: whether the model, the samples and the machines divide as asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from workflow.config import Config, ParallelConfig
from workflow.gates import GateLog
from workflow.preflight.hardware import Gpu

if TYPE_CHECKING:
    from workflow.striped_hyena.config import ModelConfig as Shape


def check_parallel(config: Config, stage: str, shape: Shape, gpus: Sequence[Gpu], gates: GateLog) -> None:
    """Gate `parallel_sizes`.

    Parameters
    ----------
    gpus : sequence of Gpu
        Those of one machine; empty where they are not known.
    """
    parallel = config.parallel
    asked = (
        f"{parallel.nodes} × {parallel.devices} devices, tensor {parallel.tensor}, pipeline {parallel.pipeline}, "
        f"context {parallel.context}"
    )
    length = config.train.context_length if stage == "train" else None
    seen = len(gpus) if parallel.gpu is None else 0
    faults = [
        *_device_faults(parallel, config.devices_of(stage), seen),
        *tensor_faults(shape, parallel.tensor),
        *_other_faults(parallel),
    ]
    faults += _length_faults(parallel, length)
    gates.check(
        "parallel_sizes",
        not faults,
        saw=f"{asked}: {'; '.join(faults)}" if faults else asked,
        limit="sizes that divide, and devices that are there",
        why="They fail otherwise, after hours in the queue or of conversion.",
    )


def tensor_faults(shape: Shape, size: int) -> list[str]:
    """What of a model does not divide by a size of tensor parallelism."""
    parts = {
        "attention heads": shape.heads,
        "channels": shape.width,
        "MLP channels": shape.mlp_width,
        "filter groups": shape.filter_groups,
    }
    odd = [f"{count:,} {name}" for name, count in parts.items() if count % size]
    if not odd:
        return []
    hint = " (upstream issue 814: this model takes parallel.tensor=1 only)" if shape.heads % 2 else ""
    return [f"{' and '.join(odd)} do not divide by parallel.tensor={size}{hint}"]


def _device_faults(parallel: ParallelConfig, used: int, seen: int) -> Iterator[str]:
    if parallel.processes % parallel.model_parallel:
        yield f"{parallel.processes} devices do not divide by tensor · pipeline · context = {parallel.model_parallel}"
    if seen and used > seen:
        yield f"parallel.devices={parallel.devices}, but {seen} GPUs are seen here (plan for others with parallel.gpu)"


def _other_faults(parallel: ParallelConfig) -> Iterator[str]:
    if parallel.pipeline > 1:
        yield f"parallel.pipeline={parallel.pipeline} fails in the tools (upstream issue 815): use parallel.tensor"


def _length_faults(parallel: ParallelConfig, length: int | None) -> Iterator[str]:
    """Each rank of a context group gets two chunks of a sample, one from either end."""
    if length is not None and parallel.context > 1 and length % (2 * parallel.context):
        yield (
            f"train.context_length={length} does not divide by 2 · parallel.context = {2 * parallel.context}"
            " (upstream issue 1268)"
        )
