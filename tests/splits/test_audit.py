from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.genome.regions import total_bases
from workflow.splits.audit import Audit, audit_split
from workflow.splits.kmers import sample_kmers

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


@pytest.fixture
def audited(genome_of, tmp_path: Path):
    """Two homologs, one in train and one in test, that differ but for 2 kb; and a val sequence of its own."""
    train, test = random_bases(20_000, 1), random_bases(10_050, 2)
    sequences = {"a1": train, "a2": test[:3_000] + train[5_000:7_000] + test[5_000:], "b": random_bases(10_000, 3)}
    genome = genome_of(sequences)
    whole = [(name, 0, len(bases)) for name, bases in sequences.items()]
    contigs = pd.DataFrame(whole, columns=["seqid", "start", "end"])
    regions = contigs.assign(split=["train", "test", "val"], group=["1", "1", "2"])
    kmers = sample_kmers(genome, contigs, tmp_path / "kmers", 1)

    def audit(max_containment: float = 0.5) -> Audit:
        return audit_split(
            kmers,
            regions,
            contigs,
            length=1_000,
            min_length=100,
            max_containment=max_containment,
            fractions=FRACTIONS,
            seed=1,
        )

    return audit


def test_windows_with_a_copy_are_left_out_and_counted(audited) -> None:
    audit = audited()
    assert audit.regions[["seqid", "start", "end", "split"]].to_numpy().tolist() == [
        ["a1", 0, 20_000, "train"],
        ["a2", 0, 3_000, "test"],
        ["a2", 5_000, 10_050, "test"],
        ["b", 0, 10_000, "val"],
    ]
    assert audit.excluded_bases == 2_000
    assert audit.share_with_copies() == {"val": 0.0, "test": 0.2}
    assert audit.summary["excluded"] == {"val": {"windows": 0, "bases": 0}, "test": {"windows": 2, "bases": 2_000}}
    assert audit.summary["test"]["share_at_least"]["0.9"] == 0.2
    excluded = audit.windows[audit.windows["excluded"]]
    assert excluded["sequence_id"].tolist() == ["a2:3000-4000(+)", "a2:4000-5000(+)"]
    assert set(excluded["train_seqid"]) == {"a1"}
    # The last 50 bases are shorter than a window may be: they are kept, and not audited.
    assert total_bases(audit.windows) == 20_000


def test_nothing_is_left_out_when_all_may_be_shared(audited) -> None:
    audit = audited(1.0)
    assert audit.excluded_bases == 0
    assert not audit.windows["excluded"].any()
    assert audit.summary["test"]["share_at_least"]["0.9"] == 0.2


def test_the_random_split_is_audited_too(audited) -> None:
    naive = audited().naive
    assert list(naive) == ["in_train", "containment", "split"]
    assert set(naive["split"]) <= {"val", "test"}
    assert naive.equals(audited().naive)
