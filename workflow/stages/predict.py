"""Stage `predict`: per-base log-probabilities of the held-out windows, by the base and the adapted model.

The work is cut into shards where `predict.shards` asks for it, or several processes share it. On the local backend
they are cut where one process ends a batch, so that each sequence shares its batch with the same others: what the
shards join to is equal, bit for bit, to what one process makes on the same kind of device. NVIDIA's tools group the
sequences that they are given by rules of their own; in exact arithmetic no score depends on its neighbours, in that of
a GPU its last bits may.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from workflow.artifacts import per_base_index, read_table
from workflow.backends import Backend, ModelFiles
from workflow.config import Config
from workflow.console import Progress, say
from workflow.errors import InputError
from workflow.preflight import check_context
from workflow.sharding import (
    Report,
    Shard,
    ShardStore,
    check_complete,
    divide,
    merge_arrays,
    merge_tables,
    require_room,
    run_crew,
)
from workflow.stages.context import StageContext
from workflow.stages.readings import FORGETTING, SCORES, Readings, readings_of
from workflow.stages.scoring import finish
from workflow.stages.sharing import ShardMaker, Write, environments, take_over, tell_of_shards
from workflow.stages.vocabulary import check_mass_outside_acgt

if TYPE_CHECKING:
    from workflow.striped_hyena.scoring import SequenceScore


def predict(context: StageContext) -> dict[str, object]:
    """Score the windows of `predict.split`, and the sequences of other organisms, with every model of the run.

    Writes for each model a folder with `logprobs.npy`, `bases.npy`, `index.parquet` (see
    `workflow.artifacts.PerBaseWriter`) and `scores.parquet`: sequence_id, n (scored bases), sum and mean of
    the observed bases' log-likelihood in nats, outside_acgt (mean probability of other tokens). The folder
    `forgetting` holds the same for other organisms.

    Returns
    -------
    dict
        Windows, bases, and the mean NLL of each model.

    Raises
    ------
    GateError
        A model gives much of its probability to tokens that are not bases.
    InputError
        The split has no windows, the sequences of other organisms cannot be read, or the shards cannot be joined.
    """
    readings = _checked_readings(context, context.out / FORGETTING)
    lengths = readings.sets[0].table["length"].to_numpy(np.int64)
    counts: dict[str, object] = {"windows": len(lengths), "bases": int(lengths.sum())}
    in_shards = context.config.prediction_shards > 1
    if in_shards:
        shards = [shard for name in context.models() for shard in _cut(context.config, readings, name)]
        tell_of_shards(_store(context), shards)
    for name, files in context.models().items():
        (_predict_in_shards if in_shards else _predict_at_once)(context, files, readings)
        scores = read_table(context.out / name / SCORES)
        nll = -float(scores["sum"].sum() / scores["n"].sum())
        counts |= {f"{name}_nll_nats_per_base": nll, f"{name}_perplexity": float(np.exp(nll))}
        outside = float(np.average(scores["outside_acgt"], weights=lengths))
        saw = f"{outside:.2%} of the {name} model's probability on tokens other than A, C, G, T"
        check_mass_outside_acgt(context.gates, outside, saw=saw, subject=name)
    return counts


def predict_shard(context: StageContext) -> None:
    """Make the shard `predict.shard` of each model of the run and publish it, beside others who make theirs.

    Needs no lock on the run. A shard that is there is left as it is; one that another process makes is waited for.

    Parameters
    ----------
    context : StageContext
        With the fingerprint of the stage. Nothing is written into its `out`.

    Raises
    ------
    GateError, InputError
        As `predict`.
    """
    number, store = context.config.predict.shard, _store(context)
    assert number is not None
    store.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=store.folder, prefix=".records-") as records:
        readings = _checked_readings(context, Path(records))
        maker = ShardMaker(context)
        for name, files in context.models().items():
            shard = _cut(context.config, readings, name)[number]
            with Progress(f"scoring {shard.label}", len(shard), "windows") as progress:
                store.make([shard], maker.fill(_write(context.config, readings, files, progress.advance)))
            say(f"  {store.place(shard)} is there, {len(shard):,} windows")


def remove_shards(run: Path) -> None:
    """Delete the shards of a run whose predictions are published."""
    ShardStore(run, "predict", "").remove()


def decisive(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the stage without those that only say who makes which part of it."""
    kept = {key: value for key, value in settings["predict"].items() if key not in ("shards", "shard")}
    return settings | {"predict": kept}


def _checked_readings(context: StageContext, records: Path) -> Readings:
    readings = readings_of(context.config, context.published("prepare"), records)
    check_context(context.config, context.gates, readings.sets[0].table["length"].to_numpy(np.int64), "scored windows")
    return readings


def _predict_at_once(context: StageContext, files: ModelFiles, readings: Readings) -> None:
    """Score all readings in one go, so that a tool starts once."""
    with Progress(f"scoring with the {files.name} model", len(readings), "windows") as progress:
        wanted = readings.sequences(0, len(readings))
        results = _reported(context.backend().score(context.config, files, wanted), progress.advance)
        readings.write(0, len(readings), results, context.out, files.name)
        finish(results)


def _reported(results: Iterator[SequenceScore], report: Report) -> Iterator[SequenceScore]:
    for score in results:
        yield score
        report(1)


# ---------------------------------------------------------------- in shards


def _cut(config: Config, readings: Readings, model: str) -> list[Shard]:
    lengths = readings.lengths
    borders = np.arange(len(lengths) + 1)
    if config.backend.name == "local":
        from workflow.striped_hyena.batching import batches

        grouped = batches(lengths.tolist(), config.predict.batch_tokens, int)
        borders = np.cumsum([0, *(len(batch) for batch in grouped)])
    return divide(model, lengths, borders, config.prediction_shards)


def _store(context: StageContext) -> ShardStore:
    if context.config.backend.keep_raw:
        raise InputError("backend.keep_raw=true keeps the tools' own files, which are not joined: use predict.shards=1")
    return ShardStore(context.run, "predict", context.fingerprint)


def _predict_in_shards(context: StageContext, files: ModelFiles, readings: Readings) -> None:
    """Make the shards of a model that are missing, by one process or several, and join all."""
    config, store = context.config, _store(context)
    shards = _cut(config, readings, files.name)
    with Progress(f"scoring with the {files.name} model", len(readings), "windows") as progress:
        progress.skip(sum(len(shard) for shard in shards if store.fault(shard) is None))
        if config.processes_of("predict") == 1:
            store.make(shards, ShardMaker(context).fill(_write(config, readings, files, progress.advance)))
        elif any(store.fault(shard) for shard in shards):
            given = (config, context.out, context.run, context.log_folder, context.fingerprint, files)
            run_crew(_work, given, environments(config, config.processes_of("predict")), progress.advance)
    check_complete(store, shards, len(readings))
    require_room(store, shards, context.out)
    _join(context, store, shards, readings, files.name)


def _work(
    report: Report, config: Config, out: Path, run: Path, logs: Path | None, fingerprint: str, files: ModelFiles
) -> None:
    """What each process of a crew does: make what is missing and nobody makes, until all is there."""
    context = StageContext(config, out, run, log_folder=logs, fingerprint=fingerprint)
    readings = readings_of(config, context.published("prepare"), out / FORGETTING)
    shards, write = _cut(config, readings, files.name), _write(config, readings, files, report)
    _store(context).make(shards, ShardMaker(context).fill(write), quiet=True)


def _write(config: Config, readings: Readings, files: ModelFiles, report: Report) -> Write:
    """What scores the readings of a shard with a model."""

    def write(backend: Backend, shard: Shard, out: Path) -> None:
        wanted = readings.sequences(shard.start, shard.stop)
        results = _reported(backend.score(config, files, wanted), report)
        readings.write(shard.start, shard.stop, results, out, files.name)
        finish(results)

    return write


def _join(context: StageContext, store: ShardStore, shards: list[Shard], readings: Readings, model: str) -> None:
    """Make of the shards what one process would have written, and take over what their tools told."""
    for windows in readings.sets:
        folder = Path(windows.subfolder) / model
        out = context.out / folder
        out.mkdir(parents=True)
        for name in windows.arrays:
            merge_arrays(store, shards, str(folder / name), int(windows.table["length"].sum()), out / name)
        scores = merge_tables(store, shards, str(folder / SCORES))
        if scores["sequence_id"].tolist() != windows.table["sequence_id"].tolist():
            raise InputError(
                f"{store.folder}: the shards hold other windows than {windows.table['sequence_id'].iloc[0]} and those "
                f"after it; delete the folder and give {store.command(shards)}"
            )
        scores.to_parquet(out / SCORES, index=False)
        per_base_index(windows.table).to_parquet(out / "index.parquet", index=False)
    take_over(context, store, shards)
