"""How a genome was prepared before, for comparison: Python loops over records, genes and letters.

Both ways are written anew from what they do, on the libraries that they use.
"""

from __future__ import annotations

import random
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Of the earlier sugarcane workflow.
_UPSTREAM, _DOWNSTREAM, _LONGEST, _MERGED = 2000, 1000, 20_000, 5000
_LINE = 60
_COMPLEMENT = str.maketrans("ACGTNacgtn", "TGCANtgcan")


def prepare_with_gffutils(fasta: Path, gff3: Path, out: Path) -> None:
    """Split a genome by whole records at random, and write its gene units, as the sugarcane workflow did.

    What is known of it are the split by records and the extents of the units; how it wrote files is assumed.

    A unit is a gene with 2000 bases before and 1000 after it; the gene alone where that is longer than 20,000;
    neighbours less than 5000 apart are one while it is not longer. Here it is also turned to the gene's strand.
    """
    import gffutils
    import pyfaidx

    database = gffutils.create_db(str(gff3), str(out / "genes.db"), force=True, merge_strategy="create_unique")
    genome = pyfaidx.Fasta(str(fasta))
    draw = random.Random(0)
    files = {split: (out / f"{split}.fa").open("w") for split in ("train", "val", "test")}
    for name in genome.keys():  # noqa: SIM118
        stream = files[draw.choices(list(files), (0.8, 0.1, 0.1))[0]]
        text = genome[name][:].seq
        stream.write(f">{name}\n")
        for start in range(0, len(text), _LINE):
            stream.write(text[start : start + _LINE] + "\n")
    for stream in files.values():
        stream.close()
    with (out / "units.fa").open("w") as units:
        for name, seqid, start, end, strand in _units(database):
            text = genome[seqid][max(start, 0) : end].seq
            if strand == "-":
                text = text.translate(_COMPLEMENT)[::-1]
            units.write(f">{name}\n" + "\n".join(textwrap.wrap(text, _LINE)) + "\n")


def _units(database: Any) -> Iterator[tuple[str, str, int, int, str]]:
    unit: tuple[str, str, int, int, str] | None = None
    for gene in database.features_of_type("gene", order_by=("seqid", "start")):
        before, after = (_UPSTREAM, _DOWNSTREAM) if gene.strand == "+" else (_DOWNSTREAM, _UPSTREAM)
        start, end = gene.start - 1 - before, gene.end + after
        if end - start > _LONGEST:
            start, end = gene.start - 1, gene.end
        if unit and unit[1] == gene.seqid and start - unit[3] < _MERGED and end - unit[2] <= _LONGEST:
            unit = (f"{unit[0]}_{gene.id}", unit[1], unit[2], max(end, unit[3]), "+")
            continue
        if unit:
            yield unit
        unit = (gene.id, gene.seqid, start, end, gene.strand)
    if unit:
        yield unit


def write_tokens_by_tokenizer(fasta: Path, out: Path, tokenizer: str, bases: int) -> int:
    """Token files in the manner of upstream's `preprocess_evo2`: a Python list of ids a record, then a tensor.

    Parameters
    ----------
    fasta : Path
    out : Path
    tokenizer : str
        `bytes`: the letters' codes. `huggingface`: a fast tokenizer of single letters, as the newer tools have.
    bases : int
        Records are read until so many bases are written.

    Returns
    -------
    int
        Bases written.
    """
    import numpy as np
    import pyfaidx
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what megatron-core lacks for training
        from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    encode: Callable[[str], list[int]] = (
        _of_letters() if tokenizer == "huggingface" else lambda text: list(text.encode())
    )
    builder = IndexedDatasetBuilder(str(out / f"{tokenizer}.bin"), dtype=np.uint8)
    written = 0
    genome = pyfaidx.Fasta(str(fasta))
    for record in genome:
        if written >= bases:
            break
        ids = encode(record[:].seq)
        builder.add_document(torch.tensor([*ids, 0]), [len(ids) + 1])
        written += len(ids)
    builder.finalize(str(out / f"{tokenizer}.idx"))
    return written


def _of_letters() -> Callable[[str], list[int]]:
    """A tokenizer whose tokens are the single letters and whose ids are their codes."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({chr(code): code for code in range(512)}, unk_token=chr(4)))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return lambda text: tokenizer.encode(text).ids
