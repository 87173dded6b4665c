"""What the models write, set against the genome."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import (
    gc_shares,
    information,
    kmer_names,
    kmer_spectrum,
    random_fragments,
    spectrum_distance,
)
from workflow.artifacts import read_table

KMER = 3
LOGO_POSITIONS = 60
# The genome's spectrum is taken from this many times as many fragments as were generated, so that its own
# sampling error is small.
_FRAGMENTS_PER_SEQUENCE = 20


@dataclass(frozen=True)
class Generation:
    """Generated sequences beside the genome's.

    Attributes
    ----------
    groups : dict
        Sequences by group, in order of the figures: `genome` (random fragments with the lengths of the generated
        sequences), `truth` (what follows the prompts in the genome; may be missing), `base`, `adapted`.
    spectra : DataFrame
        One row a k-mer: kmer, and its frequency in each group. `genome` is from many fragments.
    logos : dict
        Letter heights by group (bits), without the genome's fragments, which have no common start.
    summary : DataFrame
        One row a group: group, sequences, length_mean, gc_mean, gc_sd, kmer_distance (Jensen–Shannon distance of
        the spectrum to the genome's). The row of `genome` is one draw of as many fragments as a model wrote: the
        distance that sampling alone gives.
    """

    groups: dict[str, list[str]]
    spectra: pd.DataFrame
    logos: dict[str, pd.DataFrame]
    summary: pd.DataFrame


def read(infer: Path, genome: Path, seed: int) -> Generation | None:
    """Read the generations and draw fragments of the genome at matched length. None when nothing was generated."""
    table = read_table(infer / "generations.parquet")
    written = {
        model: table.loc[table["model"] == model, "sequence"].astype(str).tolist() for model in ("base", "adapted")
    }
    written = {model: [sequence for sequence in sequences if sequence] for model, sequences in written.items()}
    written = {model: sequences for model, sequences in written.items() if sequences}
    if not written:
        return None
    lengths = [len(sequence) for sequence in next(iter(written.values()))]
    matched = random_fragments(genome, lengths, seed)
    background = random_fragments(genome, lengths * _FRAGMENTS_PER_SEQUENCE, seed + 1)
    truth = table.drop_duplicates("prompt_id")["truth"].dropna().astype(str).tolist()
    groups = {"genome": matched} | ({"truth": truth} if truth else {}) | written

    reference = kmer_spectrum(background, KMER)
    spectra = {group: kmer_spectrum(sequences, KMER) for group, sequences in groups.items()}
    summary = pd.DataFrame(
        [_summarise(group, sequences, spectra[group], reference) for group, sequences in groups.items()]
    )
    frequencies = pd.DataFrame({"kmer": kmer_names(KMER)} | spectra | {"genome": reference})
    logos = {group: information(sequences, LOGO_POSITIONS) for group, sequences in groups.items() if group != "genome"}
    return Generation(groups, frequencies, logos, summary)


def _summarise(group: str, sequences: list[str], spectrum: np.ndarray, reference: np.ndarray) -> dict[str, object]:
    shares = gc_shares(sequences)
    shares = shares[~np.isnan(shares)]
    return {
        "group": group,
        "sequences": len(sequences),
        "length_mean": float(np.mean([len(sequence) for sequence in sequences])) if sequences else float("nan"),
        "gc_mean": float(shares.mean()) if len(shares) else float("nan"),
        "gc_sd": float(shares.std(ddof=1)) if len(shares) > 1 else float("nan"),
        "kmer_distance": spectrum_distance(spectrum, reference),
    }
