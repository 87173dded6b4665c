"""Completion of genes: how much of a known protein a model recovers when it is given the beginning of the gene.

The task is that of the Evo 2 authors (Brixi et al. 2025): a model continues the sequence before and at the beginning of
a gene, and the amino acids that it wrote are compared with the known protein. Here the protein is aligned to prompt and
continuation together (`evaluation.generation.alignment`), so that introns that the model wrote are spliced out, and a
wrong one costs the residues that it swallows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.baselines.markov import MarkovModel
from evaluation.generation.alignment import align
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import MODELS, continue_prompts
from evaluation.statistics.bootstrap import Interval

#: What prompt ids of genes begin with.
PREFIX = "gene:"


@dataclass(frozen=True)
class Completion:
    """Amino-acid recovery.

    Attributes
    ----------
    sequences : DataFrame
        One row a continuation: gene, organism, group (`truth`, where the gene goes on in the file; `markov`; the
        models), sample, residues (of the protein beyond the prompt that the continuation could hold), recovered
        (identical ones), recovery (percent), introns, shifts, stops (in the aligned part beyond the prompt), intact
        (all of these residues were written, without frameshift or stop).
    genes : dict of dict
        Mean recovery (percent) by gene and group; intervals over samples.
    recovery, intact : dict
        By group: mean over genes of the mean recovery (percent), and share of the continuations that are intact;
        intervals over genes.
    difference : Interval or None
        Recovery of the adapted model − that of the base model, by gene.
    """

    sequences: pd.DataFrame
    genes: dict[str, dict[str, Interval]]
    recovery: dict[str, Interval]
    intact: dict[str, Interval]
    difference: Interval | None


def complete(
    generations: pd.DataFrame, genes: pd.DataFrame, markov: MarkovModel, resampling: Resampling
) -> Completion | None:
    """Align every continuation of a gene to its protein.

    Parameters
    ----------
    generations : DataFrame
        Of `evaluation.generation.samples.read_generations`.
    genes : DataFrame
        What the stage `infer` publishes: gene, organism, reference_protein, genomic_sequence, prompt_length, spliced.
    markov : MarkovModel
        The baseline: what it writes recovers residues by chance alone.
    resampling : Resampling

    Returns
    -------
    Completion or None
        None when no gene was continued.
    """
    written = generations[generations["kind"] == "gene"]
    if written.empty:
        return None
    continued = genes[(PREFIX + genes["gene"]).isin(written["prompt_id"])]
    outcomes = [_complete_gene(gene, written, markov.tables, resampling.seed) for _, gene in continued.iterrows()]
    table = pd.concat(outcomes, ignore_index=True)
    recovery, intact, by_gene = {}, {}, {}
    for group, rows in table.groupby("group", sort=False):
        means = rows.groupby("gene", sort=False)[["recovery", "intact"]].mean()
        names = means.index.to_numpy(str)
        recovery[str(group)] = resampling.mean(means["recovery"].to_numpy(float), names)
        intact[str(group)] = resampling.mean(means["intact"].to_numpy(float), names)
    for gene, rows in table.groupby("gene", sort=False):
        by_gene[str(gene)] = {
            str(group): resampling.mean(part["recovery"].to_numpy(float), part["sample"].to_numpy())
            for group, part in rows.groupby("group", sort=False)
        }
    return Completion(table, by_gene, recovery, intact, _difference(by_gene, resampling))


@dataclass(frozen=True)
class _Task:
    """One gene: what is given, and which residues are asked for.

    Attributes
    ----------
    protein, prompt : str
        The prompt begins at the first residue that it holds.
    known, asked : int
        Residues [known, asked) are counted: those that follow the prompt, as far as the continuation could go.
    """

    protein: str
    prompt: str
    is_spliced: bool
    known: int
    asked: int

    def outcome(self, text: str) -> dict[str, object]:
        """What a continuation recovers."""
        found = align(self.protein, self.prompt + text, self.is_spliced)
        written = (found.ends > len(self.prompt))[self.known : self.asked]
        recovered = int((written & found.identical[self.known : self.asked]).sum())
        residues = self.asked - self.known
        return {
            "residues": residues,
            "recovered": recovered,
            "recovery": 100 * recovered / residues if residues else float("nan"),
            "introns": sum(end > len(self.prompt) for _, end in found.introns),
            "shifts": found.shifts,
            "stops": found.stops,
            "intact": float(written.all() and not found.shifts and not found.stops) if residues else float("nan"),
        }


def _set_task(protein: str, prompt: str, truth: str, is_spliced: bool, length: int) -> _Task:
    """Find out what the prompt holds, and what its continuation by `length` bases could: what the true one does.

    Where that is not known, three bases are taken for a residue, as if no intron followed.
    """
    given = align(protein, prompt, is_spliced)
    aligned = np.flatnonzero(given.ends > 0)
    known = int(aligned[-1]) + 1 if len(aligned) else 0
    start = int(given.ends[aligned[0]]) - 3 if len(aligned) else 0
    asked = min(known + length // 3, len(protein))
    if truth:
        ends = align(protein, prompt[start:] + truth, is_spliced).ends
        asked = int(np.flatnonzero(ends > 0).max(initial=known - 1)) + 1
    return _Task(protein, prompt[start:], is_spliced, known, max(asked, known))


def _complete_gene(gene: pd.Series, written: pd.DataFrame, tables: list[np.ndarray], seed: int) -> pd.DataFrame:
    """Outcome of each continuation of one gene."""
    rows = written[written["prompt_id"] == PREFIX + gene["gene"]]
    prompt = gene["genomic_sequence"][: gene["prompt_length"]]
    length = int(rows["sequence"].str.len().max())
    truth = gene["genomic_sequence"][len(prompt) :][:length]
    task = _set_task(gene["reference_protein"].removesuffix("*"), prompt, truth, gene["spliced"], length)
    samples = sorted(set(rows["sample"]))
    drawn = continue_prompts(tables, [prompt] * len(samples), [length] * len(samples), seed)
    texts = [("truth", 0, truth)] if truth else []
    texts += [("markov", sample, text) for sample, text in zip(samples, drawn, strict=True)]
    for model in MODELS:
        part = rows[rows["model"] == model]
        texts += [(model, sample, text) for sample, text in zip(part["sample"], part["sequence"], strict=True)]
    names = {"gene": gene["gene"], "organism": gene["organism"]}
    return pd.DataFrame(
        [names | {"group": group, "sample": sample} | task.outcome(text) for group, sample, text in texts]
    )


def _difference(genes: dict[str, dict[str, Interval]], resampling: Resampling) -> Interval | None:
    changes = {
        gene: means["adapted"].estimate - means["base"].estimate
        for gene, means in genes.items()
        if {"adapted", "base"} <= means.keys()
    }
    if not changes:
        return None
    return resampling.mean(np.array(list(changes.values())), np.array(list(changes)))
