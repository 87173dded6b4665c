"""Tables of the generated sequences for the page."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evaluation.generation.coding import LONG_FRAME
from evaluation.generation.completion import Completion
from evaluation.generation.complexity import LONG_RUN, LOW_COMPLEXITY
from evaluation.generation.composition import KMER
from evaluation.generation.diversity import KMER as DISTANCE_KMER
from evaluation.generation.memorisation import SEED, WORD
from evaluation.generation.reading import Continuations
from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, percent
from evaluation.statistics.bootstrap import Interval


def composition_table(found: Continuations, labels: Mapping[str, str]) -> Table:
    """Number, length, GC and 3-mer distance of each group."""
    rows = []
    for group, sequences in found.samples.groups.items():
        lengths = sequences["sequence"].str.len()
        rows.append(
            [
                labels[group],
                count(len(sequences)),
                count(float(lengths.mean())),
                _percents(found.composition.gc[group]),
                _rounded(found.composition.distance[group], 3),
            ]
        )
    caption = (
        f"Generated sequences beside the genome's. Distance: Jensen–Shannon distance of the {KMER}-mer spectrum to the "
        "genome's, 0 (same) to 1; the row of the genome's random fragments, one for each that a model wrote, shows the "
        "distance that sampling alone gives, and that of the Markov model what a few bases of context give. Intervals "
        "are over prompts."
    )
    if found.composition.difference is not None:
        caption += (
            f" Adapted − base: {bracketed(found.composition.difference, signed=True)}; below 0 is an improvement."
        )
    return Table(caption, ["sequences", "number", "mean length, bp", "GC", f"{KMER}-mer distance"], rows)


def coding_table(found: Continuations, labels: Mapping[str, str]) -> Table:
    """Reading frames and codon usage of each group."""
    coding = found.coding
    rows = [
        [
            labels[group],
            _rounded(coding.longest[group], 0),
            _percents(coding.long_frames[group]),
            count(coding.codons[group]) if group in coding.codons else MISSING,
            *(
                _rounded(values[group], decimals) if group in values else MISSING
                for values, decimals in (
                    (coding.distance, 3),
                    (coding.shuffled_distance, 3),
                    (coding.correlation, 2),
                    (coding.shuffled_correlation, 2),
                )
            ),
        ]
        for group in coding.longest
    ]
    caption = (
        "Open reading frames. Longest: mean over sequences of the longest stretch of codons without a stop, in any of "
        f"six frames, ends of the sequence included. Long: share of sequences where it has {LONG_FRAME} codons or "
        "more; codons: those in long frames. Codon distance: Jensen–Shannon distance of their frequencies to those of "
        f"{coding.transcripts:,} annotated coding sequences of train ({coding.codons['cds']:,} codons, genetic code "
        f"{coding.transl_table}); it is larger with fewer codons, and a frame that is open by chance counts too. "
        "RSCU correlation: Pearson's, of relative synonymous codon usage with theirs. Of shuffled bases: the same of "
        "those frames with their bases in random order, which base composition alone gives."
    )
    columns = ["sequences", "longest, codons", "long", "codons"]
    return Table(
        caption, [*columns, "codon distance", "of shuffled bases", "RSCU correlation", "of shuffled bases"], rows
    )


def complexity_table(found: Continuations, labels: Mapping[str, str]) -> Table:
    """Homopolymers and low complexity of each group."""
    rows = [
        [
            labels[group],
            _rounded(means["dust"], 2),
            _percents(means["low_complexity"]),
            _rounded(means["longest_run"], 1),
            _percents(means["in_runs"]),
        ]
        for group, means in found.complexity.means.items()
    ]
    caption = (
        "Repetitiveness. DUST: mean score of windows of 64 bp (Morgulis et al. 2006), higher is simpler; low "
        f"complexity: windows above {LOW_COMPLEXITY:g}. Longest: mean length of the longest homopolymer; in "
        f"homopolymers: share of the bases in homopolymers of {LONG_RUN} bp or more."
    )
    return Table(caption, ["sequences", "DUST", "low complexity", "longest, bp", "in homopolymers"], rows)


def memorisation_table(found: Continuations, labels: Mapping[str, str]) -> Table:
    """Exact matches of each group in train."""
    memorisation = found.memorisation
    sizes = memorisation.sequences.groupby("group", sort=False)["longest"]
    most = {str(group): values.max() for group, values in sizes}
    rows = [
        [
            labels[group],
            count(len(sizes.get_group(group))),
            _match(median),
            _bases(float(most[group])),
            _percents(memorisation.containment[group]),
        ]
        for group, median in memorisation.longest.items()
    ]
    caption = (
        "Copies of train. Longest exact match with either strand of the train split, median and maximum over "
        f"sequences; and share of the {WORD}-mers of a sequence that are anywhere in train. Random fragments of test "
        "show what the genome's own repeats give, and those of train what a perfect copy gives."
    )
    columns = ["sequences", "number", "median match, bp", "longest match, bp", f"{WORD}-mers in train"]
    return Table(caption, columns, rows)


def diversity_table(found: Continuations, labels: Mapping[str, str]) -> Table:
    """Distances within each group."""
    rows = [
        [
            labels[group],
            _rounded(value.between, 3),
            _rounded(value.within, 3),
            number(value.p_value, 4) if np.isfinite(value.p_value) else MISSING,
            _rounded(value.first_base, 2),
            percent(value.duplicates),
        ]
        for group, value in found.diversity.items()
    ]
    caption = (
        f"Diversity: mean cosine distance of the {DISTANCE_KMER}-mers of sequences of different prompts, and of "
        "samples of the same prompt. p: permutation test that the prompt changes nothing. First base: mean "
        "difference between prompts of the log-probability of the same first base, in nats; more than 0.02 shows that "
        "the model heeds its prompt. Equal: share of the sequences that are equal to another one."
    )
    return Table(caption, ["sequences", "between prompts", "within a prompt", "p", "first base", "equal"], rows)


def completion_table(completion: Completion, labels: Mapping[str, str]) -> Table:
    """Recovery of each gene, and over all."""
    groups = list(completion.recovery)
    first = completion.sequences.drop_duplicates("gene").set_index("gene")
    rows = [
        [
            gene,
            str(first["organism"][gene]),
            count(float(first["residues"][gene])),
            *(_rounded(means[group], 1) if group in means else MISSING for group in groups),
        ]
        for gene, means in completion.genes.items()
    ]
    rows.append(["all genes", "", "", *(_rounded(completion.recovery[group], 1) for group in groups)])
    rows.append(["intact", "", "", *(_percents(completion.intact[group]) for group in groups)])
    caption = (
        "Amino acids recovered, % of the residues that follow the prompt as far as the continuation could reach; mean "
        "over continuations, with intervals over continuations for a gene and over genes for all. Introns that a model "
        "wrote are spliced out before. The Markov model shows what chance gives. Intact: all these residues are there, "
        "without frameshift and stop."
    )
    if completion.difference is not None:
        caption += f" Adapted − base over all genes: {bracketed(completion.difference, signed=True)} percentage points."
    columns = ["gene", "organism", "residues", *(labels[group] for group in groups)]
    return Table(caption, columns, rows, words=2)


def _rounded(value: Interval, decimals: int) -> str:
    """`0.31 [0.28, 0.34]`, and the estimate alone where there is no interval."""
    if not value.defined:
        return number(value.estimate, decimals)
    low, high = (number(end, decimals) for end in (value.low, value.high))
    return f"{number(value.estimate, decimals)} [{low}, {high}]"


def _percents(value: Interval) -> str:
    raised = Interval(*(100 * end for end in (value.estimate, value.low, value.high)))
    return MISSING if np.isnan(value.estimate) else f"{_rounded(raised, 1)} %"


def _match(median: Interval) -> str:
    if not median.defined:
        return _bases(median.estimate)
    return f"{_bases(median.estimate)} [{_bases(median.low)}, {_bases(median.high)}]"


def _bases(length: float) -> str:
    return f"< {SEED}" if length < SEED else count(length)
