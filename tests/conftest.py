"""Small genomes made from text."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome

# Time limits for single examples fail on a busy machine.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def genome_of(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Genome]]:
    """Makes an imported genome of sequences given by name."""
    opened = []

    def make(sequences: dict[str, str]) -> Genome:
        source, target = tmp_path / f"source{len(opened)}.fa", tmp_path / f"genome{len(opened)}.fa"
        source.write_text("".join(f">{name}\n{bases}\n" for name, bases in sequences.items()))
        import_fasta(source, target)
        opened.append(Genome(target))
        return opened[-1]

    yield make
    for genome in opened:
        genome.__exit__()
