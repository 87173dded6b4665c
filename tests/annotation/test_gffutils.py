"""The hierarchy of features against what gffutils builds of the same file."""

from collections import Counter, defaultdict
from pathlib import Path

import gffutils
import pytest

from workflow.annotation.export import export_gffutils
from workflow.annotation.features import Features, read_features
from workflow.annotation.gff3 import import_annotation
from workflow.annotation.table import SCHEMA

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    ROOT / "data/demo/athaliana_plastid_NC_000932.1.gff3",
    ROOT / "data/demo/phix174_NC_001422.1.gff3",
    ROOT / "tests/data/annotation/yeast_ncbi.gff3.gz",
    ROOT / "tests/data/annotation/celegans_ensembl.gff3.gz",
    ROOT / "tests/data/annotation/ecoli_genbank.gff3.gz",
]
Relation = tuple[str, str, int]


class _AnyLength(dict[str, int]):
    """Sequences of any name, long enough for every feature: hierarchies need no genome."""

    def get(self, seqid: str, default: int | None = None) -> int:  # type: ignore[override]
        return 1 << 40


def keys_of(features: Features) -> list[str]:
    """Primary keys as gffutils makes them: the ID, numbered where it is taken; type and number where there is none."""
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    keys = []
    for identifier, feature_type in zip(features.identifier.tolist(), features.type.tolist(), strict=True):
        base = features.names[identifier].as_py() if identifier >= 0 else features.types[feature_type]
        key = base
        if identifier < 0 or base in taken:
            counts[base] += 1
            key = f"{base}_{counts[base]}"
        taken.add(key)
        keys.append(key)
    return keys


def relations_of(features: Features, keys: list[str]) -> set[Relation]:
    """Parents and grandparents of every row."""
    pairs = zip(features.parent.tolist(), features.child.tolist(), strict=True)
    children = defaultdict(list)
    for parent, child in pairs:
        children[features.names[parent].as_py()].append(keys[child])
    first = {(parent, child, 1) for parent, of in children.items() for child in of}
    known = set(keys)
    second = {
        (parent, grandchild, 2)
        for parent, of in children.items()
        if parent in known
        for child in of
        for grandchild in children.get(child, [])
    }
    return first | second


def nearest(relations: set[Relation]) -> dict[tuple[str, str], int]:
    """Levels without what gffutils adds for transcripts with a line of their own: itself, and the gene once more."""
    return {(parent, child): level for parent, child, level in sorted(relations, reverse=True) if parent != child}


def relations_in(database: gffutils.FeatureDB) -> set[Relation]:
    return {tuple(row) for row in database.execute("SELECT parent, child, level FROM relations")}


def rows_in(database: gffutils.FeatureDB) -> list[tuple[object, ...]]:
    """Features in the order of the file."""
    columns = "id, seqid, source, featuretype, start, end, score, strand, frame, attributes, extra, bin"
    return [tuple(row) for row in database.execute(f"SELECT {columns} FROM features ORDER BY rowid")]


@pytest.mark.parametrize("source", FILES, ids=lambda path: path.name)
def test_hierarchy_and_export(tmp_path: Path, source: Path) -> None:
    table = tmp_path / "annotation.parquet"
    import_annotation(source, table, _AnyLength(), block_bytes=20_000)
    original = gffutils.create_db(str(source), ":memory:", merge_strategy="create_unique")

    features = read_features(table)
    keys = keys_of(features)
    assert keys == [row[0] for row in rows_in(original)]
    assert relations_of(features, keys) == relations_in(original)
    types = Counter(features.types[code] for code in features.type.tolist())
    assert types == {name: original.count_features_of_type(name) for name in original.featuretypes()}

    export_gffutils(table, tmp_path / "features.db")
    exported = gffutils.FeatureDB(str(tmp_path / "features.db"))
    assert rows_in(exported) == rows_in(original)
    assert relations_in(exported) == relations_in(original)


def test_export_replaces_and_keeps_scores(tmp_path: Path) -> None:
    source, table, target = (tmp_path / name for name in ("in.gff3", "annotation.parquet", "features.db"))
    line = "c\tt\tmatch\t{}\t90\t{}\t+\t.\tID=m{};Note=a%2Cb,c\n"
    source.write_text("".join(line.format(i, score, i) for i, score in enumerate((".", "12", "0.5"), start=1)))
    import_annotation(source, table, {"c": 100})
    export_gffutils(table, target)
    export_gffutils(table, target)
    assert rows_in(gffutils.FeatureDB(str(target))) == rows_in(gffutils.create_db(str(source), ":memory:"))


def test_gtf_export(tmp_path: Path) -> None:
    source, table, target = (tmp_path / name for name in ("in.gtf", "annotation.parquet", "features.db"))
    lines = [
        (kind, start, f'gene_id "g{gene}"; transcript_id "g{gene}.{number}";')
        for gene in (1, 2)
        for number in (1, 2)
        for start in (10 * gene, 50 * gene)
        for kind in ("exon", "CDS")
    ]
    source.write_text("".join(f"c\tt\t{kind}\t{start}\t{start + 8}\t.\t+\t0\t{told}\n" for kind, start, told in lines))
    import_annotation(source, table, {"c": 1000})
    export_gffutils(table, target)
    original = gffutils.create_db(str(source), ":memory:")
    exported = gffutils.FeatureDB(str(target))
    assert nearest(relations_in(exported)) == nearest(relations_in(original))
    for name in ("gene", "transcript"):
        extents = [
            sorted((f.id, f.start, f.end, f.strand) for f in database.features_of_type(name))
            for database in (original, exported)
        ]
        assert extents[0] == extents[1]


def test_schema_is_kept(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    import_annotation(FILES[1], tmp_path / "annotation.parquet", {"NC_001422.1": 5386})
    assert pq.read_schema(tmp_path / "annotation.parquet").equals(SCHEMA)
