"""Per-base predictions: scores, strata, and base against adapted."""
