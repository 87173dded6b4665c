"""Stage `embed`: hidden states of the model, pooled over sequences of any kind.

The sequences are read once, as a stream, and kept aside while the work goes on. It is done in shards, whether or not
they are asked for: what an interrupted run has made is not made again. On the local backend they end where a batch
does, so that the joined result is equal, bit for bit, to what any other number of processes makes on the same kind of
device.
"""

from __future__ import annotations

import shutil
import time
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workflow.artifacts import open_new_array, write_json
from workflow.backends import Backend, ModelFiles, SequenceSet
from workflow.config import Config
from workflow.console import Progress, say
from workflow.embeddings.layers import layer_name
from workflow.embeddings.spool import INDEX, Spool
from workflow.errors import InputError
from workflow.sharding import (
    Report,
    Shard,
    ShardStore,
    check_complete,
    divide,
    merge_arrays,
    require_room,
    run_crew,
)
from workflow.stages.codon_states import embed_codons
from workflow.stages.context import StageContext
from workflow.stages.embed_probe import probe_target, run_probe
from workflow.stages.embed_sequences import check_lengths, open_sequences
from workflow.stages.sharing import ShardMaker, Write, environments, take_over, tell_of_shards

if TYPE_CHECKING:
    from workflow.backends.embedding import EmbeddingPlan

EMBEDDINGS, DESCRIPTION = "embeddings.npy", "embeddings.json"
#: Bases of a part where no number of shards is asked for: what a kill may cost.
_BASES_OF_PART = 1 << 22
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


def embed(context: StageContext) -> dict[str, object]:
    """Embed the sequences of `embed.input`, or the windows of `embed.windows`.

    Writes `embeddings.npy` (sequences, layers, width · readings) in `embed.dtype`, with `embed.pooling=all` (bases,
    layers, width); `index.parquet` with a row a sequence (sequence_id, place, length, and with `all` the offset of its
    first row); `embeddings.json`, which tells how they were made; and, with `embed.probe`, `probe.csv`. With
    `embed.pooling=codon` what `workflow.stages.codon_states.embed_codons` says.

    Returns
    -------
    dict
        Sequences, bases, layers, dimensions, sequences and bases (those that were really read) a second of what was
        made now, and what the probe says.

    Raises
    ------
    GateError
        More bases are read together than the model was trained on.
    InputError
        The sequences cannot be read, the layers do not exist, or the numbers do not fit into float16.
    """
    if context.config.embed.pooling == "codon":
        return embed_codons(context, _model(context))
    target = probe_target(context.config)
    plan, spool = _opened(context)
    check_lengths(context, plan, spool)
    files = _model(context)
    shards = _cut(context.config, plan, spool)
    seconds, made = _make_all(context, plan, spool, files, shards)
    _join(context, plan, spool, shards)
    _describe(context, plan, spool, files)
    counts: dict[str, object] = {
        "sequences": len(spool),
        "bases": int(spool.lengths.sum()),
        "layers": len(plan.layers),
        "dimensions": plan.row_shape[1],
    }
    if len(made):
        counts["sequences_per_second"] = len(made) / seconds
        counts["bases_read_per_second"] = _bases_read(plan, spool.lengths[made]) / seconds
    if target is not None:
        embeddings = np.load(context.out / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
        counts["probe"] = run_probe(context, plan, spool, target, embeddings)
        say(f"  {counts['probe']}")
    return counts


def embed_shard(context: StageContext) -> None:
    """Make the shard `embed.shard` and publish it, beside others who make theirs; see `predict_shard`.

    Raises
    ------
    GateError, InputError
        As `embed`.
    """
    number = context.config.embed.shard
    assert number is not None
    plan, spool = _opened(context)
    check_lengths(context, plan, spool)
    shard = _cut(context.config, plan, spool)[number]
    with Progress(f"embedding {shard.label}", len(shard), "sequences") as progress:
        write = _write(context.config, plan, spool, _model(context), progress.advance)
        _store(context).make([shard], ShardMaker(context).fill(write))
    say(f"  {_store(context).place(shard)} is there, {len(shard):,} sequences")


def remove_shards(run: Path) -> None:
    """Delete the shards of a run whose embeddings are published."""
    ShardStore(run, "embed", "").remove()


def decisive(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the stage without those that only say who makes which part of it."""
    kept = {key: value for key, value in settings["embed"].items() if key not in ("shards", "shard")}
    return settings | {"embed": kept}


def forecast(config: Config) -> list[str]:
    """What the stage would read, and how."""
    from workflow.backends.embedding import plan_embedding

    asked, plan = config.embed, plan_embedding(config)
    reader = plan.reader
    what = asked.input or f"windows {asked.windows}" + (f" of {asked.split}" if asked.split else "")
    model = "base" if config.train.method == "none" else asked.model
    layers = ", ".join(map(str, plan.layers)) + f" of 0..{plan.of_layers - 1}"
    lines = [
        f"embeds {what} with the {model} model: layers {layers}, pooling {asked.pooling}, "
        f"{plan.row_shape[1]:,} numbers of {asked.dtype} a layer and {'base' if plan.is_per_base else 'sequence'}",
        f"reads at most {reader.chunk:,} bases together; longer sequences in stretches with {reader.overlap:,} bases "
        "of context",
    ]
    return lines + ([f"probes each layer for {asked.probe}"] if asked.probe else [])


# ---------------------------------------------------------------- shards


def _opened(context: StageContext) -> tuple[EmbeddingPlan, Spool]:
    """What is to be done, and on which sequences."""
    from workflow.backends.embedding import plan_embedding

    plan = plan_embedding(context.config)
    return plan, open_sequences(context, _store(context).folder / "sequences", per_base=plan.is_per_base)


def _store(context: StageContext) -> ShardStore:
    if context.config.backend.keep_raw:
        raise InputError("backend.keep_raw=true keeps the tools' own files, which stage=embed does not: leave it out")
    return ShardStore(context.run, "embed", context.fingerprint)


def _model(context: StageContext) -> ModelFiles:
    models, wanted = context.models(), context.config.embed.model
    if wanted == "base" and "base" not in models:
        raise InputError("embed.model=base: with train=scratch there is no base model; use embed.model=adapted")
    return models.get(wanted) or models["base"]


def _cut(config: Config, plan: EmbeddingPlan, spool: Spool) -> list[Shard]:
    """As many shards as are asked for; else such as take a while, for each process at least one."""
    lengths, reader = spool.lengths, plan.reader
    if config.backend.name == "local":
        from workflow.striped_hyena.batching import batches

        groups = batches(map(int, lengths), config.embed.batch_tokens, reader.tokens)
        borders = np.fromiter(accumulate(chain([0], map(len, groups))), np.int64)
        parts = max(config.processes_of("embed"), -(-int(lengths.sum()) // _BASES_OF_PART))
    else:
        borders, parts = np.arange(len(lengths) + 1), 1
    return divide("embeddings", lengths, borders, config.embed.shards if config.embed.shards > 1 else parts)


def _make_all(
    context: StageContext, plan: EmbeddingPlan, spool: Spool, files: ModelFiles, shards: list[Shard]
) -> tuple[float, np.ndarray]:
    """Make the shards that are missing; seconds that it took, and the sequences that it made alone, (n,) int64."""
    config, store = context.config, _store(context)
    if config.embed.shards > 1:
        tell_of_shards(store, shards)
    missing = [shard for shard in shards if store.fault(shard) is not None]
    clock, told = time.monotonic(), 0
    with Progress(f"embedding with the {files.name} model", len(spool), "sequences") as progress:

        def report(count: int) -> None:
            nonlocal told
            told += count
            progress.advance(count)

        progress.skip(len(spool) - sum(map(len, missing)))
        if config.processes_of("embed") == 1:
            write = _write(config, plan, spool, files, report)
            store.make(shards, ShardMaker(context).fill(write))
        elif missing:
            given = (config, context.out, context.run, context.log_folder, context.fingerprint, files)
            run_crew(_work, given, environments(config, config.processes_of("embed")), report)
    check_complete(store, shards, len(spool))
    rows = np.concatenate([np.arange(0), *(np.arange(shard.start, shard.stop) for shard in missing)])
    # Where others have made some of them, or one was begun anew, no speed can be told.
    return time.monotonic() - clock, rows if told == len(rows) else rows[:0]


def _work(
    report: Report, config: Config, out: Path, run: Path, logs: Path | None, fingerprint: str, files: ModelFiles
) -> None:
    """What each process of a crew does: make what is missing and nobody makes, until all is there."""
    context = StageContext(config, out, run, log_folder=logs, fingerprint=fingerprint)
    plan, spool = _opened(context)
    write = _write(config, plan, spool, files, report)
    _store(context).make(_cut(config, plan, spool), ShardMaker(context).fill(write), quiet=True)


def _write(config: Config, plan: EmbeddingPlan, spool: Spool, files: ModelFiles, report: Report) -> Write:
    """What embeds the sequences of a shard."""

    def write(backend: Backend, shard: Shard, out: Path) -> None:
        names = [f"sequence_{row}" for row in range(shard.start, shard.stop)]
        lengths = spool.lengths[shard.start : shard.stop]
        wanted = SequenceSet(names, lengths, lambda place: spool.fetch(shard.start + place))
        rows = int(lengths.sum()) if plan.is_per_base else len(shard)
        array = open_new_array(out / EMBEDDINGS, (rows, *plan.row_shape), config.embed.dtype)
        ends = np.cumsum(lengths) if plan.is_per_base else np.arange(1, len(shard) + 1)
        done = told = 0
        for part in backend.embed(config, files, wanted):
            if fault := _fault(part, config):
                row = shard.start + int(np.searchsorted(ends, done, side="right"))
                raise InputError(f"sequence {spool.called(row)} has hidden states {fault}")
            array[done : done + len(part)] = part
            done += len(part)
            finished = int(np.searchsorted(ends, done, side="right"))
            report(finished - told)
            told = finished
        assert done == rows
        array.flush()

    return write


def _fault(part: np.ndarray, config: Config) -> str | None:
    """Why hidden states cannot be kept, and what helps."""
    largest = float(np.abs(part).max())
    if not np.isfinite(largest):
        precision = config.predict.precision
        return f"that are not finite: the weights are damaged, or predict.precision={precision} is too coarse for them"
    if config.embed.dtype == "float16" and largest > _LARGEST_FLOAT16:
        return f"up to {largest:.3g}, float16 ends at {_LARGEST_FLOAT16:,.0f}: use embed.dtype=float32"
    return None


# ---------------------------------------------------------------- the result


def _bases_read(plan: EmbeddingPlan, lengths: np.ndarray) -> int:
    return sum(len(stretch) for length in lengths.tolist() for stretch in plan.reader.stretches(length))


def _join(context: StageContext, plan: EmbeddingPlan, spool: Spool, shards: list[Shard]) -> None:
    store = _store(context)
    require_room(store, shards, context.out)
    rows = int(spool.lengths.sum()) if plan.is_per_base else len(spool)
    merge_arrays(store, shards, EMBEDDINGS, rows, context.out / EMBEDDINGS)
    shutil.copyfile(spool.index, context.out / INDEX)
    take_over(context, store, shards)


def _describe(context: StageContext, plan: EmbeddingPlan, spool: Spool, files: ModelFiles) -> None:
    config, reader = context.config, plan.reader
    description = {
        "layers": [{"number": layer, "name": layer_name(layer)} for layer in plan.layers],
        "of_layers": plan.of_layers,
        "pooling": reader.pooling,
        "position": reader.position,
        "width": plan.width,
        "dimensions": plan.row_shape[1],
        "dtype": config.embed.dtype,
        "chunk": reader.chunk,
        "overlap": reader.overlap,
        "model": files.name,
        "architecture": config.model.architecture,
        "backend": config.backend.name,
        "precision": config.predict.precision,
        "sequences": len(spool),
        "source": config.embed.input or f"windows {config.embed.windows}",
    }
    write_json(context.out / DESCRIPTION, description)
