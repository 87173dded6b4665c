"""What the page, the metrics and the files say about the generated sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evaluation.generation import figures_composition, figures_groups, figures_sequences, tables
from evaluation.generation.completion import Completion
from evaluation.generation.composition import FEWEST_IN_LOGO
from evaluation.generation.diversity import checks as diversity_checks
from evaluation.generation.reading import Continuations, Generation
from evaluation.page.layout import Picture, Section
from evaluation.page.text import number, plural

_OWN_LABELS = {"train": "train, random", "test": "test, random", "dinucleotide": "Markov order 1"}
#: Sequences from which a figure of single sequences shows a spread.
_FEWEST_IN_FIGURE = 2


def sections(generation: Generation, labels: Mapping[str, str]) -> list[Section]:
    """Sections of the page: continuations of prompts, and completion of genes.

    Parameters
    ----------
    generation : Generation
    labels : dict
        What `genome`, `truth`, `markov`, `base` and `adapted` are called.
    """
    labels = _OWN_LABELS | dict(labels)
    parts = []
    if generation.continuations is not None:
        found = generation.continuations
        parts += [
            _composition(found, labels),
            _frames(found, labels),
            _copies(found, labels),
            _diversity(found, labels),
        ]
    if generation.completion is not None:
        parts.append(_completion(generation.completion, labels))
    return parts


def checks(generation: Generation) -> list[dict[str, object]]:
    """Gates on the generated sequences, as `evaluation.generation.diversity.checks` has them."""
    return diversity_checks(generation.continuations.diversity) if generation.continuations else []


def metrics(generation: Generation) -> dict[str, Any]:
    """Headline numbers for `metrics.json`; every estimate with the ends of its interval."""
    found, completion = generation.continuations, generation.completion
    result: dict[str, Any] = {}
    if found is not None:
        result["groups"] = {
            group: {
                "sequences": len(rows),
                "prompts": int(rows["prompt_id"].nunique()),
                "gc": vars(found.composition.gc[group]),
                "kmer_distance": vars(found.composition.distance[group]),
                "longest_frame_codons": vars(found.coding.longest[group]),
                "codon_distance": vars(found.coding.distance[group]),
                "codon_distance_shuffled": vars(found.coding.shuffled_distance[group]),
                "codon_correlation": vars(found.coding.correlation[group]),
                "codon_correlation_shuffled": vars(found.coding.shuffled_correlation[group]),
                "complexity": {name: vars(mean) for name, mean in found.complexity.means[group].items()},
                "distance_between_prompts": vars(found.diversity[group].between),
                "distance_within_prompts": vars(found.diversity[group].within),
                "prompt_p_value": found.diversity[group].p_value,
                "first_base_nats": vars(found.diversity[group].first_base),
                "duplicates": found.diversity[group].duplicates,
            }
            for group, rows in found.samples.groups.items()
        }
        result["memorisation"] = {
            group: {"median_match": vars(median), "containment": vars(found.memorisation.containment[group])}
            for group, median in found.memorisation.longest.items()
        }
    if completion is not None:
        result["completion"] = {
            group: {"recovery": vars(mean), "intact": vars(completion.intact[group])}
            for group, mean in completion.recovery.items()
        }
    return result


def files(generation: Generation) -> dict[str, pd.DataFrame]:
    """Tables for files, by name: every sequence with what was measured on it, spectra, codon usage, completions."""
    found, result = generation.continuations, {}
    if found is not None:
        columns = [found.composition.sequences[["length", "gc"]], found.coding.sequences[["codons"]]]
        columns.append(found.complexity.sequences.drop(columns="group"))
        result["generation"] = pd.concat([found.samples.table[["group", "prompt_id", "sample"]], *columns], axis=1)
        result["generation_copies"] = found.memorisation.sequences
        result["kmers"] = found.composition.spectra
        result["codon_usage"] = found.coding.usage
    if generation.completion is not None:
        result["gene_completion"] = generation.completion.sequences
    return result


def _composition(found: Continuations, labels: Mapping[str, str]) -> Section:
    composition = found.composition
    pictures, remarks = [], []
    if composition.logos:
        pictures.append(
            Picture(
                "logo",
                figures_composition.sequence_logos(composition, labels),
                "Sequence logo of what follows the prompts.",
                "Tall letters are positions where the sequences agree; continuations of unrelated prompts should be as "
                "flat as the genome's own, and a tall logo means that the model writes the same whatever it is given; "
                "with few sequences (n) some letters are tall by chance.",
            )
        )
    if _most_written(found) < FEWEST_IN_LOGO:
        remarks.append(
            f"A logo is drawn of {FEWEST_IN_LOGO} sequences or more: fewer cannot show where sequences agree. Each "
            f"model wrote {plural(_most_written(found), 'sequence')}; infer.samples and infer.n_prompts give more."
        )
    lengths = composition.sequences.loc[composition.sequences["group"].isin(found.samples.models), "length"]
    if lengths.min() < lengths.max():
        pictures.append(
            Picture(
                "lengths",
                figures_composition.length_histogram(composition, labels),
                "Lengths of the generated sequences.",
                "A peak at the requested length is normal; shorter ones ended early.",
            )
        )
    else:
        remarks.append(f"Every sequence that a model wrote is {plural(int(lengths.iloc[0]), 'base')} long.")
    if found.samples.background:
        pictures += _kmer_pictures(found, labels)
    else:
        remarks.append(
            "No region of the split is as long as these sequences, so that there are no fragments of the genome to "
            "compare them with; a smaller infer.length has some."
        )
    return Section("Generated sequences", [tables.composition_table(found, labels)], pictures, remarks)


def _kmer_pictures(found: Continuations, labels: Mapping[str, str]) -> list[Picture]:
    kmers = Picture(
        "kmers",
        figures_composition.kmer_spectrum(found.composition, labels),
        "3-mers of the generated sequences against the genome's at matched length.",
        "Points on the bars mean the genome's composition; random fragments of the genome, as many as a model wrote, "
        f"are at a distance of {number(found.composition.distance['genome'].estimate)} by sampling alone.",
    )
    plane = Picture(
        "kmer_plane",
        figures_composition.principal_components(found.composition, labels),
        "Principal components of the 4-mers of single sequences.",
        "The axes are those along which fragments of the genome (grey) differ most; large symbols are means. A model "
        "whose sequences cover the grey cloud writes as variedly as the genome is; a clump beside it is a composition "
        "of its own.",
    )
    return [kmers, plane]


def _frames(found: Continuations, labels: Mapping[str, str]) -> Section:
    pictures = []
    if _most_written(found) >= _FEWEST_IN_FIGURE:
        pictures.append(
            Picture(
                "sequence_properties",
                figures_sequences.properties(found.composition, found.coding, found.complexity, labels),
                "Properties of single sequences: a, GC; b, longest open reading frame; c, complexity; d, homopolymers.",
                "Dots are sequences (300 of each group at most), diamonds means with intervals over prompts. The "
                "models' rows should resemble those of the genome in place and spread; open frames that are longer "
                "than the Markov model's speak for coding sequence, high DUST scores for a model that repeats itself.",
            )
        )
    if figures_sequences.can_draw_usage(found.coding):
        pictures.append(
            Picture(
                "codon_usage",
                figures_sequences.codon_usage(found.coding, labels),
                "Codon usage of long open reading frames against that of the annotated genes of train.",
                "1 (dotted) means that all codons of an amino acid are equally frequent; points on the bars mean the "
                "genome's own preferences.",
            )
        )
    contents = [tables.coding_table(found, labels), tables.complexity_table(found, labels)]
    return Section("Reading frames and repetitiveness of generated sequences", contents, pictures, level=3)


def _copies(found: Continuations, labels: Mapping[str, str]) -> Section:
    pictures = []
    if _most_written(found) >= _FEWEST_IN_FIGURE:
        pictures.append(
            Picture(
                "generation_copies",
                figures_sequences.copies(found.memorisation, labels),
                "Copies of the train split in single sequences: a, longest exact match; b, 31-mers that are in train.",
                "Dots are sequences (300 of each group at most), diamonds the median (a) and the mean (b) with "
                "intervals over prompts. A model whose rows lie to the right of those of what follows the prompts and "
                "of random test fragments recites train.",
            )
        )
    return Section(
        "Copies of train in generated sequences", [tables.memorisation_table(found, labels)], pictures, level=3
    )


def _diversity(found: Continuations, labels: Mapping[str, str]) -> Section:
    pictures = []
    if any(np.isfinite(found.diversity[model].between.estimate) for model in found.samples.models):
        pictures.append(
            Picture(
                "diversity",
                figures_groups.distances(found.diversity, labels),
                "Distances between sequences of different prompts (filled) and of the same prompt (open).",
                "Bars are intervals over prompts. Both near 0: the model writes the same again and again; filled to "
                "the right of open: the prompt makes a difference.",
            )
        )
    return Section("Diversity of generated sequences", [tables.diversity_table(found, labels)], pictures, level=3)


def _completion(completion: Completion, labels: Mapping[str, str]) -> Section:
    labels = dict(labels) | {"truth": "true gene"}
    picture = Picture(
        "gene_completion",
        figures_groups.gene_completion(completion, labels),
        "Amino acids of known proteins that the models recover when they are given the beginning of the gene.",
        "Dots are continuations, diamonds means with intervals. What lies no further right than the Markov model is "
        "chance.",
    )
    remarks = []
    if len(completion.genes) > figures_groups.MOST_GENES:
        remarks.append(
            f"The figure shows the first {figures_groups.MOST_GENES} of {len(completion.genes):,} genes; "
            "tables/gene_completion.csv has them all."
        )
    return Section("Completion of genes", [tables.completion_table(completion, labels)], [picture], remarks)


def _most_written(found: Continuations) -> int:
    return max(len(found.samples.groups[model]) for model in found.samples.models)
