"""Genome files and what is derived from them: sequences, annotation, names, splits and windows.

Coordinates everywhere are 0-based half-open on the forward strand of the input sequence.
"""
