"""Objectives that know of codons: HELM's hierarchical losses (Yazdani-Jahromi et al. 2024, arXiv:2410.12459).

Codons are numbered 16·a + 4·b + c of the bases' places in A, C, G, T; so are the outputs of a codon head.
"""

from workflow.striped_hyena.codons.objective import CodonObjective, HeadObjective, codon_objective

__all__ = ["CodonObjective", "HeadObjective", "codon_objective"]
