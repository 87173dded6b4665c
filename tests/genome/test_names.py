import pytest

from workflow.genome.names import natural_key, suggest_name


def test_natural_order() -> None:
    names = ["chr10", "chr2", "Chr1", "chr2_b", "2"]
    assert sorted(names, key=natural_key) == ["2", "Chr1", "chr2", "chr2_b", "chr10"]


@pytest.mark.parametrize(
    ("unknown", "known"), [("1", "Chr1"), ("chromosome_01", "Chr1"), ("NC_1", "NC_1.2"), ("0", "chr0")]
)
def test_suggestions(unknown: str, known: str) -> None:
    assert suggest_name(unknown, ["other", known]) == f"did you mean {known}? Rename one of the two"
