"""Variants: from a user's table to pairs of windows, the reference and the alternative."""
