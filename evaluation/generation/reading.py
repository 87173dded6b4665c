"""Everything that is measured on what the models wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evaluation.baselines.markov import MarkovModel
from evaluation.generation.annotated import read_coding_sequences
from evaluation.generation.coding import Coding, measure_coding
from evaluation.generation.completion import Completion, complete
from evaluation.generation.complexity import Complexity, measure_complexity
from evaluation.generation.composition import Composition, compose
from evaluation.generation.diversity import GroupDiversity, measure_diversity
from evaluation.generation.intervals import Resampling
from evaluation.generation.memorisation import Memorisation, find_copies
from evaluation.generation.samples import Samples, collect, read_generations
from workflow.artifacts import read_table


@dataclass(frozen=True)
class Continuations:
    """Continuations of prompts from the genome or from the user, in every respect; see the classes of the parts."""

    samples: Samples
    composition: Composition
    coding: Coding
    complexity: Complexity
    memorisation: Memorisation
    diversity: dict[str, GroupDiversity]


@dataclass(frozen=True)
class Generation:
    """What was measured; a part is None where nothing of its kind was generated."""

    continuations: Continuations | None
    completion: Completion | None


def read(infer: Path, prepared: Path, markov: MarkovModel, samples: int, confidence: float, seed: int) -> Generation:
    """Measure what the stage `infer` generated.

    Parameters
    ----------
    infer, prepared : Path
        Folders of the stages `infer` and `prepare`.
    markov : MarkovModel
        The run's baseline, which continues the same prompts.
    samples, confidence, seed : int, float, int
        Resamplings and coverage of each interval; seed of resampling and of every random sequence.

    Raises
    ------
    InputError
        A file is missing, or of another version.
    """
    generations = read_generations(infer)
    resampling = Resampling(samples, confidence, seed)
    completion = None
    if (generations["kind"] == "gene").any():
        completion = complete(generations, read_table(infer / "genes.parquet"), markov, resampling)
    collected = collect(generations, prepared, markov, seed)
    if collected is None:
        return Generation(None, completion)
    continuations = Continuations(
        samples=collected,
        composition=compose(collected, resampling),
        coding=measure_coding(collected, read_coding_sequences(prepared), markov, resampling),
        complexity=measure_complexity(collected, resampling),
        memorisation=find_copies(collected, prepared, resampling),
        diversity=measure_diversity(collected, resampling),
    )
    return Generation(continuations, completion)
