"""Adapt the Evo2 genome language model to a genome and settle whether the adaptation worked."""

__version__ = "0.1.0"
