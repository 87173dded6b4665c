"""The baseline that each classifier must beat: counts of k-mers, and logistic or ridge regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array, vstack

from workflow.classification.kmer_counts import columns_of, kmer_frequencies
from workflow.classification.linear import Features, Fitted, fit_logistic, fit_ridge
from workflow.classification.predictions import Prediction
from workflow.config.classify import ClassifyConfig
from workflow.genome.alphabet import BASE_CODE
from workflow.labels.encoding import LabelEncoding
from workflow.labels.labelled_set import SPLITS, LabelledSet

#: Of labels by base: bases read on either side of the one that is labelled.
FLANK = 10
#: Cells that are not zero, about, of the matrix that is fitted.
_MOST_CELLS = 1 << 26
#: Bases that are fitted, and sequences whose counts are held at a time.
_MOST_BASES, _TOGETHER = 200_000, 20_000


def kmer_baseline(data: LabelledSet, encoding: LabelEncoding | None, config: ClassifyConfig, seed: int) -> Prediction:
    """Fit the baseline on train, choose its regularisation on val, predict test; each level by itself.

    Of sequences the features are the frequencies of all k-mers of `classify.kmer_lengths` on the given strand, scaled
    to unit deviation; of bases the bases around, one-hot. What does not fit into memory is drawn by chance, and told.

    Parameters
    ----------
    data : LabelledSet
    encoding : LabelEncoding, optional
        Of the labels of train; not needed for a regression.
    config : ClassifyConfig
    seed : int
    """
    if config.task == "per_base":
        assert encoding is not None
        return _of_bases(data, encoding, config, seed)
    lengths = config.kmer_lengths
    places = {split: data.of(split) for split in SPLITS}
    places["train"], notes = _drawn(data, places["train"], lengths, seed)
    features = {split: _frequencies(data, places[split], lengths) for split in ("train", "val")}
    targets = {split: _targets(data, encoding, places[split]) for split in ("train", "val")}
    fitted = _fit(features, targets, config, seed)
    parts = [
        _predict(fitted, _frequencies(data, part, lengths), encoding)
        for part in np.array_split(places["test"], -(-len(places["test"]) // _TOGETHER))
    ]
    settings = {
        "kmer_lengths": list(lengths),
        "features": columns_of(lengths),
        "strength": [of_level.strength for of_level in fitted],
        "chosen_on": "val",
    }
    return replace(
        _joined(parts), parameters=sum(of_level.parameters for of_level in fitted), settings=settings, notes=notes
    )


def base_windows(sequences: Sequence[bytes], flank: int = FLANK) -> csr_array:
    """The bases around each base of sequences, one-hot.

    Returns
    -------
    csr_array, (bases of all sequences, 4 · (2 · flank + 1)) float64
        0 for what is no A, C, G, T, or lies outside of the sequence.
    """
    outside = b"N" * flank
    codes = BASE_CODE[np.frombuffer(outside.join([b"", *sequences, b""]), np.uint8)]
    width = 2 * flank + 1
    windows = np.lib.stride_tricks.sliding_window_view(codes, width)
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    # Each sequence is followed by one flank, which the windows before and after it share.
    first = np.cumsum(lengths + flank) - lengths - flank
    centre = np.repeat(first - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    windows = windows[centre]
    known = windows < 4
    columns = (np.arange(width) * 4 + windows.astype(np.int64))[known]
    starts = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    return csr_array((np.ones(len(columns)), columns, starts), shape=(len(windows), 4 * width))


def _of_bases(data: LabelledSet, encoding: LabelEncoding, config: ClassifyConfig, seed: int) -> Prediction:
    features, targets, notes = {}, {}, []
    for split in ("train", "val"):
        places, told = _drawn_bases(data, data.of(split), split, seed)
        notes += told
        part = data.take(places)
        features[split] = base_windows(part.sequences)
        targets[split] = np.concatenate(list(encoding.encode_by_base(part.labels)))
    fitted = _fit(features, targets, config, seed)
    test = data.take(data.of("test"))
    parts = [_predict(fitted, base_windows([sequence]), encoding) for sequence in test.sequences]
    settings = {"bases_on_either_side": FLANK, "strength": [of_level.strength for of_level in fitted]}
    parameters = sum(of_level.parameters for of_level in fitted)
    return replace(_joined(parts), parameters=parameters, settings=settings, notes=notes)


def _fit(
    features: dict[str, csr_array], targets: dict[str, np.ndarray], config: ClassifyConfig, seed: int
) -> list[Fitted]:
    """One model a level, or a column."""
    fitted = []
    for level in range(targets["train"].shape[1]):
        pairs: list[tuple[Features, np.ndarray]] = [
            (features[split], targets[split][:, level]) for split in ("train", "val")
        ]
        if config.task == "regression":
            fitted.append(fit_ridge(*pairs))
        else:
            fitted.append(fit_logistic(*pairs, balanced=config.class_weights, seed=seed))
    return fitted


def _predict(fitted: list[Fitted], features: csr_array, encoding: LabelEncoding | None) -> Prediction:
    if encoding is None or not any(encoding.classes.values()):
        return Prediction(values=np.column_stack([model.values(features) for model in fitted]))
    sizes = encoding.sizes()
    return Prediction([model.probabilities(features, size) for model, size in zip(fitted, sizes, strict=True)])


def _joined(parts: list[Prediction]) -> Prediction:
    values = [part.values for part in parts if part.values is not None]
    if values:
        return Prediction(values=np.concatenate(values))
    return Prediction([np.concatenate(level) for level in zip(*(part.probabilities for part in parts), strict=True)])


def _targets(data: LabelledSet, encoding: LabelEncoding | None, places: np.ndarray) -> np.ndarray:
    labels = data.labels.iloc[places]
    if encoding is None or not any(encoding.classes.values()):
        return labels.to_numpy(np.float64)
    return encoding.encode(labels)


def _frequencies(data: LabelledSet, places: np.ndarray, lengths: Sequence[int]) -> csr_array:
    parts = [
        kmer_frequencies([data.sequences[place] for place in part], lengths)
        for part in np.array_split(places, -(-len(places) // _TOGETHER))
    ]
    return csr_array(vstack(parts))


def _drawn(data: LabelledSet, places: np.ndarray, lengths: Sequence[int], seed: int) -> tuple[np.ndarray, list[str]]:
    """As many places, drawn by chance, as leave a matrix that fits into memory."""
    cells = np.array([sum(min(len(data.sequences[place]), 4**k) for k in lengths) for place in places])
    shuffled = np.random.default_rng(seed).permutation(len(places))
    kept = np.sort(shuffled[: max(int((np.cumsum(cells[shuffled]) <= _MOST_CELLS).sum()), 1)])
    if len(kept) == len(places):
        return places, []
    return places[kept], [f"Fitted on {len(kept):,} of the {len(places):,} sequences of train, drawn by chance."]


def _drawn_bases(data: LabelledSet, places: np.ndarray, split: str, seed: int) -> tuple[np.ndarray, list[str]]:
    bases = np.array([len(data.sequences[place]) for place in places])
    shuffled = np.random.default_rng(seed).permutation(len(places))
    kept = np.sort(shuffled[: max(int((np.cumsum(bases[shuffled]) <= _MOST_BASES).sum()), 1)])
    if len(kept) == len(places):
        return places, []
    note = f"Of {split} {bases[kept].sum():,} of the {bases.sum():,} bases were used, in sequences drawn by chance."
    return places[kept], [note]
