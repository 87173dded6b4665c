"""What a model knows of the genetic code: its choices in coding sequence, and where it puts codons among its states."""
