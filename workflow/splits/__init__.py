"""Splits without leakage: k-mers, homologs that names do not show, assignment, audit, copies."""
