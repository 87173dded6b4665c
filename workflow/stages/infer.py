"""Stage `infer`: continue prompts with the base and the adapted model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.artifacts import read_table
from workflow.backends import Prompt
from workflow.config import InferConfig
from workflow.console import track
from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.genome.files import locate
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.vocabulary import check_mass_outside_acgt


def infer(context: StageContext) -> dict[str, object]:
    """Generate `infer.samples` continuations of each prompt with every model of the run.

    Writes `generations.parquet` (prompt_id, model, sample, prompt, sequence, truth, logprob_sum,
    logprob_mean, seed; natural log, of the model's own distribution) and `generations.fa`.

    Returns
    -------
    dict
        Prompts, sequences and bases generated, mean log-probability by model.

    Raises
    ------
    InputError
        A prompt is not DNA, or there is none.
    """
    config = context.config.infer
    prompts = _prompts(context)
    requests = [
        Prompt(prompt, _seed(context.config.seed, prompt_id, sample))
        for prompt_id, prompt, _ in prompts
        for sample in range(config.samples)
    ]
    tables = []
    for name, files in context.models().items():
        results = context.backend().generate(context.config, files, requests)
        generated = list(track(results, f"generating with the {name} model", len(requests), "sequences"))
        table = pd.DataFrame(
            {
                "prompt_id": np.repeat([prompt_id for prompt_id, _, _ in prompts], config.samples),
                "model": name,
                "sample": np.tile(np.arange(config.samples), len(prompts)),
                "prompt": [request.text for request in requests],
                "sequence": [result.sequence for result in generated],
                "truth": np.repeat(np.array([truth for _, _, truth in prompts], dtype=object), config.samples),
                "logprob_sum": [float(result.logprobs.sum()) for result in generated],
                "logprob_mean": [float(result.logprobs.mean()) for result in generated],
                "seed": [request.seed for request in requests],
            }
        )
        tables.append(table)
    generations = pd.concat(tables, ignore_index=True)
    generations.to_parquet(context.out / "generations.parquet", index=False)
    _write_fasta(generations, context.out / "generations.fa")
    for model in context.models():
        drawn = generations["sequence"][generations["model"] == model]
        _check_letters(context, model, drawn.tolist())
    by_model = generations.groupby("model", sort=False)["logprob_mean"].mean()
    return {
        "prompts": len(prompts),
        "sequences": len(generations),
        "bases": int(generations["sequence"].str.len().sum()),
        # Not every tool tells how probable its letters were.
        **{f"{name}_mean_logprob": float(value) for name, value in by_model.items() if np.isfinite(value)},
    }


def _check_letters(context: StageContext, model: str, sequences: list[str]) -> None:
    """A backend that draws from all tokens writes N for what is no base."""
    letters = sum(map(len, sequences))
    others = sum(sequence.count("N") for sequence in sequences)
    saw = f"{others:,} of {letters:,} letters that the {model} model generated are no bases"
    check_mass_outside_acgt(context.gates, others / letters if letters else np.nan, saw=saw, subject=model)


def _prompts(context: StageContext) -> list[tuple[str, str, str | None]]:
    """Prompt id, prompt, and what follows it in the genome where that is known."""
    given = list(_given_prompts(context.config.infer, context.out))
    if not given:
        return list(_prompts_from_windows(context))
    for prompt_id, prompt, _ in given:
        if set(prompt.upper()) - set("ACGT"):
            raise InputError(f"prompt {prompt_id} holds letters other than A, C, G, T")
    return given


def _given_prompts(config: InferConfig, out: Path) -> Iterator[tuple[str, str, str | None]]:
    if config.prompt_file:
        import_fasta(locate(config.prompt_file, "infer.prompt_file names it"), out / "prompts.fa")
        with Genome(out / "prompts.fa") as records:
            for name, length in records.lengths.items():
                yield name, records.fetch(name, 0, length).tobytes().decode("ascii"), None
    for number, prompt in enumerate(config.prompts, start=1):
        yield f"prompt_{number}", prompt, None


def _prompts_from_windows(context: StageContext) -> Iterator[tuple[str, str, str | None]]:
    """Evenly spaced places of the test regions, each with its true continuation."""
    config, folder = context.config.infer, context.published("prepare")
    length = config.prompt_length + config.length
    regions = read_table(folder / "split.parquet")
    places = [
        (seqid, start)
        for seqid, first, end, split in regions[["seqid", "start", "end", "split"]].itertuples(index=False, name=None)
        if split == "test"
        for start in range(first, end - length + 1, length)
    ]
    if not places:
        raise InputError(
            f"no test region holds infer.prompt_length + infer.length = {length} bases: "
            "make one of them smaller, or give infer.prompts"
        )
    rows = np.unique(np.linspace(0, len(places) - 1, min(config.n_prompts, len(places))).round().astype(int))
    with Genome(folder / "genome.fa") as genome:
        for seqid, start in (places[row] for row in rows):
            bases = genome.fetch(seqid, start, start + length).tobytes().decode("ascii")
            yield (
                f"{seqid}:{start}-{start + config.prompt_length}",
                bases[: config.prompt_length],
                bases[config.prompt_length :],
            )


def _seed(run_seed: int, prompt_id: str, sample: int) -> int:
    """Seed of one sequence: the same for both models, so that they differ by the model alone."""
    words = np.random.SeedSequence([run_seed, sample, *prompt_id.encode()]).generate_state(1)
    return int(words[0])


def _write_fasta(generations: pd.DataFrame, path: Path) -> None:
    columns = ["prompt_id", "model", "sample", "logprob_mean", "sequence"]
    with path.open("w", encoding="utf-8") as file:
        for prompt_id, model, sample, logprob, sequence in generations[columns].itertuples(index=False, name=None):
            file.write(f">{prompt_id}|{model}|{sample} mean_logprob={logprob:.4f}\n{sequence}\n")
