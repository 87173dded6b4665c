"""NVIDIA's two generations of Evo2 tools: their commands, how they are started, and what they write."""
