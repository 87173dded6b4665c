"""What tells another group how to use a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.page.text import count

_TEXT = """# {name}, version {version}

A benchmark of genome language models: {windows} windows with {bases} scored bases of {genome}, held
out from training ({by}), with the scores of baselines. Every file but the results is frozen;
`benchmark.json` holds its SHA-256, and the scoring command refuses a folder in which one was
changed.

## What to score

`windows.fa.gz` has the windows, each in its own direction, soft-masked repeats in lower case. Score
each one alone, from its first base on. The score of a base is the natural logarithm of the
probability that the model gives to it after the bases before it, normalised over the model's whole
vocabulary. All bases A, C, G, T count, in either case, except the first one of each window.

`split.parquet` has the regions of train, val and test (0-based half-open) on the genome whose files
`benchmark.json` names. Train on those of train alone: a model that has read any of the test windows,
or near copies of them, is not tested by this benchmark.

## How to hand in scores

Either a folder with the three files

- `logprobs.npy`: float16 or float32, (positions, 4), natural-log probability of A, C, G, T at each
  base; NaN where there is none.
- `bases.npy`: uint8, (positions,), the bases as ASCII. They are compared with the benchmark's.
- `index.parquet`: sequence_id, seqid, start, end, strand, offset, length: window `sequence_id` has
  the rows `offset` to `offset + length` of both arrays.

or a table (`.csv`, `.tsv`, `.parquet`) with the columns `sequence_id`, `nll` (sum over the scored
bases, nats) and `n` (their number). A table gives the overall score only; a folder also those
outside repeats, in repeats and by class of base.

    {scoring}
    python -m evaluation.benchmark show BENCHMARK

## Results

`results.csv` has a row a model: NLL in nats per base (lower is better), accuracy, and the gain over
each baseline, with {confidence} % intervals from {samples} resamplings of blocks of neighbouring
windows. `results_by_class.csv` has them by class of base. Each row holds the hash of the scores and
of the benchmark.
{tasks}"""
_TASKS = """
## Tasks

{tasks}

Scores of a task are a table with the columns `id` and `score`, complete:

    python -m evaluation.benchmark score BENCHMARK SCORES --model NAME --task TASK
"""


def readme(manifest: Mapping[str, Any]) -> str:
    """README.md of a benchmark, from its manifest."""
    tasks = "\n".join(
        f"- `{name}` (`tasks/{name}.parquet`): {task['about']}" for name, task in manifest["tasks"].items()
    )
    return _TEXT.format(
        name=manifest["name"],
        version=manifest["version"],
        windows=count(manifest["windows"]),
        bases=count(manifest["bases_scored"]),
        genome=manifest["genome"]["name"],
        by=manifest["split"]["by"],
        scoring=manifest["scoring"],
        confidence=f"{100 * manifest['intervals']['confidence']:g}",
        samples=count(manifest["intervals"]["samples"]),
        tasks=_TASKS.format(tasks=tasks) if tasks else "",
    )
