"""Stage `elements`: regulatory elements against background and shuffled copies, and the mutants of a region."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.annotation.classes import ClassTrack
from workflow.artifacts import read_table, write_json
from workflow.elements import mutagenesis, sets
from workflow.elements.background import Surroundings
from workflow.elements.bed import read_bed
from workflow.elements.choice import Choice, choose, located, on_genome, promoters
from workflow.elements.intervals import Stretches
from workflow.errors import InputError
from workflow.genome.files import locate
from workflow.genome.layout import Layout
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.scoring import score_strands

_PROMOTERS, _ANY_SPLIT = "promoters", "any"
_WHAT = "regulatory elements"
_COLUMNS = ["element_id", "set", "pair", "seqid", "start", "end", "strand", "length", "gc", "soft_masked"]
_LAST_COLUMNS = ["in_promoter", "n", "sequence"]


def elements(context: StageContext) -> dict[str, object]:
    """Score regulatory elements, genomic background and shuffled copies with every model of the run.

    Writes `elements.parquet`: the table of `workflow.elements.sets.ElementSets`, with `score_<model>`, the mean
    log-likelihood of the sequence's bases (nats per base, mean of the strands that were read). Where
    `elements.region` names a region, also `region/region.json` (seqid, start, end, sequence, strands),
    `region/mutagenesis.parquet` (position, 0-based on the forward strand; ref, alt; `delta_<model>`, change of the
    whole region's log-likelihood in nats, mean of the strands) and `region/logprobs_<model>.npy`, (strands, length,
    4) float32: natural-log probability of A, C, G, T at each base of the forward strand given the bases before
    it and, as the second strand, given those after it.

    Returns
    -------
    dict
        Numbers of sequences, elements left out by reason, how well the background matches, and mean scores.

    Raises
    ------
    GateError
        The sequences are too short to mean anything, or a model gives much of its probability to other tokens.
    InputError
        The elements cannot be read or found, or nothing in the genome is like them.
    """
    config, prepared = context.config.elements, context.published("prepare")
    with Genome(prepared / "genome.fa") as genome:
        # Looked at and scored first: what is wrong with a region should not come out after hours of scoring.
        mutated = _mutated(config.region, config.mutate, genome) if config.region else None
        scored, counts = _elements(context, genome)
        if mutated is not None:
            counts["mutants"] = _mutate(context, mutated)
        found = pd.DataFrame({f"score_{model}": values for model, values in _scores(context, scored).items()})
        table = pd.concat([scored.table[_COLUMNS], found, scored.table[_LAST_COLUMNS]], axis=1)
        table.to_parquet(context.out / "elements.parquet", index=False)
    means = {f"{name}_of_{kind}": float(part[name].mean()) for kind, part in table.groupby("set") for name in found}
    return counts | means


def _elements(context: StageContext, genome: Genome) -> tuple[sets.ElementSets, dict[str, object]]:
    """The three sets, and what to tell of them."""
    config, prepared = context.config.elements, context.published("prepare")
    layout = Layout(genome.lengths)
    places, left_out = on_genome(_places(context, genome), genome.lengths)
    if config.split == _ANY_SPLIT:
        regions = Stretches.of(layout.offsets[:-1], layout.offsets[1:])
    else:
        divided = read_table(prepared / "split.parquet")
        regions = Stretches.of(*located(divided[divided["split"] == config.split], layout))
    choice = choose(places, layout, regions, config.maximum, context.config.seed)
    if choice.table.empty:
        raise InputError(
            f"none of {len(places):,} elements of elements.source={config.source} lies wholly in a region of the split "
            f"{config.split}: set elements.split=any, or make split.fractions larger"
        )
    with ClassTrack(prepared / "classes.npy", genome.lengths) as classes:
        where = Surroundings(genome, classes, layout, regions, Stretches.of(*located(places, layout)))
        found = sets.assemble(choice.table, where, config.flank, config.shuffles, context.config.seed)
    return found, _counts(found, choice, left_out)


def _places(context: StageContext, genome: Genome) -> pd.DataFrame:
    config = context.config.elements
    if config.source is None:
        raise InputError("elements.source is empty: set it to promoters, or to a BED file")
    if config.source != _PROMOTERS:
        return read_bed(locate(config.source, "elements.source names it"), genome.lengths)
    places = promoters(read_table(context.published("prepare") / "sites.parquet"), config.upstream, config.downstream)
    if places.empty:
        raise InputError("elements.source=promoters, but the annotation has no transcription start: give a BED file")
    return places


def _counts(found: sets.ElementSets, choice: Choice, left_out: dict[str, int]) -> dict[str, object]:
    table = found.table
    of_set = {name: table[table["set"] == name] for name in (sets.ELEMENT, sets.BACKGROUND, sets.SHUFFLED)}
    element, background, shuffled = of_set.values()
    unchanged = shuffled["sequence"].to_numpy() == element["sequence"].to_numpy()[shuffled["pair"]]
    reasons = {
        **left_out,
        **choice.left_out,
        "without_bases": found.without_bases,
        "without_background": found.without_background,
    }
    counts: dict[str, object] = {"elements": len(element), "shuffled": len(shuffled)}
    counts |= {"left_out": {reason: number for reason, number in reasons.items() if number}}
    for name in ("gc", "soft_masked"):
        difference = background[name].to_numpy() - element[name].to_numpy()
        counts[f"background_{name}_mean_difference"] = float(difference.mean())
        counts[f"background_{name}_worst_difference"] = float(np.abs(difference).max())
    return counts | {
        "background_in_promoters": int(background["in_promoter"].sum()),
        "shuffled_unchanged": int(unchanged.sum()),
    }


def _scores(context: StageContext, scored: sets.ElementSets) -> dict[str, np.ndarray]:
    """Mean log-likelihood of each sequence by model, nats per base: (n,), mean of the strands."""
    both = context.config.elements.reverse_complement
    sequences = {str(row): one.bases for row, one in enumerate(scored.sequences)}
    totals: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(sequences)))
    for score in score_strands(context, sequences, both=both, why=_WHAT):
        row = int(score.sequence_id)
        totals[score.model][row] += scored.sequences[row].log_likelihood(score.logprobs, score.strand)
    return {model: total / scored.table["n"].to_numpy() / (1 + both) for model, total in totals.items()}


@dataclass(frozen=True)
class _Mutated:
    """A region, its bases (length,) uint8, and its mutants as `workflow.elements.mutagenesis.mutations` has them."""

    region: mutagenesis.Region
    bases: np.ndarray
    wanted: pd.DataFrame


def _mutated(text: str, number: int, genome: Genome) -> _Mutated:
    region = mutagenesis.parse_region(text, genome.lengths)
    bases = genome.fetch(region.seqid, region.start, region.end)
    wanted = mutagenesis.mutations(bases, mutagenesis.mutated_part(len(bases), number))
    if wanted.empty:
        raise InputError(f"the middle of elements.region={text} holds none of A, C, G, T: choose another region")
    return _Mutated(region, bases, wanted)


def _mutate(context: StageContext, mutated: _Mutated) -> int:
    """Score every mutant of a region; their number."""
    config, wanted = context.config.elements, mutated.wanted
    out = context.out / "region"
    out.mkdir()
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    predicted: dict[str, list[np.ndarray]] = defaultdict(list)
    sequences = mutagenesis.mutants(mutated.bases, wanted)
    strands = "+-" if config.reverse_complement else "+"
    for score in score_strands(context, sequences, both=config.reverse_complement, why="mutants of a region"):
        totals[score.model][score.sequence_id] += score.total / len(strands)
        if score.sequence_id == mutagenesis.REFERENCE:
            # The complement of A, C, G, T is T, G, C, A: the columns backwards.
            predicted[score.model].append(score.logprobs if score.strand == "+" else score.logprobs[::-1, ::-1])
    table = wanted[["ref", "alt"]].copy()
    table.insert(0, "position", mutated.region.start + wanted["offset"])
    for model, of_model in totals.items():
        table[f"delta_{model}"] = mutagenesis.differences(of_model, wanted)
        np.save(out / f"logprobs_{model}.npy", np.stack(predicted[model]).astype(np.float32))
    table.to_parquet(out / "mutagenesis.parquet", index=False)
    sequence = sequences[mutagenesis.REFERENCE].tobytes().decode("ascii")
    write_json(out / "region.json", {**vars(mutated.region), "sequence": sequence, "strands": len(strands)})
    return len(wanted)
