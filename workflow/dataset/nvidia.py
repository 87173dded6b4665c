"""The two YAML files that NVIDIA's Evo2 tools read, as Python values."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from workflow.dataset.lineage import Lineages

#: Keys and defaults of `preprocess_evo2` in bionemo-framework 2.7.1. Unknown keys are ignored by the tool.
_PREPROCESS_DEFAULTS: dict[str, Any] = {
    "datapaths": [],
    "output_dir": None,
    "output_prefix": None,
    "train_split": 0.7,
    "valid_split": 0.2,
    "test_split": 0.1,
    "overwrite": False,
    "embed_reverse_complement": False,
    "random_reverse_complement": 0.0,
    "random_lineage_dropout": 0.0,
    "transcribe": None,
    "force_uppercase": False,
    "indexed_dataset_dtype": "uint8",
    "append_eod": True,
    "enforce_sample_length": None,
    "ftfy": False,
    "tokenizer_type": "Byte-Level",
    "vocab_file": None,
    "vocab_size": 512,
    "merges_file": None,
    "tokenizer_model_name": None,
    "pretrained_tokenizer_model": None,
    "special_tokens": {},
    "fast_hf_tokenizer": False,
    "workers": 1,
    "preproc_concurrency": 100000,
    "chunksize": 1,
    "drop_empty_sequences": False,
    "nnn_filter": False,
    "seed": None,
    "taxonomy_data": {},
    "prompt_spacer_length": 131072,
}
#: The tools' names of the splits.
DATASET_SPLIT = {"train": "train", "val": "validation", "test": "test"}
PREPROCESS_CONFIG, TRAINING_CONFIG = "preprocess_config.yaml", "training_data_config.yaml"


def preprocess_config(fastas: dict[str, Path], output_folder: Path, lineages: Lineages) -> list[dict[str, Any]]:
    """Entries of `preprocess_config.yaml`, with which `preprocess_evo2` makes the token files itself.

    One entry a file, each with all of its records in the tool's "train" part: the tool divides records at
    random and not reproducibly, and forces the first ones into other parts. So its files of prefix `x_val` are
    `x_val_byte-level_train.bin` and `.idx`; the empty ones of the other parts are not to be used.

    Parameters
    ----------
    fastas : dict
        FASTA file by output prefix, absolute.
    output_folder : Path
        Where the tool writes, absolute.
    lineages : Lineages
        What its tags say.
    """
    return [
        deepcopy(_PREPROCESS_DEFAULTS)
        | {
            "datapaths": [str(fasta)],
            "output_dir": str(output_folder),
            "output_prefix": prefix,
            "train_split": 1.0,
            "valid_split": 0.0,
            "test_split": 0.0,
            "taxonomy_data": lineages.taxonomy(),
            "random_lineage_dropout": lineages.dropout,
            "prompt_spacer_length": lineages.spacing,
        }
        for prefix, fasta in fastas.items()
    ]


def training_data_config(files: list[tuple[Path, str, float]]) -> list[dict[str, Any]]:
    """Entries of `training_data_config.yaml`: which token files are train, validation and test, and their weights.

    Parameters
    ----------
    files : list
        Prefix of a token file, absolute as one of the tools ignores its data folder; its split; its share of
        the tokens that are read of this split.
    """
    return [
        {"dataset_prefix": str(prefix), "dataset_split": DATASET_SPLIT[split], "dataset_weight": weight}
        for prefix, split, weight in files
    ]
