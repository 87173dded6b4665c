"""What a run holds: manifests, tables and sequences."""
