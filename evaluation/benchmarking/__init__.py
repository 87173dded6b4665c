"""A genome's split, tasks and baselines as a frozen folder on which any model can be scored."""
