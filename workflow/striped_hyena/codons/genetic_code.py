"""What codons mean, by NCBI's numbers of the genetic codes (1 standard, 3 yeast mitochondria, 11 plastids, …)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from Bio.Data import CodonTable
from torch import Tensor

from workflow.config.model import GENETIC_CODES

_LETTERS = "ACGT"
#: The 64 codons in the order of their numbers.
CODONS = tuple(a + b + c for a in _LETTERS for b in _LETTERS for c in _LETTERS)
START, STOP = "ATG", "*"


def amino_acids(genetic_code: int) -> str:
    """Amino acid of each of `CODONS`, 64 letters, `*` for stop; a codon that can be either is a stop."""
    table = CodonTable.unambiguous_dna_by_id[genetic_code]
    return "".join(STOP if codon in table.stop_codons else table.forward_table[codon] for codon in CODONS)


def for_each_code(make: Callable[[int], Tensor]) -> Tensor:
    """What `make` gives of each genetic code, stacked so that NCBI's number is the index; zeros where there is none."""
    made = {number: make(number) for number in GENETIC_CODES}
    nothing = torch.zeros_like(made[GENETIC_CODES[0]])
    return torch.stack([made.get(number, nothing) for number in range(GENETIC_CODES[-1] + 1)])
