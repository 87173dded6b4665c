from pathlib import Path

from workflow.dataset.nvidia import preprocess_config, training_data_config

#: Keys of the configuration of `preprocess_evo2`, bionemo-framework 2.7.1, as captured from the tool.
KEYS = [
    "datapaths",
    "output_dir",
    "output_prefix",
    "train_split",
    "valid_split",
    "test_split",
    "overwrite",
    "embed_reverse_complement",
    "random_reverse_complement",
    "random_lineage_dropout",
    "transcribe",
    "force_uppercase",
    "indexed_dataset_dtype",
    "append_eod",
    "enforce_sample_length",
    "ftfy",
    "tokenizer_type",
    "vocab_file",
    "vocab_size",
    "merges_file",
    "tokenizer_model_name",
    "pretrained_tokenizer_model",
    "special_tokens",
    "fast_hf_tokenizer",
    "workers",
    "preproc_concurrency",
    "chunksize",
    "drop_empty_sequences",
    "nnn_filter",
    "seed",
    "taxonomy_data",
    "prompt_spacer_length",
]


def test_preprocess_config() -> None:
    entries = preprocess_config({"train": Path("/run/train.fa"), "val": Path("/run/val.fa")}, Path("/run/out"), "x")
    assert [list(entry) for entry in entries] == [KEYS, KEYS]
    assert [entry["datapaths"] for entry in entries] == [["/run/train.fa"], ["/run/val.fa"]]
    assert [entry["output_prefix"] for entry in entries] == ["x_train", "x_val"]
    for entry in entries:
        assert (entry["train_split"], entry["valid_split"], entry["test_split"]) == (1.0, 0.0, 0.0)
        assert entry["output_dir"] == "/run/out"
        assert entry["append_eod"] and not entry["nnn_filter"] and not entry["force_uppercase"]


def test_training_data_config() -> None:
    prefixes = {split: Path(f"/run/x_byte-level_{split}") for split in ("train", "val", "test")}
    assert training_data_config(prefixes) == [
        {"dataset_prefix": "/run/x_byte-level_train", "dataset_split": "train", "dataset_weight": 1.0},
        {"dataset_prefix": "/run/x_byte-level_val", "dataset_split": "validation", "dataset_weight": 1.0},
        {"dataset_prefix": "/run/x_byte-level_test", "dataset_split": "test", "dataset_weight": 1.0},
    ]
