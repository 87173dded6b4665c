"""The two YAML files that NVIDIA's Evo2 tools read, as Python values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
_DATASET_SPLIT = {"train": "train", "val": "validation", "test": "test"}


def preprocess_config(fastas: dict[str, Path], output_folder: Path, name: str) -> list[dict[str, Any]]:
    """Entries of `preprocess_config.yaml`, with which `preprocess_evo2` makes the token files itself.

    One entry a split, each with all of its records in the tool's "train" part: the tool divides records at
    random and not reproducibly, and forces the first ones into other parts. So its files for split `val` are
    `{name}_val_byte-level_train.bin` and `.idx`; the empty ones of the other parts are not to be used.

    Parameters
    ----------
    fastas : dict
        FASTA file of each split, absolute.
    output_folder : Path
        Where the tool writes, absolute.
    name : str
        Name of the genome.
    """
    return [
        _PREPROCESS_DEFAULTS
        | {
            "datapaths": [str(fasta)],
            "output_dir": str(output_folder),
            "output_prefix": f"{name}_{split}",
            "train_split": 1.0,
            "valid_split": 0.0,
            "test_split": 0.0,
        }
        for split, fasta in fastas.items()
    ]


def training_data_config(prefixes: dict[str, Path]) -> list[dict[str, Any]]:
    """Entries of `training_data_config.yaml`: which token files are train, validation and test.

    Parameters
    ----------
    prefixes : dict
        Prefix of the token files of each split, absolute: one of the tools ignores its data folder.
    """
    return [
        {"dataset_prefix": str(prefix), "dataset_split": _DATASET_SPLIT[split], "dataset_weight": 1.0}
        for split, prefix in prefixes.items()
    ]
