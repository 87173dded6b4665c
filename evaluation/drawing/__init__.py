"""How figures look, and those that several pages share."""
