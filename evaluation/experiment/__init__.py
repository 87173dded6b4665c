"""Scores against measured values."""
