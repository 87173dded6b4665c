"""What a model must beat before its score means anything."""
