"""From the artefacts of a run to a verdict with its uncertainty. Reads `workflow.artifacts`, imports no torch."""
