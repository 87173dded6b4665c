"""Stage `preprocess`: the divided genome in; token files and NVIDIA's YAML files out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from workflow.artifacts import read_table, write_text
from workflow.config import SPLITS
from workflow.dataset.documents import write_documents
from workflow.dataset.nvidia import preprocess_config, training_data_config
from workflow.genome.regions import total_bases
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext


def preprocess(context: StageContext) -> dict[str, object]:
    """Write the token files of every split.

    For each split `{genome.name}_byte-level_{split}.bin` and `.idx` with one document a region, and
    `{split}.fa` with the same records; `documents.parquet` (split, document, seqid, start, end, group), which
    leads from a token back to the genome; `preprocess_config.yaml` and `training_data_config.yaml`.

    Raises
    ------
    InputError
        A split is empty, or `prepare` has not run.
    """
    out, name = context.out, context.config.genome.name
    prepared = context.published("prepare")
    regions = read_table(prepared / "split.parquet")
    documents = {}
    with Genome(prepared / "genome.fa") as genome:
        for split in SPLITS:
            of_split = regions[regions["split"] == split].reset_index(drop=True)
            write_documents(genome, of_split, out / _prefix(name, split), out / f"{split}.fa")
            documents[split] = of_split.assign(document=range(len(of_split)))
    table = pd.concat(documents.values(), ignore_index=True)
    table[["split", "document", "seqid", "start", "end", "group"]].to_parquet(out / "documents.parquet", index=False)
    _write_configs(out, (context.run / "preprocess").absolute(), name)
    return {
        "regions": len(regions),
        "documents": {split: len(rows) for split, rows in documents.items()},
        "tokens": {split: total_bases(rows) + len(rows) for split, rows in documents.items()},
    }


def _prefix(name: str, split: str) -> str:
    return f"{name}_byte-level_{split}"


def _write_configs(out: Path, published: Path, name: str) -> None:
    """The YAML files name the folder that `out` will become, not the temporary one."""
    fastas = {split: published / f"{split}.fa" for split in SPLITS}
    prefixes = {split: published / _prefix(name, split) for split in SPLITS}
    _write_yaml(out / "preprocess_config.yaml", preprocess_config(fastas, published / "preprocess_evo2", name))
    _write_yaml(out / "training_data_config.yaml", training_data_config(prefixes))


def _write_yaml(path: Path, value: list[dict[str, Any]]) -> None:
    write_text(path, yaml.safe_dump(value, sort_keys=False))
