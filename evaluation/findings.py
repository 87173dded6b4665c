"""Everything that is computed from a run, before it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.artefacts.facts import RunFacts, read_run
from evaluation.baselines import copying, markov
from evaluation.baselines.copying import CopyModel
from evaluation.baselines.markov import MarkovModel
from evaluation.browser.folder import BrowserFiles, new_tracks, write_browser
from evaluation.classification import analysis as classification
from evaluation.codons import clustering
from evaluation.codons.choices import ChoiceTally, CodonChoices
from evaluation.codons.clustering import Clustering
from evaluation.elements import contrasts
from evaluation.elements.contrasts import Elements
from evaluation.experiment import analysis
from evaluation.experiment.analysis import Experiment
from evaluation.forgetting import changes
from evaluation.forgetting.changes import Forgetting
from evaluation.generation import reading as generations
from evaluation.generation.reading import Generation
from evaluation.generation.section import checks as generation_checks
from evaluation.page.text import bracketed, plural
from evaluation.per_base.analysis import PerBaseResult, analyse
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.features import Features, FeatureTallies
from evaluation.per_base.genetic_code import most_frequent_code
from evaluation.per_base.stream import Baseline, Tally
from evaluation.per_base.verdict import Verdict, judge
from evaluation.preparation.reading import Preparation, read_preparation
from evaluation.search.section import Search, search_of
from evaluation.variants import effects
from evaluation.variants import reading as variants
from evaluation.variants.effects import VariantEffects
from workflow.artifacts import InputError, PerBaseScores, read_table

#: Fewer places than this say little of a genome.
_FEW_STRETCHES = 6


@dataclass(frozen=True)
class Settings:
    """What a report computes.

    Attributes
    ----------
    bootstrap_samples, confidence : int, float
        Resamplings of blocks of windows, and coverage of each interval.
    markov_max_order : int
        Largest order of the Markov baseline that is tried on the val split.
    heatmap_window, heatmap_bases : str or None, int
        Window drawn base by base (by default the one with the largest change), and how many bases of it.
    track_bin : int
        Bases of a bin of the bigWig tracks; 0 for none.
    forgetting_limit : float
        Nats per base that the adapted model may lose on other organisms.
    seed : int
        Of resampling and of everything drawn at random.
    """

    bootstrap_samples: int = 10_000
    confidence: float = 0.95
    markov_max_order: int = 12
    heatmap_window: str | None = None
    heatmap_bases: int = 120
    track_bin: int = 10
    forgetting_limit: float = 0.05
    seed: int = 42

    @property
    def resampling(self) -> dict[str, Any]:
        """How intervals are made."""
        return {"samples": self.bootstrap_samples, "confidence": self.confidence, "seed": self.seed}


@dataclass(frozen=True)
class Findings:
    """What a report says.

    Attributes
    ----------
    facts, preparation, per_base, features, codons, verdict : objects
        See their classes.
    predictions : dict
        Per-base predictions by model.
    markov, copy : objects
        The baselines that were fitted.
    outside : dict
        Mean probability mass outside A, C, G, T, by model.
    codon_states, forgetting, generation, variants, elements, experiment, classification, search, browser
        Objects; None where the run has none.
    """

    facts: RunFacts
    preparation: Preparation
    per_base: PerBaseResult
    features: Features
    codons: CodonChoices
    verdict: Verdict
    predictions: dict[str, PerBaseScores]
    markov: MarkovModel
    copy: CopyModel
    outside: dict[str, float]
    codon_states: Clustering | None
    forgetting: Forgetting | None
    generation: Generation | None
    variants: VariantEffects | None
    elements: Elements | None
    experiment: Experiment | None
    classification: classification.Analysis | None
    search: Search | None
    browser: BrowserFiles | None

    @property
    def labels(self) -> dict[str, str]:
        """What each model is called."""
        return {
            "uniform": "uniform guess",
            "markov": f"Markov order {self.markov.order}",
            "copy": "copy from train",
            "kmer": "k-mer regression",
            "base": "base",
            "adapted": "adapted",
            "genome": "genome, random",
            "truth": "genome, after prompts",
        }

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The gates of the evaluation itself: name, passed, saw, limit, why, subject."""
        found = [_beats_baseline(self.per_base, self.labels)]
        found += self.forgetting.checks() if self.forgetting else []
        return found + (generation_checks(self.generation) if self.generation else [])


def collect(run: Path, out: Path, settings: Settings) -> Findings:
    """Read a run's artefacts and compute everything. Tracks for a browser are written to `out` on the way.

    Raises
    ------
    InputError
        A stage is missing, or its files do not fit together.
    """
    facts, prepared = read_run(run), run / "prepare"
    predictions = read_predictions(run / "predict")
    store = next(iter(predictions.values()))
    chance = markov.fit_prepared(prepared, settings.markov_max_order)
    typical = int(np.median(store.index["length"])) if len(store) else 1
    copy = copying.fit(prepared, chance, typical, settings.seed)
    baselines: dict[str, Baseline] = {"markov": chance, "copy": copy}
    features = FeatureTallies(prepared, store.index, (*predictions, *baselines))
    code = most_frequent_code(read_table(prepared / "annotation.parquet", ["type", "transl_table"]))
    codons = ChoiceTally((*predictions, *baselines), code)
    tracks = new_tracks(run, out, predictions, list(baselines), settings.track_bin) if settings.track_bin else None
    tallies: Sequence[Tally] = (features, codons, tracks) if tracks else (features, codons)
    how = (settings.bootstrap_samples, settings.confidence, settings.seed)
    per_base = analyse(
        predictions,
        baselines,
        ClassTrack(prepared, in_frame=_are_coding(facts)),
        read_table(prepared / "sequences.parquet"),
        *how,
        tallies,
    )
    forgetting = changes.analyse(
        run / "predict" / "forgetting", chance, facts.organism, **settings.resampling, limit=settings.forgetting_limit
    )
    verdict = judge(
        per_base.comparison,
        facts.genome,
        facts.split,
        chance.order,
        settings.confidence,
        coding=per_base.strata.gain("class", "CDS"),
        held_out=facts.held_out,
        forgetting=forgetting.sentences if forgetting else (),
    )

    stretches = _stretches(store.index)
    if stretches < _FEW_STRETCHES:
        told = f"The windows lie in {plural(stretches, 'stretch', 'stretches')} of the genome"
        verdict.notes.append(f"{told}: the intervals do not cover how far other places differ from these.")

    def task(stage: str, read: Callable[[Path], Any]) -> Any:
        return read(run / stage) if stage in facts.manifests else None

    findings = Findings(
        facts=facts,
        preparation=read_preparation(prepared, facts.setting("preprocess", "mixture", "weights")),
        per_base=per_base,
        features=features.result(per_base.scores, *how),
        codons=codons.result(*how),
        verdict=verdict,
        predictions=predictions,
        markov=chance,
        copy=copy,
        outside={model: _mass_outside(store) for model, store in predictions.items()},
        codon_states=task("embed", lambda folder: clustering.read(folder, code, settings.seed)),
        forgetting=forgetting,
        generation=task("infer", lambda folder: generations.read(folder, prepared, chance, *how)),
        variants=task("variants", lambda folder: effects.assess(variants.read(folder), chance, *how)),
        elements=task("elements", lambda folder: contrasts.analyse(folder, chance, *how)),
        experiment=task("experiment", lambda folder: analysis.read(run, chance, *how)),
        classification=task("classify", lambda folder: classification.analyse(folder, *how)),
        search=search_of(run, out),
        browser=None,
    )
    if tracks is None:
        return findings
    title = f"{facts.run_name}: {facts.genome}"
    return Findings(**vars(findings) | {"browser": write_browser(run, out, tracks, findings.labels, title)})


def _are_coding(facts: RunFacts) -> bool:
    """Whether the windows that were scored are coding sequences in frame."""
    name = facts.setting("predict", "predict", "windows")
    return bool(facts.setting("predict", "windows", "sets", name, "kind") == "cds")


def _stretches(index: pd.DataFrame) -> int:
    """Runs of windows that adjoin or overlap."""
    ordered = index.sort_values(["seqid", "start"])
    reach = ordered.groupby("seqid")["end"].cummax().shift(fill_value=-1)
    begins = (ordered["seqid"] != ordered["seqid"].shift()) | (ordered["start"] > reach)
    return int(begins.sum())


def read_predictions(folder: Path) -> dict[str, PerBaseScores]:
    """Predictions by model. A zero-shot run has only `base`, one from scratch only `adapted`."""
    models = [model for model in ("base", "adapted") if (folder / model).exists()]
    if not models:
        raise InputError(f"{folder} holds no predictions: run stage=predict again with force=true")
    return {model: PerBaseScores(folder / model) for model in models}


def _mass_outside(store: PerBaseScores) -> float:
    """Mean probability outside A, C, G, T over all bases of the windows of a model."""
    path = store.folder / "scores.parquet"
    table = read_table(path)
    if "outside_acgt" not in table or len(table) != len(store):
        raise InputError(f"{path} was written by another version: run the stage again with stage=predict force=true")
    return float(np.average(table["outside_acgt"], weights=store.index["length"]))


def _beats_baseline(result: PerBaseResult, labels: dict[str, str]) -> dict[str, Any]:
    """Gate `beats_baseline`: the model that the run is about explains more than the Markov model."""
    model = result.scores.main_pair[0]
    difference = result.comparison.difference(model, "markov")
    assert difference is not None
    return {
        "name": "beats_baseline",
        "passed": difference.gain.sign > 0,
        "saw": f"{bracketed(difference.gain, signed=True)} nats per base, the {model} model over {labels['markov']}",
        "limit": "an interval above 0",
        "why": "What counts of short words explain as well is no achievement of a language model: train longer, on "
        "more data, or start from a larger model.",
        "subject": model,
    }
