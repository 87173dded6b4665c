"""From a divided genome to the token files that models are trained on."""
