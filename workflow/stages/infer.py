"""Stage `infer`: continue prompts with the base and the adapted model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from workflow.stages.genes import read_genes
from workflow.stages.vocabulary import check_mass_outside_acgt


@dataclass(frozen=True)
class _Asked:
    """One prompt, with what follows it where that is known."""

    prompt_id: str
    kind: str
    text: str
    truth: str | None


def infer(context: StageContext) -> dict[str, object]:
    """Generate `infer.samples` continuations of each prompt with every model of the run.

    Writes `generations.parquet` (prompt_id, kind: window, given or gene, model, sample, prompt, sequence, truth,
    first_logprob, logprob_sum, logprob_mean, seed; natural log, of the model's own distribution) and
    `generations.fa`; and with `infer.genes` `genes.parquet` (see `workflow.stages.genes.read_genes`), whose prompts are
    named `gene:NAME`.

    Returns
    -------
    dict
        Prompts, sequences and bases generated, mean log-probability by model.

    Raises
    ------
    InputError
        A prompt is not DNA, or there is none; the table of genes cannot be used.
    """
    config = context.config.infer
    prompts = _prompts(context)
    requests = [
        Prompt(prompt.text, _seed(context.config.seed, prompt.prompt_id, sample))
        for prompt in prompts
        for sample in range(config.samples)
    ]
    tables = []
    for name, files in context.models().items():
        results = context.backend().generate(context.config, files, requests)
        generated = list(track(results, f"generating with the {name} model", len(requests), "sequences"))
        table = pd.DataFrame(
            {
                "prompt_id": np.repeat([prompt.prompt_id for prompt in prompts], config.samples),
                "kind": np.repeat([prompt.kind for prompt in prompts], config.samples),
                "model": name,
                "sample": np.tile(np.arange(config.samples), len(prompts)),
                "prompt": [request.text for request in requests],
                "sequence": [result.sequence for result in generated],
                "truth": np.repeat(np.array([prompt.truth for prompt in prompts], dtype=object), config.samples),
                "first_logprob": [
                    float(result.logprobs[0]) if len(result.logprobs) else np.nan for result in generated
                ],
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


def _prompts(context: StageContext) -> list[_Asked]:
    """Prompts that are given, else windows of the test regions; and those of given genes."""
    config = context.config.infer
    prompts = list(_given_prompts(config, context.out))
    for prompt in prompts:
        if set(prompt.text.upper()) - set("ACGT"):
            raise InputError(f"prompt {prompt.prompt_id} holds letters other than A, C, G, T")
    if not prompts:
        prompts = list(_prompts_from_windows(context))
    if config.genes:
        genes = read_genes(locate(config.genes, "infer.genes names it"), config.gene_prompt_share)
        genes.to_parquet(context.out / "genes.parquet", index=False)
        prompts += _prompts_of_genes(genes, config.length)
    for prompt in prompts:
        if not prompt.text:
            mend = "set a larger infer.gene_prompt_share" if prompt.kind == "gene" else "give it bases or leave it out"
            raise InputError(f"prompt {prompt.prompt_id} is empty: {mend}")
    return prompts


def _given_prompts(config: InferConfig, out: Path) -> Iterator[_Asked]:
    if config.prompt_file:
        import_fasta(locate(config.prompt_file, "infer.prompt_file names it"), out / "prompts.fa")
        with Genome(out / "prompts.fa") as records:
            for name, length in records.lengths.items():
                yield _Asked(name, "given", records.fetch(name, 0, length).tobytes().decode("ascii"), None)
    for number, prompt in enumerate(config.prompts, start=1):
        yield _Asked(f"prompt_{number}", "given", prompt, None)


def _prompts_of_genes(genes: pd.DataFrame, length: int) -> Iterator[_Asked]:
    """The beginning of each gene, with as much of the rest as is generated."""
    for gene, sequence, size in genes[["gene", "genomic_sequence", "prompt_length"]].itertuples(index=False, name=None):
        yield _Asked(f"gene:{gene}", "gene", sequence[:size], sequence[size:][:length] or None)


def _prompts_from_windows(context: StageContext) -> Iterator[_Asked]:
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
            name = f"{seqid}:{start}-{start + config.prompt_length}"
            yield _Asked(name, "window", bases[: config.prompt_length], bases[config.prompt_length :])


def _seed(run_seed: int, prompt_id: str, sample: int) -> int:
    """Seed of one sequence: the same for both models, so that they differ by the model alone."""
    words = np.random.SeedSequence([run_seed, sample, *prompt_id.encode()]).generate_state(1)
    return int(words[0])


def _write_fasta(generations: pd.DataFrame, path: Path) -> None:
    columns = ["prompt_id", "model", "sample", "logprob_mean", "sequence"]
    with path.open("w", encoding="utf-8") as file:
        for prompt_id, model, sample, logprob, sequence in generations[columns].itertuples(index=False, name=None):
            file.write(f">{prompt_id}|{model}|{sample} mean_logprob={logprob:.4f}\n{sequence}\n")
