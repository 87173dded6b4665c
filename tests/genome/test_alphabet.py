import numpy as np
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from workflow.genome.alphabet import BASE_CODE, IUPAC, reverse_complement

sequences = st.text(IUPAC.decode(), max_size=60)


def as_array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


@given(sequences)
def test_reverse_complement_is_that_of_biopython(text: str) -> None:
    assert reverse_complement(as_array(text)).tobytes().decode() == str(Seq(text).reverse_complement())


@given(sequences)
def test_reverse_complement_twice_is_the_sequence(text: str) -> None:
    assert reverse_complement(reverse_complement(as_array(text))).tobytes().decode() == text


def test_codes() -> None:
    assert BASE_CODE[as_array("ACGTacgtNR-")].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 255, 255, 255]
