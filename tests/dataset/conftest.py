"""A small imported genome."""

from pathlib import Path

import pytest

from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    (tmp_path / "in.fa").write_text(">chr1\nACGTacgtRYNN\n>2\nGGGGCCCC\n")
    import_fasta(tmp_path / "in.fa", tmp_path / "genome.fa")
    return Genome(tmp_path / "genome.fa")
