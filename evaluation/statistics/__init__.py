"""Intervals, effect sizes and rank statistics."""
