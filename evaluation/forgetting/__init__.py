"""What the adaptation made the model forget."""
