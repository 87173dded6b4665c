"""Forward passes without gradients: features, their mean and spread, and what a trained classifier says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workflow.artifacts import open_new_array
from workflow.classification.classifier import Classifier
from workflow.classification.examples import Examples, reading_batches
from workflow.classification.training import Data
from workflow.console import Progress
from workflow.errors import InputError

#: Sequences from which centre and spread of the features are taken: enough for two digits.
_SEQUENCES_OF_STANDARD = 2000


def sequence_data(classifier: Classifier, examples: Examples) -> Data:
    """Examples that the whole classifier reads."""
    return Data(examples, examples.tokens, lambda numbers: classifier([examples.bases(number) for number in numbers]))


def feature_data(classifier: Classifier, examples: Examples, features: np.ndarray) -> Data:
    """Examples whose features (n, width) are there already, so that its heads alone are at work."""
    device = classifier.centre.device
    return Data(
        examples,
        np.ones(len(examples), np.int64),
        lambda numbers: classifier.judge(torch.from_numpy(features[numbers]).to(device)),
    )


@torch.no_grad()
def fix_standard(classifier: Classifier, examples: Examples, batch_tokens: int, seed: int) -> None:
    """Fix centre and spread of a classifier's features by those of some of the training examples."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(examples))[:_SEQUENCES_OF_STANDARD])
    total, squares, count = np.zeros(classifier.width), np.zeros(classifier.width), 0
    classifier.eval()
    for batch in reading_batches(examples.tokens[chosen], batch_tokens):
        features = classifier.features([examples.bases(number) for number in chosen[batch]]).double().cpu().numpy()
        total, squares, count = total + features.sum(0), squares + np.square(features).sum(0), count + len(features)
    mean = total / count
    classifier.standardise(mean, np.sqrt(np.maximum(squares / count - np.square(mean), 0)))


@torch.inference_mode()
def pooled_features(classifier: Classifier, examples: Examples, path: Path, batch_tokens: int) -> np.ndarray:
    """Features of each example, (n, width) float32, made once and kept in `path`."""
    if not path.exists():
        temporary = path.with_name(f".{path.name}.tmp")
        array = open_new_array(temporary, (len(examples), classifier.width), np.float32)
        classifier.eval()
        with Progress("reading sequences with the model", len(examples), "sequences") as progress:
            for batch in reading_batches(examples.tokens, batch_tokens):
                array[batch] = classifier.features([examples.bases(number) for number in batch]).cpu().numpy()
                progress.advance(len(batch))
        array.flush()
        os.replace(temporary, path)
    features: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return features


@torch.inference_mode()
def outputs_of(classifier: Classifier, data: Data, batch_tokens: int) -> list[np.ndarray]:
    """What each head says of the examples in their order, (n, outputs) float32; per base, of all bases in order.

    Raises
    ------
    InputError
        It is no number: a label would be made of it all the same.
    """
    sizes = data.examples.lengths if data.examples.per_base else np.ones(len(data.examples), np.int64)
    ends = np.cumsum(sizes)
    results = [np.empty((int(sizes.sum()), head.out_features), np.float32) for head in classifier.linear_heads]
    classifier.eval()
    for batch in reading_batches(data.tokens, batch_tokens):
        rows = np.concatenate([np.arange(ends[number] - sizes[number], ends[number]) for number in batch])
        for result, output in zip(results, data.judge(batch), strict=True):
            result[rows] = output.cpu().numpy()
        if not all(np.isfinite(result[rows]).all() for result in results):
            raise InputError(
                "the classifier says what is no number of some sequences: its weights are spoilt; train it again with "
                "a smaller classify.learning_rate, or with classify.precision=fp32"
            )
    return results


def softmax(outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Probabilities (n, K) float32 of what heads say."""
    return [torch.from_numpy(output).softmax(-1).numpy() for output in outputs]
