"""Does a loss that knows the genetic code help? `nll` against `codon_hxe` and its random control, over several seeds.

python benchmarks/codons.py [--genome athaliana_plastid] [--fasta FILE --annotation FILE] [--seeds 5] [SETTING=VALUE …]

Every training is an ordinary run of the pipeline, with the same split, samples of the same mixture, model and number of
steps; a seed changes the order of the samples, the first adapters, and the shuffled tree of the control. What is scored
are the coding sequences of the test split, joined in frame and read along the gene. Runs are kept in `--runs`, so that
the same command goes on where it was stopped. The tables that it prints are Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from scipy import stats

from evaluation.baselines import markov
from evaluation.codons.choices import ChoiceTally, CodonChoices
from evaluation.page.text import plural
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.genetic_code import most_frequent_code
from evaluation.per_base.stream import stream
from evaluation.statistics.blocks import blocks
from evaluation.statistics.multiple import holm
from workflow.artifacts import PerBaseScores, read_manifest, read_table
from workflow.command import resolve
from workflow.config import register_schema
from workflow.pipeline import Run

ROOT = Path(__file__).parent.parent
STAGES = "stage=[download,prepare,preprocess,convert,train,predict]"
#: Settings of all arms: about one pass over the coding sequences of the plastid. Read from the other strand, a sample
#: would not be in frame.
COMMON = (
    "windows=genes",
    "mixture=codons",
    "predict.windows=cds",
    "predict.forgetting=null",
    "train.reverse_complement=0",
    "train.context_length=512",
    "train.steps=60",
    "train.batch_size=4",
    "train.warmup_steps=10",
    "train.validate_every=60",
    "train.validation_samples=16",
)
#: Measure, how it is called, and whether less of it is better.
MEASURES = (
    ("nll", "NLL, nats per base", True),
    ("third_error", "wrong third bases, %", True),
    ("third_synonymous", "of these synonymous, %", False),
    ("codon_error", "wrong codons, %", True),
    ("codon_synonymous", "of these synonymous, %", False),
    ("severity", "severity, levels", True),
)
_WORDS = {
    "nll": "NLL",
    "third_error": "wrong third bases",
    "third_synonymous": "synonymous share of wrong third bases",
    "codon_error": "wrong codons",
    "codon_synonymous": "synonymous share of wrong codons",
    "severity": "severity",
}
_IN_PERCENT = ("third_error", "third_synonymous", "codon_error", "codon_synonymous")
BASELINES = {"uniform": "uniform guess", "markov": "Markov model", "base": "model before training"}
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Arm:
    """One objective."""

    name: str
    settings: tuple[str, ...]
    alpha: float | None = None
    is_control: bool = False


def arms(alphas: Sequence[float], control: Sequence[float]) -> list[Arm]:
    """The plain loss, the hierarchical one, and the control with shuffled codons."""
    made = [Arm("nll", ("train.objective=nll",))]
    for hierarchy, chosen in (("standard", alphas), ("random", control)):
        for alpha in chosen:
            given = ("train.objective=codon_hxe", f"train.codon.alpha={alpha}", f"train.codon.hierarchy={hierarchy}")
            name = "codon_hxe" if hierarchy == "standard" else "random control"
            made.append(Arm(f"{name}, α = {alpha:g}", given, alpha, hierarchy == "random"))
    return made


def run(folder: Path, arm: Arm, seed: int, settings: Sequence[str]) -> Path:
    """Train and score one arm with one seed, unless that was done; the run folder."""
    name = "-".join([setting.partition("=")[2] for setting in arm.settings] + [f"seed{seed}"])
    # The plain loss refuses what it does not read.
    settings = [setting for setting in settings if arm.alpha is not None or not setting.startswith("train.codon.")]
    given = [*COMMON, *settings, *arm.settings, f"train.seed={seed}", f"runs_folder={folder}", f"run_name={name}"]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "configs")):
        config = resolve(compose("config", [*given, STAGES]))
    Run(config, folder / "shared").execute()
    return folder / name


def measure(run_folder: Path, baseline: markov.MarkovModel) -> CodonChoices:
    """What the models of a run, and the Markov model, choose in the coding sequences that were scored."""
    prepared = run_folder / "prepare"
    predictions = {
        model: PerBaseScores(run_folder / "predict" / model)
        for model in ("base", "adapted")
        if (run_folder / "predict" / model).exists()
    }
    index = next(iter(predictions.values())).index
    code = most_frequent_code(read_table(prepared / "annotation.parquet", ["type", "transl_table"]))
    tally = ChoiceTally((*predictions, "markov"), code)
    of_window = blocks(index, read_table(prepared / "sequences.parquet"))
    for chunk in stream(predictions, {"markov": baseline}, ClassTrack(prepared, in_frame=True)):
        tally.add(chunk, of_window[chunk.rows])
    return tally.result(200, _CONFIDENCE, 0)


def values(found: CodonChoices, model: str) -> dict[str, float]:
    """The measures of one model, in the units of the table."""
    return {name: found.interval(model, name).estimate * (100 if name in _IN_PERCENT else 1) for name, _, _ in MEASURES}


def paired(one: pd.DataFrame, other: pd.DataFrame, name: str) -> tuple[float, float, float]:
    """Mean difference over seeds, with its 95 % interval of Student's t."""
    differences = one.set_index("seed")[name] - other.set_index("seed")[name]
    mean, n = float(differences.mean()), len(differences)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def score_table(results: pd.DataFrame, found: CodonChoices) -> list[list[str]]:
    """Baselines, then each arm: mean ± standard deviation over seeds."""
    rows = []
    for model, label in BASELINES.items():
        if model in set(found.table["model"]):
            rows.append([label, *(_number(value, name) for name, value in values(found, model).items())])
    for arm, part in results.groupby("arm", sort=False):
        cells = [
            f"{_number(part[name].mean(), name)} ± {_number(part[name].std(ddof=1), name)}" for name, _, _ in MEASURES
        ]
        rows.append([str(arm), *cells])
    return rows


def difference_table(results: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Paired differences over seeds, with their intervals."""
    by_arm = dict(list(results.groupby("arm", sort=False)))
    rows = []
    for one, other in pairs:
        cells = []
        for name, _, _ in MEASURES:
            mean, low, high = paired(by_arm[one], by_arm[other], name)
            cells.append(f"{_number(mean, name, '+')} [{_number(low, name, '+')}, {_number(high, name, '+')}]")
        rows.append([f"{one} − {other}", *cells])
    return rows


def verdict(results: pd.DataFrame, all_arms: Sequence[Arm]) -> list[str]:
    """In words, for each α: what differs from the plain loss, and what from the control with the same α.

    What differs has p < 0.05 of the paired t-test over seeds, after Holm's correction for all comparisons here.
    """
    if results["seed"].nunique() < 2:
        return ["One seed shows no spread: there is no verdict without more (--seeds)."]
    by_arm = dict(list(results.groupby("arm", sort=False)))
    pairs = comparisons(all_arms)
    tests = [(one, other, name, is_less) for one, other in pairs for name, _, is_less in MEASURES]
    p_values = holm(np.array([p_value(by_arm[one], by_arm[other], name) for one, other, name, _ in tests]))
    found: dict[tuple[str, str], dict[str, list[str]]] = {pair: {"better": [], "worse": []} for pair in pairs}
    for (one, other, name, is_less), p in zip(tests, p_values, strict=True):
        if p < 1 - _CONFIDENCE:
            is_better = (paired(by_arm[one], by_arm[other], name)[0] < 0) == is_less
            found[one, other]["better" if is_better else "worse"].append(_WORDS[name])
    return [_told(one, other, differences) for (one, other), differences in found.items()]


def comparisons(all_arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """Each arm with the plain loss, then each hierarchical one with its control."""
    controls = {arm.alpha: arm.name for arm in all_arms if arm.is_control}
    trained = [arm for arm in all_arms if arm.alpha is not None]
    pairs = [(arm.name, "nll") for arm in trained]
    return pairs + [(arm.name, controls[arm.alpha]) for arm in trained if arm.alpha in controls and not arm.is_control]


def p_value(one: pd.DataFrame, other: pd.DataFrame, name: str) -> float:
    """Of the paired t-test over seeds; NaN with fewer than two."""
    differences = one.set_index("seed")[name] - other.set_index("seed")[name]
    if len(differences) < 2:
        return float("nan")
    return float(stats.ttest_1samp(differences, 0).pvalue)


def _told(one: str, other: str, differences: dict[str, list[str]]) -> str:
    parts = [f"{kind} than {other} in {', '.join(names)}" for kind, names in differences.items() if names]
    return f"{one}: {' and '.join(parts) or f'no measure was shown to differ from {other}'}."


def _number(value: float, name: str, sign: str = "-") -> str:
    if not np.isfinite(value):
        return "–"
    decimals = {"nll": 4, "severity": 3}.get(name, 1)
    return f"{value:{sign}.{decimals}f}".replace("-", "−")


def markdown(rows: Sequence[Sequence[str]], first: str) -> str:
    """A table."""
    head = [first, *(title for _, title, _ in MEASURES)]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genome", default="athaliana_plastid", help="a genome of configs/genome; custom with --fasta")
    parser.add_argument("--fasta", type=Path)
    parser.add_argument("--annotation", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.2, 0.4, 0.6])
    parser.add_argument("--control", type=float, nargs="*", default=[0.2, 0.4], help="α of the random control")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "codons")
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="of all runs, as for workflow.run")
    given = parser.parse_intermixed_args()
    register_schema()
    genome = [f"genome={given.genome}"]
    if given.fasta:
        genome += [f"genome.fasta={given.fasta.resolve()}", f"genome.annotation={given.annotation.resolve()}"]
    all_arms, folder = arms(given.alphas, given.control), given.runs.resolve() / given.genome
    rows, baseline, found, begun = [], None, None, time.monotonic()
    for seed in range(1, given.seeds + 1):
        for arm in all_arms:
            made = run(folder, arm, seed, [*genome, *given.settings])
            baseline = baseline or markov.fit_prepared(made / "prepare", 12)
            found = measure(made, baseline)
            counts = read_manifest(made / "train")["counts"]
            rows.append({"arm": arm.name, "seed": seed, **values(found, "adapted"), **_in_frame(counts)})
            sys.stderr.write(f"{arm.name}, seed {seed}: {rows[-1]}\n")
    assert found is not None
    results = pd.DataFrame(rows)
    results.to_csv(folder / "results.csv", index=False)
    codons = int(found.table["codons"].iloc[0])
    print(
        f"{given.genome}: {codons:,} codons of the test split, {plural(given.seeds, 'seed')}, "
        "mean ± standard deviation\n"
    )
    print(markdown(score_table(results, found), "objective"), "\n")
    print(
        markdown(difference_table(results, comparisons(all_arms)), "difference, paired by seed [95 % interval]"), "\n"
    )
    print("\n".join(f"- {line}" for line in verdict(results, all_arms)))
    print(f"\n{time.monotonic() - begun:.0f} s")


def _in_frame(counts: dict[str, object]) -> dict[str, object]:
    """What of the training was in frame, as the manifest tells it."""
    return {key: value for key, value in counts.items() if key.startswith("codon") and isinstance(value, float | int)}


if __name__ == "__main__":
    main()
