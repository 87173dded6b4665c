"""Speed and memory of the baselines, and what they reach on labelled sequences.

python benchmarks/baselines.py [--bases 1e8] [--folder FOLDER] [--labelled TRAIN.csv TEST.csv] [--measured TABLE.tsv]

A made-up genome of independent bases, of which half of the val and of the test split are copies of train that differ in
3 % of their bases, is written to the folder. Each case runs in a process of its own. A labelled table has the columns
`sequence` and `label` (0 or 1), a measured one `sequence` and `enrichment`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prepare import Case, Table, run

ROOT = Path(__file__).resolve().parent.parent
ORDER, WINDOW, DIFFERENCE = 12, 8192, 0.03
_PIECE = 1 << 18


def in_own_process(name: str, *arguments: object) -> Case:
    return run([sys.executable, str(Path(__file__).resolve()), "--case", name, *map(str, arguments)])


def write_genome(folder: Path, bases: int) -> None:
    """The files of the stage `prepare` that baselines read: 80 % train, 10 % val, 10 % test."""
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    genome = letters[generator.integers(0, 4, bases, dtype=np.uint8)]
    tenth = bases // 10
    for split, start in (("val", 8 * tenth), ("test", 9 * tenth)):
        source = genome[tenth * (1 if split == "val" else 2) :][: tenth // 2]
        changed = generator.random(len(source)) < DIFFERENCE
        copy = np.where(changed, letters[generator.integers(0, 4, len(source))], source)
        genome[start : start + len(copy)] = copy
    (folder / "genome.fa").write_bytes(b">c\n" + genome.tobytes() + b"\n")
    (folder / "genome.fa.fai").write_text(f"c\t{bases}\t3\t{bases}\t{bases + 1}\n")
    regions = [("c", 0, 8 * tenth, "train"), ("c", 8 * tenth, 9 * tenth, "val"), ("c", 9 * tenth, bases, "test")]
    pd.DataFrame(regions, columns=["seqid", "start", "end", "split"]).to_parquet(folder / "split.parquet")


def fit_markov(folder: str) -> dict[str, Any]:
    from evaluation.baselines import markov

    markov.fit(*([_random(10**5)] for _ in range(2)), 3)  # compiles
    return _timed(lambda: markov.fit_prepared(Path(folder), ORDER), lambda model: {"order": model.order})


def predict_markov(folder: str) -> dict[str, Any]:
    from evaluation.baselines import markov

    model = markov.fit_prepared(Path(folder), ORDER)
    return _predicted(model, folder)


def fit_copy(folder: str) -> dict[str, Any]:
    from evaluation.baselines import copying

    model = _small_markov(folder)
    return _timed(
        lambda: copying.fit(Path(folder), model, WINDOW, seed=0), lambda copy: {"kmers": len(copy.sketch.keys)}
    )


def predict_copy(folder: str) -> dict[str, Any]:
    from evaluation.baselines import copying

    return _predicted(copying.fit(Path(folder), _small_markov(folder), WINDOW, seed=0), folder)


def correlate(rows: str) -> dict[str, Any]:
    import numpy as np

    from evaluation.statistics.correlations import correlate

    columns = np.random.default_rng(0).normal(size=(int(rows), 7))
    scores = {str(column): columns[:, column] for column in range(1, 5)}
    settings = (np.arange(int(rows)), 10_000, 0.95, 0)
    return _timed(lambda: correlate(columns[:, 0], scores, columns[:, 5:], *settings), lambda _: {})


def labelled(train: str, test: str) -> dict[str, Any]:
    import pandas as pd
    from sklearn.metrics import accuracy_score, matthews_corrcoef, roc_auc_score

    from evaluation.baselines.kmers import fit_predict

    known, asked = pd.read_csv(train), pd.read_csv(test)
    truth = asked["label"].to_numpy()
    return _timed(
        lambda: fit_predict(known["sequence"].tolist(), known["label"].to_numpy(), asked["sequence"].tolist(), "label"),
        lambda odds: {
            "accuracy": float(accuracy_score(truth, odds > 0)),
            "MCC": float(matthews_corrcoef(truth, odds > 0)),
            "AUROC": float(roc_auc_score(truth, odds)),
        },
    )


def measured(path: str) -> dict[str, Any]:
    import pandas as pd
    from scipy import stats

    from evaluation.baselines.kmers import cross_validated_scores

    table = pd.read_csv(path, sep="\t")
    value = table["enrichment"].to_numpy(float)
    return _timed(
        lambda: cross_validated_scores(table["sequence"].tolist(), value, "value"),
        lambda scores: {"Spearman, out of fold": float(stats.spearmanr(scores, value).statistic)},
    )


CASES = {
    case.__name__: case for case in (fit_markov, predict_markov, fit_copy, predict_copy, correlate, labelled, measured)
}


def _timed(action: Callable[[], Any], told: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    started = time.perf_counter()
    result = action()
    return {"seconds": time.perf_counter() - started, **told(result)}


def _random(bases: int) -> Any:
    import numpy as np

    return np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, bases)]


def _small_markov(folder: str) -> Any:
    from evaluation.artefacts.sequences import regions_of_split
    from evaluation.baselines import markov

    return markov.fit(*([next(regions_of_split(Path(folder), split, 3))] for split in ("train", "val")), 3)


def _predicted(model: Any, folder: str) -> dict[str, Any]:
    """Time to predict the test split, and its NLL in nats per base: on the copies, and on the rest."""
    import numpy as np

    from evaluation.artefacts.sequences import regions_of_split
    from evaluation.per_base.scores import BASE_COLUMN

    test = np.concatenate(list(regions_of_split(Path(folder), "test", 0)))
    model.logprobs(test[:WINDOW], np.zeros(1, np.int64))  # compiles
    nll, seconds = np.empty(len(test)), 0.0
    for first in range(0, len(test), _PIECE):
        bases = test[first : first + _PIECE]
        started = time.perf_counter()
        logprobs = model.logprobs(bases, np.arange(0, len(bases), WINDOW))
        seconds += time.perf_counter() - started
        nll[first : first + _PIECE] = -logprobs[np.arange(len(bases)), BASE_COLUMN[bases]]
    half = len(test) // 2
    return {
        "seconds": seconds,
        "bases": len(test),
        "copies": float(nll[:half].mean()),
        "rest": float(nll[half:].mean()),
    }


def measure(options: argparse.Namespace, folder: Path) -> None:
    write_genome(folder, options.bases)
    tenth = options.bases // 10
    table = Table(f"{options.bases / 1e6:g} Mb; Markov order up to {ORDER}, windows of {WINDOW}")
    nll = lambda case: f"NLL {case.told['copies']:.3f} on copies, {case.told['rest']:.3f} on the rest"  # noqa: E731
    table.row(
        "Markov, counted on train, chosen on val",
        9 * tenth,
        lambda: in_own_process("fit_markov", folder),
        lambda case: f"order {case.told['order']}",
    )
    table.row("Markov, prediction", tenth, lambda: in_own_process("predict_markov", folder), nll)
    table.row(
        "copy, sketch of train, learned on val",
        9 * tenth,
        lambda: in_own_process("fit_copy", folder),
        lambda case: f"{case.told['kmers']:,} k-mers",
    )
    table.row("copy, prediction", tenth, lambda: in_own_process("predict_copy", folder), nll)
    table.row("10,000 resamplings of 7,000 rows", None, lambda: in_own_process("correlate", 7000), lambda _: "")
    scores = lambda case: ", ".join(f"{key} {value:.3f}" for key, value in case.told.items() if key != "seconds")  # noqa: E731
    if options.labelled:
        table.row("k-mers, labels", None, lambda: in_own_process("labelled", *options.labelled), scores)
    if options.measured:
        table.row("k-mers, values", None, lambda: in_own_process("measured", options.measured), scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=lambda text: int(float(text)), default=10**8)
    parser.add_argument("--folder", type=Path, help="where to work")
    parser.add_argument("--labelled", nargs=2, type=Path, metavar=("TRAIN", "TEST"))
    parser.add_argument("--measured", type=Path, metavar="TABLE")
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        sys.path.insert(0, str(ROOT))
        name, *arguments = options.case
        print(json.dumps(CASES[name](*arguments)))
        return
    with tempfile.TemporaryDirectory(prefix="baselines-", dir=options.folder) as folder:
        measure(options, Path(folder))


if __name__ == "__main__":
    main()
