"""Stage `variants`: how much likelier the alternative allele is than the reference, in its surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.artifacts import write_json
from workflow.console import say
from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.genome.files import locate
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.distances import distances
from workflow.stages.scoring import score_strands
from workflow.variants.outside import read_scores
from workflow.variants.reading import read_variants
from workflow.variants.reference import check_bases, place
from workflow.variants.windows import WindowPairs, flanks, window_bounds

_DIRECTIONS = {"+": "forward", "-": "reverse"}
_PUBLISHED = ["variant_id", "line", "seqid", "position", "ref", "alt", "kind", "label", "positive", "measured"]


def variants(context: StageContext) -> dict[str, object]:
    """Score every variant of `variants.table` with every model of the run, or take scores made elsewhere.

    The score is Δ = ln P(alternative window) − ln P(reference window), in nats, the sum over all bases of the
    windows, and the mean of both strands: negative where the alternative is less likely. Of an indel, the two windows
    have different lengths, so that each base more or less costs or saves about what a base costs on average. With
    `variants.layer`, distances between the embeddings of the two windows stand beside it.

    Writes `variants.parquet` (variant_id, line, seqid, position 0-based, ref, alt, kind, label, positive, measured,
    consequence, window_start, window_end, left_flank and right_flank: the bases beside the allele; `delta_<model>`
    and, of models that were run here, `delta_forward_<model>` and `delta_reverse_<model>`; with `variants.layer` the
    columns of `workflow.stages.distances.distances`), `left_out.parquet` (reason, variants, line of the first) and
    `about.json`.

    Returns
    -------
    dict
        Variants by kind, sites of the reference that were compared, variants left out by reason, and labels.

    Raises
    ------
    GateError
        The windows are too short or too long for the model, or it gives much of its probability to other tokens.
    InputError
        The table cannot be used, or does not agree with the reference.
    """
    config = context.config.variants
    assert config.table is not None  # the configuration refuses the stage without a table
    path = locate(config.table, "variants.table names it")
    read = read_variants(path, config)
    with _reference(context) as genome:
        placed = place(read, genome, path, config.first_position, config.sequence_name)
        sites = check_bases(placed, genome, path, config.first_position)
        scorable, left_out = _divide(placed, path)
        lengths = scorable["seqid"].map(genome.lengths).to_numpy(np.int64)
        ref_lengths = scorable["ref"].str.len().to_numpy(np.int64)
        bounds = window_bounds(scorable["start"].to_numpy(np.int64), ref_lengths, lengths, config.window)
        scorable = scorable.assign(window_start=bounds[:, 0], window_end=bounds[:, 1])
        left, right = flanks(scorable, genome)
        models, deltas = _given(context, scorable) if config.scores else _scored(context, scorable, genome)
    table = scorable.assign(position=scorable["start"])[[*_PUBLISHED, "consequence", "window_start", "window_end"]]
    table = table.assign(left_flank=left, right_flank=right)
    pd.concat([table, deltas], axis=1).to_parquet(context.out / "variants.parquet", index=False)
    left_out.to_parquet(context.out / "left_out.parquet", index=False)
    _write_about(context, path, sites, len(read), models)
    return _counts(table, left_out, sites)


@contextmanager
def _reference(context: StageContext) -> Iterator[Genome]:
    """The reference: a FASTA of the user's, indexed for as long as it is needed, or the run's genome."""
    fasta = context.config.variants.fasta
    if fasta is None:
        with Genome(context.published("prepare") / "genome.fa") as genome:
            yield genome
        return
    own = context.out / "reference.fa"
    import_fasta(locate(fasta, "variants.fasta names it"), own)
    with Genome(own) as genome:
        yield genome
    own.unlink()
    own.with_name("reference.fa.fai").unlink()


def _divide(placed: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The variants that can be scored in the order of the table, and the others by reason."""
    scorable = placed[placed["reason"].isna()].reset_index(drop=True)
    by_reason = placed.dropna(subset=["reason"]).groupby("reason", sort=False)
    left_out = by_reason.agg(variants=("line", "size"), line=("line", "first")).reset_index()
    left_out["reason"] = left_out["reason"].astype(str)
    left_out = left_out.sort_values("variants", ascending=False, kind="stable", ignore_index=True)
    told = "; ".join(f"{reason}: {number:,}" for reason, number, _ in left_out.itertuples(index=False))
    if scorable.empty:
        raise InputError(f"{path}: none of the {len(placed):,} variants can be scored ({told})")
    if told:
        say(f"{path.name}: variants left out ({told})")
    return scorable, left_out


def _scored(context: StageContext, scorable: pd.DataFrame, genome: Genome) -> tuple[list[str], pd.DataFrame]:
    """The run's models, and the differences of their log-likelihoods."""
    both = context.config.variants.reverse_complement
    pairs = WindowPairs(scorable, genome)
    row = {name: number for number, name in enumerate(pairs)}
    totals: dict[str, dict[str, np.ndarray]] = {}
    for score in score_strands(context, pairs, both=both, why="windows of variants"):
        strands = totals.setdefault(score.model, {})
        strands.setdefault(score.strand, np.full(len(row), np.nan))[row[score.sequence_id]] = score.total
    alternative = [row[name] for name in scorable["variant_id"]]
    reference = [row[name] for name in pairs.reference]
    deltas: dict[str, np.ndarray] = {}
    for model, strands in totals.items():
        by_strand = {strand: total[alternative] - total[reference] for strand, total in strands.items()}
        deltas[f"delta_{model}"] = np.mean(list(by_strand.values()), axis=0)
        deltas |= {f"delta_{_DIRECTIONS[strand]}_{model}": delta for strand, delta in by_strand.items()}
    table = pd.DataFrame(deltas)
    if context.config.variants.layer is not None:
        table = pd.concat([table, distances(context, scorable, pairs, pairs.reference)], axis=1)
    return list(totals), table


def _given(context: StageContext, scorable: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Models that ran elsewhere, and their scores."""
    config = context.config.variants
    assert config.scores is not None
    path = locate(config.scores, "variants.scores names it")
    scores, ignored = read_scores(path, scorable["variant_id"], config)
    say(f"{path.name}: scores of {', '.join(scores.columns)}")
    if ignored:
        say(f"{path.name}: columns that do not hold numbers are not read ({', '.join(ignored)})")
    return list(scores.columns), scores.add_prefix("delta_")


def _write_about(context: StageContext, path: Path, sites: int, alleles: int, models: list[str]) -> None:
    config = context.config.variants
    about = {
        "table": path.name,
        "models": models,
        "reference": Path(config.fasta).name if config.fasta else "the run's genome",
        "alleles": alleles,
        "reference_sites": sites,
        "window": config.window,
        "both_strands": config.reverse_complement,
        "layer": config.layer,
        "scores": Path(config.scores).name if config.scores else None,
        "label": config.label_column,
        "positive": list(config.positive),
        "negative": list(config.negative),
        "measured": config.score_column,
        "consequence": config.consequence_column,
    }
    write_json(context.out / "about.json", about)


def _counts(table: pd.DataFrame, left_out: pd.DataFrame, sites: int) -> dict[str, object]:
    counts: dict[str, object] = {"variants": len(table), "reference_sites": sites}
    counts |= {str(kind): int(number) for kind, number in table["kind"].value_counts().items()}
    for side, label in (("positive", True), ("negative", False)):
        counts[side] = int((table["positive"] == label).sum())
    counts["left_out"] = {str(reason): int(number) for reason, number, _ in left_out.itertuples(index=False)}
    return counts
