"""The genome and its split."""
