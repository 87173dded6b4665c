from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset.conftest import documents_at, write_token_file
from workflow.dataset.bases import TokenBases
from workflow.dataset.megatron import TokenFile
from workflow.dataset.writing import PartWriter, Tags
from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement

LETTERS = np.frombuffer(b"ACGTacgtN", np.uint8)
TAGS = [b"", b"|d__Acta|", b"|d__Catalogus|"]


@given(
    documents=st.lists(st.tuples(st.integers(1, 80), st.integers(0, 2)), min_size=1, max_size=4),
    spacing=st.integers(16, 40),
    data=st.data(),
)
def test_what_is_written_with_tags_is_read_by_bases(
    tmp_path_factory: pytest.TempPathFactory, documents: list[tuple[int, int]], spacing: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("bases")
    rng = np.random.default_rng(0)
    texts = [LETTERS[rng.integers(0, 9, length)].tobytes() for length, _ in documents]
    (folder / "genome.fa").write_bytes(b"".join(texts))
    bases = np.array([len(text) for text in texts])
    number = np.array([tag for _, tag in documents])
    writer = PartWriter(folder / "x", folder / "x.fa", "regions")
    writer.add(documents_at(folder / "genome.fa", bases), Tags(TAGS, number, spacing), lambda done: None)
    writer.close()
    tokens = TokenFile(folder / "x")
    assert writer.tokens == tokens.lengths.sum()
    read = TokenBases(tokens, np.array([len(TAGS[n]) for n in number]), spacing)
    assert read.counts.tolist() == bases.tolist()

    document = data.draw(st.integers(0, len(documents) - 1))
    text, tag = texts[document], TAGS[number[document]]
    stretch = spacing - len(tag) if tag else len(text)
    expected = [(tag, text[at : at + stretch]) for at in range(0, len(text), stretch)]
    assert tokens[document].tobytes() == b"".join(part for pair in expected for part in pair) + b"\0"

    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    wanted = b"".join((tag if at % stretch == 0 else b"") + text[at : at + 1] for at in range(start, end))
    assert read.read(document, start, end).tobytes() == wanted

    other = read.read(document, start, end, reverse=True).tobytes()
    assert other.count(tag) == wanted.count(tag)
    without = np.frombuffer(other.replace(tag, b"") if tag else other, np.uint8)
    assert reverse_complement(without).tobytes() == text[start:end]


def test_on_the_other_strand_a_tag_stands_before_the_same_bases(tmp_path: Path) -> None:
    tokens = write_token_file(tmp_path / "x", [b"|d__A|AAAC|d__A|CG"])
    read = TokenBases(tokens, np.array([6]), 10)
    assert read.read(0, 0, 6).tobytes() == b"|d__A|AAAC|d__A|CG"
    assert read.read(0, 0, 6, reverse=True).tobytes() == b"|d__A|CG|d__A|GTTT"
    assert read.read(0, 1, 5, reverse=True).tobytes() == b"|d__A|GGTT"


def test_a_file_without_bases(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.bin holds no bases to train on"):
        TokenBases(write_token_file(tmp_path / "x", [b"", b""]))
