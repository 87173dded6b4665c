"""Regulatory elements: which are scored, and the sequences they are compared with."""
