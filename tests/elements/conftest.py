"""A made-up genome with its class track, in which background is looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from workflow.annotation.classes import ClassTrack
from workflow.elements.background import Surroundings
from workflow.elements.choice import located
from workflow.elements.intervals import Stretches
from workflow.genome.layout import Layout
from workflow.genome.sequences import Genome

Surround = Callable[..., Surroundings]


@pytest.fixture
def surround(tmp_path: Path, genome_of: Callable[[dict[str, str]], Genome]) -> Iterator[Surround]:
    """Surroundings of a genome, with classes that are painted on it: (seqid, start, end, class)."""
    with ExitStack() as opened:

        def make(sequences, elements, regions=None, classes=()):  # type: ignore[no-untyped-def]
            genome = genome_of(sequences)
            layout = Layout(genome.lengths)
            track = np.zeros(layout.total, np.uint8)
            for seqid, start, end, code in classes:
                first = layout.offsets[list(genome.lengths).index(seqid)]
                track[first + start : first + end] = code
            np.save(tmp_path / "classes.npy", track)
            reader = opened.enter_context(ClassTrack(tmp_path / "classes.npy", genome.lengths))
            allowed = Stretches.of(layout.offsets[:-1], layout.offsets[1:])
            if regions is not None:
                allowed = Stretches.of(*located(regions, layout))
            return Surroundings(genome, reader, layout, allowed, Stretches.of(*located(elements, layout)))

        yield make
