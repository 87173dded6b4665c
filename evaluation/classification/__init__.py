"""Comparison of classifiers: what methods predicted of the same test sequences."""

from evaluation.classification.report import Outcome, write

__all__ = ["Outcome", "write"]
