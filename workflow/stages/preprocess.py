"""Stage `preprocess`: the divided genome and its windows in; token files and NVIDIA's YAML files out."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml

from workflow.artifacts import read_json, write_json, write_text
from workflow.config import SPLITS, GenomeConfig, MixtureConfig
from workflow.console import Progress, say
from workflow.dataset.codons import GENETIC_CODES, genetic_codes
from workflow.dataset.documents import read_documents, read_index, values_of
from workflow.dataset.lineage import Lineages, read_lineage
from workflow.dataset.mixture import Mixture, PartName, parts_of, plan_mixture
from workflow.dataset.nvidia import PREPROCESS_CONFIG, TRAINING_CONFIG, preprocess_config, training_data_config
from workflow.dataset.writing import SCHEMA, PartWriter, Tags
from workflow.errors import InputError
from workflow.stages.context import StageContext

#: A mean weight below this shows that copies are common.
_ALL_WEIGH_ALIKE = 0.99
#: Part of the names of token files, as NVIDIA's tool has it.
_TOKENIZER = "byte-level"


def preprocess(context: StageContext) -> dict[str, object]:
    """Write the token files of the mixture.

    For each set and split `{genome.name}_{set}_byte-level_{split}.bin` and `.idx` (without the set's name for
    whole regions; with `_copies{n}` where the windows of a set have different weights), and `{set}_{split}.fa`
    with the same records; `documents.parquet` (file, set, split, document, sequence_id, seqid, start, end,
    strand, group, tag: tokens of the lineage tag), which leads from a token back to the genome;
    `genetic_codes.json`; `preprocess_config.yaml` and `training_data_config.yaml`.

    Raises
    ------
    InputError
        `prepare` has not run or does not have a set of the mixture; a split would be empty; or a lineage
        cannot be read.
    """
    config, out = context.config, context.out
    prepared = context.published("prepare")
    weights = config.mixture.shares
    mixture = plan_mixture(prepared, weights)
    lineages = _lineages(config.genome, config.mixture, prepared)
    write_json(out / GENETIC_CODES, genetic_codes(prepared / "annotation.parquet"))
    writers: dict[PartName, PartWriter] = {}
    with pq.ParquetWriter(out / "documents.parquet", SCHEMA) as table:
        for name in weights:
            parts = _write_set(name, mixture, lineages, context, table)
            writers |= {part: parts[part] for part in sorted(parts, key=lambda part: part.copies or 0)}
    writers = {part: writers[part] for split in SPLITS for part in writers if part.split == split}
    shares = _shares(writers, weights)
    _write_configs(shares, lineages, config.genome.name, out, (context.target or context.run / "preprocess").absolute())
    left_out = {split: [name for name in weights if name not in mixture.there[split]] for split in SPLITS}
    for split, names in left_out.items():
        for name in names:
            say(f"  WARNING {name} has nothing in {split}: it is left out of that split's mixture")
    if "regions" in weights and _has_weights(prepared):
        say(
            "  WARNING whole regions are trained on base by base: windows.copies bears on window sets only; with "
            "mixture=copies each window counts by its weight"
        )
    name = config.genome.name
    of_split = {split: [writers[part] for part in writers if part.split == split] for split in SPLITS}
    return {
        "files": len(writers),
        "documents": {split: sum(writer.documents for writer in of_split[split]) for split in SPLITS},
        "tokens": {split: sum(writer.tokens for writer in of_split[split]) for split in SPLITS},
        "mixture": {part.of_file(name, _TOKENIZER): share for part, share in shares.items() if part.split == "train"},
        "sets_left_out": {split: len(names) for split, names in left_out.items()},
    }


def _has_weights(prepared: Path) -> bool:
    """Whether windows have copies that weigh less, or were removed."""
    sets = read_json(prepared / "windows.json").values()
    return any(
        told["dropped"].get("removed_copies") or (told["mean_weight"].get("train") or 1.0) < _ALL_WEIGH_ALIKE
        for told in sets
    )


def _write_set(
    name: str, mixture: Mixture, lineages: Lineages, context: StageContext, table: pq.ParquetWriter
) -> dict[PartName, PartWriter]:
    """Write the token files and the FASTA files of a set."""
    out, genome, seed = context.out, context.config.genome.name, context.config.seed
    writers: dict[PartName, PartWriter] = {}
    generators: dict[PartName, np.random.Generator] = {}
    with Progress(f"writing {name}", unit="bases, each twice") as progress:
        for batch in read_documents(context.published("prepare"), name):
            for part, documents in parts_of(name, batch, mixture.weighted[name]):
                if part not in writers:
                    prefix = out / part.of_file(genome, _TOKENIZER)
                    writers[part] = PartWriter(prefix, out / f"{part.of_file()}.fa", name)
                    # What is dropped does not depend on the other parts of the mixture.
                    generators[part] = np.random.default_rng([seed, zlib.crc32(part.of_file().encode())])
                names, seqids = values_of(documents.table["seqid"])
                numbers, texts = lineages.tags(seqids, names, generators[part])
                tags = Tags(texts, numbers, lineages.spacing)
                table.write_table(writers[part].add(documents, tags, progress.advance))
    for writer in writers.values():
        writer.close()
    return writers


def _shares(writers: dict[PartName, PartWriter], weights: dict[str, float]) -> dict[PartName, float]:
    """Weight of each file among those of its split, which add up to 1."""
    of_set: dict[tuple[str, str], float] = {}
    for part, writer in writers.items():
        of_set[part.set, part.split] = of_set.get((part.set, part.split), 0.0) + writer.weighted_bases
    of_split = {split: sum(weights[name] for name, other in of_set if other == split) for split in SPLITS}
    return {
        part: weights[part.set] / of_split[part.split] * (writer.weighted_bases / of_set[part.set, part.split])
        for part, writer in writers.items()
    }


def _lineages(genome: GenomeConfig, mixture: MixtureConfig, prepared: Path) -> Lineages:
    if genome.lineages:
        there = set(read_index(prepared / "genome.fa", ("seqid",))["seqid"].to_pylist())
        for name in genome.lineages:
            if name not in there:
                raise InputError(
                    f"genome.lineages names {name}, which is no sequence of this genome: names match exactly"
                )
    return Lineages(
        default=read_lineage("genome.lineage", genome.lineage) if genome.lineage else None,
        by_name={name: read_lineage(f"genome.lineages.{name}", text) for name, text in genome.lineages.items()},
        spacing=mixture.lineage_spacing,
        dropout=mixture.lineage_dropout,
    )


def _write_configs(shares: dict[PartName, float], lineages: Lineages, genome: str, out: Path, published: Path) -> None:
    """The YAML files name the folder that `out` will become, not the temporary one."""
    fastas = {part.of_file(genome): published / f"{part.of_file()}.fa" for part in shares}
    files = [(published / part.of_file(genome, _TOKENIZER), part.split, share) for part, share in shares.items()]
    preprocessing = preprocess_config(fastas, published / "preprocess_evo2", lineages)
    training = training_data_config(files)
    for name, value in ((PREPROCESS_CONFIG, preprocessing), (TRAINING_CONFIG, training)):
        write_text(out / name, yaml.safe_dump(value, sort_keys=False))
