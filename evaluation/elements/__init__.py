"""Regulatory elements against background and shuffled copies, and the mutants of a region."""
