from pathlib import Path

from workflow.dataset.lineage import Lineages, read_lineage
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


CANE = "d__Eukaryota;p__Streptophyta;c__Magnoliopsida;o__Poales;f__Poaceae;g__Saccharum;s__officinarum"


def test_preprocess_config() -> None:
    lineages = Lineages(read_lineage("genome.lineage", CANE), {}, 4096, 0.25)
    fastas = {"x_train": Path("/run/train.fa"), "x_genic_val": Path("/run/genic_val.fa")}
    entries = preprocess_config(fastas, Path("/run/out"), lineages)
    assert [list(entry) for entry in entries] == [KEYS, KEYS]
    assert [entry["datapaths"] for entry in entries] == [["/run/train.fa"], ["/run/genic_val.fa"]]
    assert [entry["output_prefix"] for entry in entries] == ["x_train", "x_genic_val"]
    for entry in entries:
        assert (entry["train_split"], entry["valid_split"], entry["test_split"]) == (1.0, 0.0, 0.0)
        assert entry["output_dir"] == "/run/out"
        assert entry["append_eod"] and not entry["nnn_filter"] and not entry["force_uppercase"]
        assert (entry["prompt_spacer_length"], entry["random_lineage_dropout"]) == (4096, 0.25)
        assert entry["taxonomy_data"][":"]["genus"] == "Saccharum"


def test_without_a_lineage_the_tool_has_its_defaults() -> None:
    (entry,) = preprocess_config({"x": Path("x.fa")}, Path("out"), Lineages(None, {}, 131_072, 0.0))
    assert (entry["taxonomy_data"], entry["random_lineage_dropout"], entry["prompt_spacer_length"]) == ({}, 0, 131072)


def test_training_data_config() -> None:
    files = [(Path("/run/a"), "train", 0.75), (Path("/run/b"), "val", 1.0), (Path("/run/c"), "test", 1.0)]
    assert training_data_config(files) == [
        {"dataset_prefix": "/run/a", "dataset_split": "train", "dataset_weight": 0.75},
        {"dataset_prefix": "/run/b", "dataset_split": "validation", "dataset_weight": 1.0},
        {"dataset_prefix": "/run/c", "dataset_split": "test", "dataset_weight": 1.0},
    ]
