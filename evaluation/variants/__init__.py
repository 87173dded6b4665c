"""The room of the variants: what their scores say, beside the baselines."""
