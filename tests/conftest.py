"""Small genomes made from text."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from evaluation.drawing import style
from evaluation.page import images
from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome

# Time limits for single examples fail on a busy machine.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

#: Modules that take longest, the longest first. They begin before the others, so that none is left running alone.
LONGEST = (
    "tests/backends/nvidia/test_end_to_end.py",
    "tests/test_sweep.py",
    "tests/backends/embedded/test_processes.py",
    "tests/test_run.py",
    "tests/notebooks/test_execution.py",
    "tests/evaluation/test_report.py",
    "tests/stages/test_prepare.py",
    "tests/launch/slurm/test_cluster.py",
    "tests/stages/test_predict_shards.py",
    "tests/stages/test_train.py",
    "tests/stages/test_classify.py",
    "tests/test_malformed.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the modules by how long they take, as far as that is known."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


@pytest.fixture(scope="session", autouse=True)
def print_dpi() -> Iterator[int]:
    """Resolution of figures in print. In the tests they have few pixels, since those take most of a report's time."""
    dpi = style.PRINT_DPI
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "PRINT_DPI", 60)
        patch.setattr(images, "PAGE_DPI", tuple(coarse / 5 for coarse in images.PAGE_DPI))
        yield dpi


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
