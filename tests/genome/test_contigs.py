import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.genome.contigs import find_contigs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(st.text("ACgNn", min_size=1, max_size=30), min_size=1, max_size=3), st.integers(1, 6), st.integers(1, 9)
)
def test_contigs_are_the_stretches_without_n(genome_of, sequences, min_length, chunk_bases) -> None:
    named = {f"s{i}": bases for i, bases in enumerate(sequences)}
    contigs, n_bases = find_contigs(genome_of(named), list(named), min_length, chunk_bases)
    expected = [(name, *match.span()) for name, bases in named.items() for match in re.finditer("[^Nn]+", bases)]
    assert list(contigs[["seqid", "start", "end"]].itertuples(index=False, name=None)) == expected
    assert contigs["kept"].tolist() == [end - start >= min_length for _, start, end in expected]
    assert n_bases == sum(bases.upper().count("N") for bases in sequences)
