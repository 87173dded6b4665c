"""The sequences that are compared: what the models wrote, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import encode, split_fragments
from evaluation.baselines.markov import MarkovModel
from workflow.artifacts import BASES, InputError, read_table

#: In the order of tables and figures.
MODELS = ("base", "adapted")
#: Fragments of the genome for each sequence, so that their own sampling error is small; and their bounds in number.
_FRAGMENTS_PER_SEQUENCE, _FEWEST_FRAGMENTS, _MOST_FRAGMENTS = 20, 400, 4000


@dataclass(frozen=True)
class Samples:
    """Generated sequences beside what they are measured against.

    Attributes
    ----------
    table : DataFrame
        One row a sequence: group, prompt_id, sample, sequence, first_logprob (natural log, of the first base; NaN where
        unknown). Groups in order: `genome` (random fragments of the genome, with the lengths of the generated
        sequences; each is a prompt of its own), `truth` (what follows the prompts in the genome; may be missing),
        `markov` (continuations of the same prompts by the Markov model), and the models.
    background : list of str
        Many more random fragments of the genome, with the same lengths.
    """

    table: pd.DataFrame
    background: list[str]

    @property
    def groups(self) -> dict[str, pd.DataFrame]:
        """Rows of the table by group."""
        return {str(group): rows for group, rows in self.table.groupby("group", sort=False)}

    @property
    def models(self) -> tuple[str, ...]:
        """Models that wrote something."""
        return tuple(model for model in MODELS if model in set(self.table["group"]))


def read_generations(infer: Path) -> pd.DataFrame:
    """What the models wrote, without what is empty.

    Raises
    ------
    InputError
        The file is missing, or of another version.
    """
    path = infer / "generations.parquet"
    generations = read_table(path)
    if not {"kind", "first_logprob"} <= set(generations.columns):
        raise InputError(f"{path} was written by another version: run the stage again with stage=infer force=true")
    return generations[generations["sequence"].str.len() > 0].reset_index(drop=True)


def collect(generations: pd.DataFrame, prepared: Path, markov: MarkovModel, seed: int) -> Samples | None:
    """Put the continuations of prompts, but for those of given genes, beside the genome and the Markov model.

    Parameters
    ----------
    generations : DataFrame
        Of `read_generations`.
    prepared : Path
        Folder of the stage `prepare`.
    markov : MarkovModel
        The run's baseline.
    seed : int

    Returns
    -------
    Samples or None
        None when nothing was generated.
    """
    written = generations[generations["kind"] != "gene"]
    first = next((written[written["model"] == model] for model in MODELS if (written["model"] == model).any()), None)
    if first is None:
        return None
    lengths = first["sequence"].str.len().tolist()
    matched = split_fragments(prepared, None, lengths, seed)
    truth = written.drop_duplicates("prompt_id").dropna(subset="truth")
    continued = continue_prompts(markov.tables, first["prompt"].tolist(), lengths, seed)
    parts = [
        _rows("genome", [f"fragment {number}" for number in range(1, len(matched) + 1)], 0, matched),
        _rows("truth", truth["prompt_id"], 0, truth["truth"].astype(str)),
        _rows("markov", first["prompt_id"], first["sample"], continued),
    ]
    for model in MODELS:
        rows = written[written["model"] == model]
        parts.append(_rows(model, rows["prompt_id"], rows["sample"], rows["sequence"], rows["first_logprob"]))
    size = min(max(_FRAGMENTS_PER_SEQUENCE * len(lengths), _FEWEST_FRAGMENTS), _MOST_FRAGMENTS)
    background = split_fragments(prepared, None, np.resize(lengths, size).tolist(), seed + 1)
    return Samples(pd.concat([part for part in parts if len(part)], ignore_index=True), background)


def continue_prompts(tables: list[np.ndarray], prompts: Sequence[str], lengths: Sequence[int], seed: int) -> list[str]:
    """Continue each prompt with draws from a Markov model.

    As long as a prompt has shown fewer bases than the model's order, or another letter than A, C, G, T stands among
    its last ones, the context is what follows that letter.

    Parameters
    ----------
    tables : list of ndarray
        Log-probabilities by length of the context (`MarkovModel.tables`); the first n are a model of order n − 1.
    prompts : sequence of str
    lengths : sequence of int
        Bases drawn for each.
    seed : int
    """
    order = len(tables) - 1
    codes = [encode(prompt[len(prompt) - order :] if len(prompt) > order else prompt) for prompt in prompts]
    codes = [code[np.flatnonzero(code > 3).max(initial=-1) + 1 :] for code in codes]
    known = np.array([len(code) for code in codes], np.int64)
    context = np.array([int("".join(map(str, code)) or "0", 4) for code in codes], np.int64)
    generator = np.random.default_rng(seed)
    drawn = np.empty((len(codes), max(lengths, default=0)), np.uint8)
    for place in range(drawn.shape[1]):
        chances = generator.random(len(codes))
        for length in np.unique(known):
            rows = np.flatnonzero(known == length)
            shares = np.exp(tables[length][context[rows]].astype(np.float64)).cumsum(axis=1)
            drawn[rows, place] = (chances[rows, None] >= shares[:, :3] / shares[:, 3:]).sum(axis=1)
        context = (context * 4 + drawn[:, place]) % 4**order
        known = np.minimum(known + 1, order)
    letters = np.frombuffer(BASES.encode("ascii"), np.uint8)[drawn]
    return [row[:length].tobytes().decode("ascii") for row, length in zip(letters, lengths, strict=True)]


def _rows(
    group: str,
    prompts: Sequence[str] | pd.Series,
    samples: int | pd.Series,
    sequences: Sequence[str] | pd.Series,
    first_logprob: float | pd.Series = float("nan"),
) -> pd.DataFrame:
    columns = {"prompt_id": prompts, "sample": samples, "sequence": sequences, "first_logprob": first_logprob}
    plain = {name: value.to_numpy() if isinstance(value, pd.Series) else value for name, value in columns.items()}
    return pd.DataFrame({"group": group} | plain)
