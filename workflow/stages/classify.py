"""Stage `classify`: train classifiers of sequences and compare them; or label sequences with one that was trained."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow.artifacts import fingerprint, read_json, read_manifest, write_text
from workflow.config import ClassifyConfig, Config
from workflow.config.classify import BASELINES, NEURAL
from workflow.console import say
from workflow.errors import InputError
from workflow.genome.files import find, locate
from workflow.stages.context import StageContext

if TYPE_CHECKING:
    from workflow.classification.workshop import Workshop
    from workflow.labels import LabelledSet

#: Folder of the run that keeps trained methods until all are published.
STATE = "classify.state"
_FINISHED = "finished"
_NAME_LENGTH = 16
#: Settings that only concern labelling, and that only concern training; of neither depends what is made.
_OF_LABELLING = ("model", "input", "top_k", "threshold")
_WITHOUT_EFFECT = ("batch_tokens",)
#: What labelling reads beside.
_OF_INPUT = ("sequence_column", "id_column")


def classify(context: StageContext) -> dict[str, object]:
    """Train the methods of `classify.methods` and compare them, or label `classify.input` with `classify.model`.

    A training writes `labels.json`, `split.parquet`, `duplicates.csv`, `classify.json`, `methods/<method>/`
    (predictions and probabilities of the test, learning curves, `method.json`, and of the methods that train with the
    model the folder `model/`), and what the evaluation makes of them. Methods that an earlier run of the same data and
    settings has trained are not trained again. Labelling writes `predictions.jsonl` and `predictions.csv`.

    Returns
    -------
    dict
        Sequences by split and the scores of the best method and the baseline; or sequences and their throughput.

    Raises
    ------
    GateError
        A head or an adapter does not move, a loss is not finite, or a score does not hold against its baseline.
    InputError
        The backend is another one than `local`, settings do not agree, or files cannot be used.
    """
    refuse_other_backends(context.config)
    return _label(context) if context.config.classify.labels_reads else _train(context)


def refuse_other_backends(config: Config) -> None:
    """Refuse a backend that cannot train heads."""
    if config.backend.name != "local":
        raise InputError(
            f"backend={config.backend.name} has no stage classify: use backend=local, which reads the checkpoints of "
            "all"
        )


def files(config: Config) -> list[Path]:
    """What the stage reads from outside the run: tables and sequences, or the input and the files of the model.

    Raises
    ------
    InputError
        One is missing.
    """
    refuse_other_backends(config)
    settings = config.classify
    keys = ("input",) if settings.labels_reads else ("table", "validation_table", "test_table", "sequences")
    named = {f"classify.{key}": getattr(settings, key) for key in keys if getattr(settings, key) is not None}
    found = [locate(path, f"{key} names it") for key, path in named.items()]
    if settings.labels_reads:
        found += sorted(path for path in _model_folder(settings).rglob("*") if path.is_file())
    return found


def decisive(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the stage that decide what it makes: those of training, or those of labelling."""
    values = settings["classify"]
    if config.classify.labels_reads:
        return {"classify": {key: value for key, value in values.items() if key in (*_OF_LABELLING, *_OF_INPUT)}}
    left_out = (*_OF_LABELLING, *_WITHOUT_EFFECT)
    return settings | {"classify": {key: value for key, value in values.items() if key not in left_out}}


def place(config: Config) -> str:
    """Its folder in the run: `classify`, and of a file that is labelled `classify-<name of the file>`."""
    if config.classify.input is None:
        return "classify"
    name = Path(config.classify.input).name.removesuffix(".gz")
    return f"classify-{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"


def forecast(config: Config) -> list[str]:
    """What the stage would do, for a dry run."""
    settings = config.classify
    if settings.labels_reads:
        recipe = read_json(_model_folder(settings) / "model.json")
        return [f"labels {settings.input} with {recipe['method']} of {recipe['trained_on']}"]
    levels = ", ".join(settings.labels)
    return [
        f"learns {levels} ({settings.task}) from {settings.table}, divided by {settings.split}",
        f"trains {', '.join(dict.fromkeys([*BASELINES, *settings.methods]))}; at most {settings.epochs} epochs each",
    ]


def remove_state(run: Path) -> None:
    """Delete what was kept of trainings that are published; one that was not finished stays."""
    for folder in (run / STATE).glob("*"):
        if (folder / _FINISHED).exists():
            shutil.rmtree(folder)
    if (run / STATE).exists() and not any((run / STATE).iterdir()):
        (run / STATE).rmdir()


# ---------------------------------------------------------------- labelling


def _label(context: StageContext) -> dict[str, object]:
    from workflow.backends.embedded.device import open_device
    from workflow.classification.folder import load_trained
    from workflow.classification.reads import label_sequences
    from workflow.sequence_files import read_sequences

    settings = context.config.classify
    assert settings.input is not None
    trained = load_trained(_model_folder(settings))
    trained.classifier.to(open_device(context.config.backend))
    path = locate(settings.input, "classify.input names it")
    records = read_sequences(
        path, "classify.input", sequence_column=settings.sequence_column, id_column=settings.id_column
    )
    started = time.monotonic()
    told = label_sequences(
        trained,
        records,
        context.out,
        top_k=settings.top_k,
        threshold=settings.threshold,
        batch_tokens=settings.batch_tokens,
    )
    seconds = max(time.monotonic() - started, 1e-9)
    if told.cut and not trained.recipe.per_base:
        say(f"  {told.cut:,} sequences are longer than {trained.recipe.max_length:,} bases: their middle was read")
    rates = {"sequences_per_second": told.sequences / seconds, "bases_per_second": told.bases / seconds}
    return {**asdict(told), "method": trained.recipe.method, **rates}


def _model_folder(settings: ClassifyConfig) -> Path:
    """The folder that `classify.model` names, as it is given or in the project's folder.

    Raises
    ------
    InputError
        It is none of a trained classifier.
    """
    assert settings.model is not None
    found = find(f"{settings.model}/model.json")
    if found is None:
        raise InputError(
            f"classify.model={settings.model} is no folder of a trained classifier (it has no model.json); give "
            "methods/METHOD/model of a finished stage=classify"
        )
    return found.parent


# ---------------------------------------------------------------- training


def _train(context: StageContext) -> dict[str, object]:
    from workflow.classification.records import write_records
    from workflow.labels import read_labelled

    settings = context.config.classify
    data = read_labelled(settings, context.config.seed)
    shop = _open_workshop(context, data)
    if context.config.force:
        shutil.rmtree(shop.folder, ignore_errors=True)
    shop.folder.mkdir(parents=True, exist_ok=True)
    methods = list(dict.fromkeys([*BASELINES, *settings.methods]))
    write_records(context.out, data, shop.encoding, settings, methods, context.config.seed, shop.folder.name)
    earlier = _trained_earlier(context, shop)
    failures = {}
    for method in methods:
        try:
            _take_over(earlier.get(method) or _run_method(shop, method), context.out / "methods" / method)
        except InputError as error:  # the others may end well, and none is trained twice
            say(f"  WARNING {method} failed: {error}")
            failures[method] = str(error)
    if failures:
        told = "; ".join(f"{method} failed: {reason.rstrip('.')}" for method, reason in failures.items())
        raise InputError(
            f"{told}. What the other methods made is kept in {shop.folder}: the same command goes on from there, also "
            "with these left out of classify.methods."
        )
    headline = _evaluate(context)
    write_text(shop.folder / _FINISHED, "")
    return {**{f"{split}_sequences": size for split, size in data.counts().items()}, **headline}


def _open_workshop(context: StageContext, data: LabelledSet) -> Workshop:
    from workflow.backends.embedded.device import open_device
    from workflow.classification.records import content_of
    from workflow.classification.workshop import Workshop

    config, settings = context.config, context.config.classify
    max_length = _max_length(context)
    if longer := sum(len(sequence) > max_length for sequence in data.sequences):
        how = "read in pieces" if settings.task == "per_base" else "cut to their middle"
        data.notes.append(f"{longer:,} sequences longer than {max_length:,} bases are {how} (classify.max_length).")
    for note in data.notes:
        say(f"  {note}")
    models = context.models()
    model = models.get(settings.base) or next(iter(models.values()))
    stages = ("convert",) if model.trained is None else ("convert", "train")
    made_of = {stage: read_manifest(context.published(stage))["fingerprint"] for stage in stages}
    trained_on = {
        "run": config.run_name,
        "model": model.name,
        "stages": made_of,
        "table": settings.table,
        "sequences": data.counts(),
        "seed": config.seed,
    }
    # What a method makes does not depend on which others there are, so that these may change from run to run.
    values = {key: value for key, value in asdict(settings).items() if key not in (*_OF_LABELLING, "methods")}
    identity = [values, config.seed, max_length, made_of, content_of(data)]
    return Workshop(
        data=data,
        model=model,
        config=settings,
        max_length=max_length,
        checkpointing=config.model.activation_checkpointing,
        seed=config.seed,
        folder=context.run / STATE / fingerprint(identity)[:_NAME_LENGTH],
        device=open_device(config.backend),
        gates=context.gates,
        trained_on=trained_on,
    )


def _max_length(context: StageContext) -> int:
    """Most bases that are read at once; gate `context_length` on what is asked for."""
    longest = context.config.model.context_length
    asked = context.config.classify.max_length or longest
    context.gates.check(
        "context_length",
        asked <= longest,
        subject="classify.max_length",
        saw=f"{asked} bases read at once (classify.max_length)",
        limit=f"at most {longest}",
        why="With more than it was trained on, the model guesses.",
    )
    return asked


def _run_method(shop: Workshop, method: str) -> Path:
    """The folder with what a method made."""
    if method in NEURAL:
        from workflow.classification.neural import train_method as run
    else:
        from workflow.classification.plain import fit_method as run
    return run(shop, method)


def _trained_earlier(context: StageContext, shop: Workshop) -> dict[str, Path]:
    """Methods in the published folder of the stage that have learnt the same from the same, by name."""
    about = context.published("classify") / "classify.json"
    if context.config.force or not about.exists() or read_json(about)["work"] != shop.folder.name:
        return {}
    return {method: about.parent / "methods" / method for method in read_json(about)["methods"]}


def _take_over(source: Path, target: Path) -> None:
    """Copy what a method made, but for its weights, which get a second name."""
    from workflow.classification.folder import link_or_copy

    def take(file: str, copy: str) -> None:
        if file.endswith(".safetensors"):
            link_or_copy(Path(file), Path(copy))
        else:
            shutil.copyfile(file, copy)

    shutil.copytree(source, target, copy_function=take)


def _evaluate(context: StageContext) -> dict[str, object]:
    """What the evaluation makes of the methods, beside them; returns its headline numbers."""
    from evaluation import classification  # brings matplotlib and scipy, which labelling can do without

    evaluation = context.config.evaluation
    outcome = classification.write(
        context.out, samples=evaluation.bootstrap_samples, confidence=evaluation.confidence, seed=context.config.seed
    )
    for check in outcome.checks:
        context.gates.check(**check)
    return dict(outcome.headline)
