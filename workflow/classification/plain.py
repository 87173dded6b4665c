"""The methods that train without the model: on counts of k-mers, and on what the model makes of sequences."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from workflow.artifacts import publish, write_json
from workflow.classification.predictions import Prediction
from workflow.classification.workshop import Workshop
from workflow.console import say
from workflow.errors import InputError
from workflow.labels.labelled_set import SPLITS

TITLES = {
    "kmer": "k-mer counts",
    "logistic": "logistic regression on embeddings",
    "forest": "random forest on embeddings",
    "boosting": "gradient boosting on embeddings",
    "mlp": "multilayer perceptron on embeddings",
    "hiclass_node": "a local classifier per node, on embeddings",
    "hiclass_parent": "a local classifier per parent node, on embeddings",
    "hiclass_level": "a local classifier per level, on embeddings",
}


def fit_method(shop: Workshop, method: str) -> Path:
    """Fit a method, or find that it is fitted: the folder that holds what came of it.

    Raises
    ------
    InputError
        It cannot learn what is asked for.
    """
    place = shop.folder / method
    if place.exists():
        say(f"  {method}: fitted before")
        return place
    started = time.monotonic()
    prediction = _fit(shop, method)
    seconds = time.monotonic() - started
    with publish(place) as out:
        shop.write(out, prediction)
        told = {
            "method": method,
            "title": TITLES[method],
            "family": "kmer" if method == "kmer" else "shallow",
            "trainable_parameters": prediction.parameters,
            "total_parameters": prediction.parameters,
            "frozen_share_achieved": None,
            "epochs": None,
            "best_epoch": None,
            "seconds": round(seconds, 3),
            "head_shift": None,
            "adapter_shift": None,
            "settings": prediction.settings,
            "notes": prediction.notes,
        }
        write_json(out / "method.json", told)
    say(f"  {method}: fitted in {seconds:.0f} s, {prediction.parameters:,} parameters")
    return place


def _fit(shop: Workshop, method: str) -> Prediction:
    # scikit-learn takes seconds to import.
    if method == "kmer":
        from workflow.classification.kmers import kmer_baseline

        return kmer_baseline(shop.data, shop.encoding, shop.config, shop.seed)
    if shop.per_base:
        raise InputError(f"classify.methods={method} labels sequences, not bases: leave it out for task=per_base")
    from workflow.classification.shallow import fit_shallow

    features = {split: np.load(shop.features_file(split), mmap_mode="r", allow_pickle=False) for split in SPLITS}
    targets = {split: shop.labels(split) for split in SPLITS}
    config = shop.config
    return fit_shallow(
        method, features, targets, shop.encoding, config.task, shop.seed, class_weights=config.class_weights
    )
