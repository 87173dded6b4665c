"""Genome annotation: reading GFF3, GTF and GenBank, gene models, per-base classes, export."""
