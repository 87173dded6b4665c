from pathlib import Path

import pandas as pd
import pytest

from workflow.dataset.documents import write_documents
from workflow.dataset.megatron import TokenFile
from workflow.errors import InputError
from workflow.genome.sequences import Genome

REGIONS = pd.DataFrame({"seqid": ["chr1", "2", "2"], "start": [1, 0, 6], "end": [11, 4, 8]})


def test_regions_become_documents_and_records(genome: Genome, tmp_path: Path) -> None:
    write_documents(genome, REGIONS, tmp_path / "x_val", tmp_path / "val.fa")
    assert [document.tobytes() for document in TokenFile(tmp_path / "x_val")] == [b"CGTacgtRYN\0", b"GGGG\0", b"CC\0"]
    assert (tmp_path / "val.fa").read_text() == ">chr1:1-11\nCGTacgtRYN\n>2:0-4\nGGGG\n>2:6-8\nCC\n"


def test_an_empty_split_is_refused(genome: Genome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x_val: no region of the genome is in this split; run stage=prepare again"):
        write_documents(genome, REGIONS[:0], tmp_path / "x_val", tmp_path / "val.fa")
    assert not (tmp_path / "x_val.bin").exists()
