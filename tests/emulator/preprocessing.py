"""`preprocess_evo2`: token files of a FASTA, each record a document."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import yaml

from tests.emulator.fasta import read_fasta
from tests.emulator.setting import Setting, log
from workflow.dataset.megatron import paths_of, write_index
from workflow.genome.alphabet import reverse_complement

_NAMES = {"nemo2": "byte-level", "mbridge": "nucleotide_fast_tokenizer_256"}


def preprocess(arguments: argparse.Namespace, setting: Setting) -> None:
    """Every record goes to the part with the largest share; the parts left over get 0-byte files."""
    for entry in yaml.safe_load(Path(arguments.config).read_text()):
        shares = {part: entry[key] for part, key in (("train", "train_split"), ("val", "valid_split"))}
        shares["test"] = entry["test_split"]
        largest = max(shares, key=lambda part: shares[part])
        out = Path(entry["output_dir"])
        out.mkdir(parents=True, exist_ok=True)
        for part in shares:
            documents = _documents(entry) if part == largest else []
            prefix = out / f"{entry['output_prefix']}_{_NAMES[setting.toolchain]}_{part}"
            paths_of(prefix)[0].write_bytes(b"".join(documents))
            write_index(prefix, np.array([len(document) for document in documents], dtype=np.int64))
            log(f"{prefix}: {len(documents)} documents")


def _documents(entry: dict[str, object]) -> list[bytes]:
    documents = []
    for fasta in entry["datapaths"]:  # type: ignore[attr-defined]
        for sequence in read_fasta(Path(fasta)).values():
            letters = np.frombuffer(sequence.encode("ascii"), np.uint8)
            strands = [letters, reverse_complement(letters)] if entry.get("embed_reverse_complement") else [letters]
            documents += [strand.tobytes() for strand in strands]
    if entry.get("force_uppercase"):
        documents = [document.upper() for document in documents]
    return [document + b"\0" for document in documents] if entry.get("append_eod") else documents
