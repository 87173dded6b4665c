"""The cases of `benchmarks/prepare.py` that are no stage, each run in a process of its own.

python benchmarks/preparation_cases.py '["NAME", ARGUMENT, …]' prints what the case tells, as one line of JSON.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ANNOTATED_BASES, ANNOTATED_GENES = 10**10, 400_000
TOKENIZED_BASES, HASHED_BASES, DISK_BYTES = 4_000_000, 5_000_000, 1 << 30


def timed(action: Callable[[], Any]) -> dict[str, Any]:
    """Seconds of an action, and its result."""
    started = time.perf_counter()
    result = action()
    return {"seconds": time.perf_counter() - started, "result": result}


def annotation(folder: str, groups: int, haplotypes: int) -> dict[str, Any]:
    """Import the GFF3 of 400,000 genes."""
    from synthetic import Plan, write_annotation

    from workflow.annotation.gff3 import import_annotation

    path = Path(folder) / "genes.gff3"
    with path.open("wb") as stream:
        lengths = write_annotation(Plan(ANNOTATED_BASES, ANNOTATED_GENES, groups, haplotypes), stream)
    done = timed(lambda: import_annotation(path, Path(folder) / "annotation.parquet", lengths).features)
    return {"seconds": done["seconds"], "lines": done["result"]}


def tokens(prepared: str, folder: str) -> dict[str, Any]:
    """Write the regions of all splits as a token file, and as FASTA beside it, as stage `preprocess` does."""
    import numpy as np

    from workflow.dataset.documents import REGIONS, read_documents
    from workflow.dataset.writing import PartWriter, Tags

    def write() -> int:
        writer = PartWriter(Path(folder) / "tokens", Path(folder) / "tokens.fa", REGIONS)
        for documents in read_documents(Path(prepared), REGIONS):
            writer.add(documents, Tags([b""], np.zeros(len(documents), np.int64), 1), lambda bases: None)
        writer.close()
        return writer.tokens - writer.documents

    done = timed(write)
    return {"seconds": done["seconds"], "bases": done["result"]}


def gffutils(genome: str, folder: str) -> dict[str, Any]:
    """Split a sample and write its gene units as the sugarcane workflow did."""
    from earlier_ways import prepare_with_gffutils

    return timed(lambda: prepare_with_gffutils(Path(genome) / "genome.fa", Path(genome) / "genes.gff3", Path(folder)))


def tokenizer(genome: str, folder: str, tokenizer: str) -> dict[str, Any]:
    """Write token files of the first records of a sample as upstream does."""
    from earlier_ways import write_tokens_by_tokenizer

    fasta = Path(genome) / "genome.fa"
    done = timed(lambda: write_tokens_by_tokenizer(fasta, Path(folder), tokenizer, TOKENIZED_BASES))
    return {"seconds": done["seconds"], "bases": done["result"]}


def machine(genome: str, folder: str, bases: int, window: int) -> dict[str, Any]:
    """Rates of disk, decompression and hashing."""
    import limits

    from workflow.genome.parallel import workers
    from workflow.splits.kmers import scaled_for

    fasta, packed = Path(genome) / "genome.fa", Path(folder) / "genome.fa.gz"
    with fasta.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as stream:
        shutil.copyfileobj(plain, stream, 1 << 20)
    return {
        "disk": limits.disk(Path(folder), DISK_BYTES),
        "decompression": limits.decompression(packed),
        "threads": workers(),
        **limits.hashing(fasta, scaled_for(bases, window), HASHED_BASES),
    }


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "annotation": annotation,
    "tokens": tokens,
    "gffutils": gffutils,
    "tokenizer": tokenizer,
    "limits": machine,
}


if __name__ == "__main__":
    name, *arguments = json.loads(sys.argv[1])
    print(json.dumps(CASES[name](*arguments)))
