from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from workflow.errors import InputError
from workflow.genome.karyotype import read_karyotype
from workflow.genome.names import natural_key
from workflow.genome.regions import total_bases
from workflow.splits.divide import Split, shares_are_met, split_genome
from workflow.splits.homology import Homology, confirm_groups
from workflow.splits.kmers import Sketch, sample_kmers

DEMO = Path(__file__).parents[2] / "data" / "demo"
FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}
DEFAULTS = {
    "method": "auto",
    "fractions": FRACTIONS,
    "block_length": None,
    "purge": 1_000,
    "max_shared": 0.02,
    "min_length": 128,
    "seed": 42,
}


def random_bases(n: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


def divided(genome_of, sequences: dict[str, str], sequence_names: str | None = None, **options) -> Split:
    return split_genome(*prepared(genome_of, sequences, sequence_names), **(DEFAULTS | options))


def prepared(
    genome_of, sequences: dict[str, str], sequence_names: str | None = None, contigs: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, Homology, Sketch]:
    """Contigs, homolog groups and sketch of sequences; without `contigs` these are whole."""
    genome = genome_of(sequences)
    if contigs is None:
        names = sorted(sequences, key=natural_key)
        contigs = pd.DataFrame([(name, 0, len(sequences[name])) for name in names], columns=["seqid", "start", "end"])
    sketch = sample_kmers(genome, contigs, genome.path.with_suffix(".kmers"), 1).sketch()
    karyotype = read_karyotype(sequences, sequence_names, None)
    return contigs, confirm_groups(karyotype, contigs, sketch, "exclude"), sketch


def shared_with_train(regions: pd.DataFrame, sketch: Sketch) -> dict[str, float]:
    """Share of the k-mers of val and of test that also lie in train."""
    starts, ends = sketch.place(regions)
    of_split: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for start, end, split in zip(starts, ends, regions["split"], strict=True):
        inside = (sketch.positions >= start) & (sketch.positions + 31 <= end)
        of_split[split] |= set(sketch.hashes[inside].tolist())
    return {name: len(of_split[name] & of_split["train"]) / len(of_split[name]) for name in ("val", "test")}


@pytest.fixture(scope="module")
def plastid() -> str:
    return str(SeqIO.read(DEMO / "athaliana_plastid_NC_000932.1.fa", "fasta").seq)


def diverged(bases: str, rate: float, seed: int) -> str:
    """A copy in which this share of the bases is drawn anew."""
    random = np.random.default_rng(seed)
    letters = np.array(list(bases))
    where = random.random(len(letters)) < rate
    letters[where] = random.choice(list("ACGT"), where.sum())
    return "".join(letters)


def kmers(bases: str, k: int = 31) -> set[str]:
    return {bases[start : start + k] for start in range(len(bases) - k + 1)}


@pytest.mark.parametrize(("seed", "block_length"), [(42, None), (1, None), (2, 3_000), (3, 12_000)])
def test_no_part_of_the_plastid_is_on_two_sides(genome_of, plastid: str, seed: int, block_length: int | None) -> None:
    split = divided(genome_of, {"plastid": plastid}, seed=seed, block_length=block_length)
    bases = {
        name: [plastid[row.start : row.end] for row in split.regions[split.regions["split"] == name].itertuples()]
        for name in FRACTIONS
    }
    train = set().union(
        *map(kmers, bases["train"]), *(kmers(str(Seq(text).reverse_complement())) for text in bases["train"])
    )
    for name in ("val", "test"):
        held_out = set().union(*map(kmers, bases[name]))
        assert len(held_out & train) <= 0.005 * len(held_out)
        assert 0.05 < len(held_out) / len(plastid) < 0.2


def test_both_copies_of_the_inverted_repeat_are_in_one_split(genome_of, plastid: str) -> None:
    copy, other = (84_170, 110_434), (128_214, 154_478)
    assert plastid[slice(*copy)] == str(Seq(plastid[slice(*other)]).reverse_complement())
    for seed in range(5):
        regions = divided(genome_of, {"plastid": plastid}, seed=seed).regions
        mirrored = np.full(len(plastid), "", "<U5")
        for row in regions.itertuples():
            mirrored[row.start : row.end] = row.split
        pairs = set(zip(mirrored[slice(*copy)], mirrored[slice(*other)][::-1], strict=True))
        assert {pair for pair in pairs if "" not in pair and pair[0] != pair[1]} == set()


def test_homologs_stay_together(genome_of) -> None:
    sequences = {f"Chr{group}{copy}": random_bases(300, 10 * group) for group in range(1, 11) for copy in "ABC"}
    sequences["Chr3_7D"] = random_bases(300, 5)
    pattern = "Chr(?P<group>[0-9_]+)(?P<haplotype>[A-Z])"
    split = divided(genome_of, sequences, pattern)
    assert (split.method, split.groups, split.purged) == ("sequence", 9, 0)
    assert split.regions.groupby("group")["split"].nunique().max() == 1
    of_seqid = split.regions.set_index("seqid")["split"]
    assert of_seqid["Chr3A"] == of_seqid["Chr7B"] == of_seqid["Chr3_7D"]
    assert set(of_seqid) == set(FRACTIONS)


@pytest.mark.parametrize("strand", [1, -1])
def test_copies_under_other_names_stay_together(genome_of, strand: int) -> None:
    originals = {f"s{i}": random_bases(5_000, i) for i in range(10)}
    copies = {f"copy{i}": diverged(bases, 0.02, i)[::strand] for i, bases in enumerate(originals.values())}
    if strand == -1:
        copies = {name: str(Seq(bases).complement()) for name, bases in copies.items()}
    contigs, homology, sketch = prepared(genome_of, originals | copies)
    for seed in range(5):
        split = split_genome(contigs, homology, sketch, **(DEFAULTS | {"seed": seed}))
        assert (split.method, split.groups) == ("sequence", 10)
        of_seqid = split.regions.set_index("seqid")["split"]
        assert all(of_seqid[f"s{i}"] == of_seqid[f"copy{i}"] for i in range(10))
        assert max(shared_with_train(split.regions, sketch).values()) == 0


def test_copies_join_the_groups_that_names_tell(genome_of) -> None:
    sequences = {
        f"Chr{group}{copy}": random_bases(2_000, 10 * group + ord(copy)) for group in range(6) for copy in "AB"
    }
    sequences["Chr5B"] = diverged(sequences["Chr0A"], 0.01, 0)
    split = divided(genome_of, sequences, r"Chr(?P<group>\d)(?P<haplotype>[A-Z])")
    assert split.groups == 5
    tied = split.regions[split.regions["seqid"].isin(["Chr0A", "Chr0B", "Chr5A", "Chr5B"])]
    assert tied["group"].tolist() == ["0+5"] * 4
    assert tied["split"].nunique() == 1


def test_blocks_where_all_sequences_are_copies(genome_of) -> None:
    bases = random_bases(60_000, 1)
    contigs, homology, sketch = prepared(genome_of, {name: diverged(bases, 0.01, i) for i, name in enumerate("abcd")})
    split = split_genome(contigs, homology, sketch, **DEFAULTS)
    assert split.method == "block"
    assert max(shared_with_train(split.regions, sketch).values()) < 0.02


HOMOLOGS = r"Chr(?P<group>\d)(?P<haplotype>[A-Z])"


def test_blocks_are_refused_where_names_tell_homologs(genome_of) -> None:
    sequences = {
        f"Chr{group}{copy}": random_bases(4_000, 100 * group + ord(copy)) for group in (1, 2, 3) for copy in "AB"
    }
    with pytest.raises(InputError, match=r"block would put homologs .* \(Chr1A and Chr1B .*; use split\.method=seq"):
        divided(genome_of, sequences, HOMOLOGS, method="block")
    del sequences["Chr3A"], sequences["Chr3B"]
    with pytest.raises(InputError, match=r"auto finds no split: .*blocks would put homologs .*sequence_names=null"):
        divided(genome_of, sequences, HOMOLOGS)
    with pytest.raises(InputError, match=r"needs at least three .*; set genome\.sequence_names=null"):
        divided(genome_of, sequences, HOMOLOGS, method="sequence")
    assert divided(genome_of, sequences, method="block").method == "block"
    haploid = {name: bases for name, bases in sequences.items() if name.endswith("A")}
    assert divided(genome_of, haploid, HOMOLOGS).method == "block"


def test_uneven_homolog_groups_are_taken_only_when_asked_for(genome_of) -> None:
    length = {"1": 30_000, "2": 500, "3": 500}
    sequences = {f"Chr{g}{copy}": random_bases(n, 100 * int(g) + ord(copy)) for g, n in length.items() for copy in "AB"}
    with pytest.raises(
        InputError, match=r"too uneven for split\.fractions.* use split\.method=sequence to take uneven"
    ):
        divided(genome_of, sequences, HOMOLOGS)
    split = divided(genome_of, sequences, HOMOLOGS, method="sequence")
    assert not shares_are_met(split.shares(62_000), FRACTIONS)


def test_a_circle_is_purged_across_its_origin(genome_of, plastid: str) -> None:
    length = len(plastid)
    contigs, homology, sketch = prepared(genome_of, {"plastid": plastid})
    at_origin = 0
    for seed in range(60):
        options = DEFAULTS | {"seed": seed, "block_length": 4_000}
        regions = split_genome(contigs, homology, sketch, **options, circular={"plastid": length}).regions
        first, last = regions.iloc[0], regions.iloc[-1]
        if first["split"] != last["split"]:
            at_origin += 1
            assert first["start"] + length - last["end"] >= 1_000
    assert at_origin >= 3


def test_a_small_genome_is_divided_as_asked(genome_of) -> None:
    phage = str(SeqIO.read(DEMO / "phix174_NC_001422.1.fa", "fasta").seq)
    contigs, homology, sketch = prepared(genome_of, {"phage": phage})
    for seed in range(20):
        split = split_genome(contigs, homology, sketch, **(DEFAULTS | {"seed": seed}), circular={"phage": len(phage)})
        got = split.shares(len(phage))
        assert split.purge == 5_386 // 20 // 4
        assert split.purged < 0.06 * len(phage)
        assert all(0.7 * FRACTIONS[name] < got[name] < 1.3 * FRACTIONS[name] for name in got), (seed, got)


def test_the_order_of_the_file_does_not_matter(genome_of) -> None:
    sequences = {f"s{i}": random_bases(200 + 10 * i, i) for i in range(12)}
    one = divided(genome_of, sequences).regions
    other = divided(genome_of, dict(reversed(sequences.items()))).regions
    assert one.set_index("seqid")["split"].to_dict() == other.set_index("seqid")["split"].to_dict()


def test_auto_takes_blocks_when_sequences_cannot_meet_the_shares(genome_of) -> None:
    sequences = {"big": random_bases(60_000, 1), "a": random_bases(500, 2), "b": random_bases(500, 3)}
    split = divided(genome_of, sequences)
    assert split.method == "block"
    assert divided(genome_of, sequences, method="sequence").method == "sequence"
    for name in ("val", "test"):
        assert total_bases(split.regions[split.regions["split"] == name]) > 0.5 * 0.1 * 61_000


def test_purged_bases_are_counted(genome_of) -> None:
    split = divided(genome_of, {"a": random_bases(100_000, 1)})
    borders = np.count_nonzero(split.regions["split"].to_numpy()[1:] != split.regions["split"].to_numpy()[:-1])
    assert split.purged == 1_000 * borders
    assert total_bases(split.regions) == 100_000 - split.purged


def test_what_purging_leaves_too_short_is_purged_too(genome_of) -> None:
    contigs = pd.DataFrame({"seqid": "a", "start": [0, 20_001], "end": [20_000, 20_450]})
    sequences = {"a": random_bases(20_000, 1) + "N" + random_bases(449, 2)}
    cut = prepared(genome_of, sequences, contigs=contigs)
    ends = set()
    for seed in range(12):
        split = split_genome(*cut, **(DEFAULTS | {"block_length": 2_000, "min_length": 250, "seed": seed}))
        assert (split.regions["end"] - split.regions["start"]).min() >= 250
        assert total_bases(split.regions) + split.purged == 20_449
        ends.add(int(split.regions["end"].max()))
    # In some the last contig keeps its 449 bases; in others a border leaves 199 of them, which go too.
    assert max(ends) == 20_450
    assert min(ends) < 20_001


def test_too_few_sequences(genome_of) -> None:
    sequences = {"a": random_bases(500, 1), "b": random_bases(500, 2)}
    with pytest.raises(InputError, match=r"needs at least three .* fewer among 2 sequences; use split\.method=block"):
        divided(genome_of, sequences, method="sequence")


def test_nothing_left_after_purging(genome_of) -> None:
    with pytest.raises(
        InputError, match=r"purging 50 bases .* leaves no 1000 bases of val and test; lower split\.purge"
    ):
        divided(genome_of, {"a": random_bases(10_000, 1)}, block_length=200, min_length=1_000)


def test_a_genome_of_copies_cannot_be_divided(genome_of) -> None:
    with pytest.raises(
        InputError, match=r"blocks form 1 groups .* lower split\.block_length, or raise split\.max_shared"
    ):
        divided(genome_of, {"a": random_bases(2_000, 1) * 10}, block_length=2_000)


FORCED = {f"Chr{group}{copy}": 10 * group + ord(copy) for group in range(1, 8) for copy in "AB"} | {"Chr3_7C": 9}


def forced(genome_of, **splits: str) -> Split:
    sequences = {name: random_bases(1_000, seed) for name, seed in FORCED.items()}
    names = {name.removeprefix("_"): split for name, split in splits.items()}
    return divided(genome_of, sequences, r"Chr(?P<group>[\d_]+)(?P<haplotype>[A-Z])", method="sequence", forced=names)


@pytest.mark.parametrize("name", ["_3", "_7", "_3_7", "Chr7B", "Chr3_7C"])
def test_a_group_is_forced_by_any_of_its_names(genome_of, name: str) -> None:
    split = forced(genome_of, **{name: "test", "_5": "val"}).regions.set_index("seqid")["split"]
    assert split[["Chr3A", "Chr3B", "Chr7A", "Chr7B", "Chr3_7C"]].tolist() == ["test"] * 5
    assert split[["Chr5A", "Chr5B"]].tolist() == ["val"] * 2
    assert set(split) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"_3": "test", "Chr7A": "val"}, r"^split\.val names Chr7A, but homolog group 3_7, .* is forced into test"),
        ({"_12": "test"}, r"^split\.test names 12, which is no homolog group or sequence; it has"),
        ({"chr1a": "test"}, r"^split\.test names chr1a, .*; did you mean Chr1A"),
        ({f"_{group}": "train" for group in range(1, 8)}, r"what is forced leaves no homolog group for val and test"),
    ],
)
def test_what_cannot_be_forced(genome_of, splits: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        forced(genome_of, **splits)


def test_only_whole_groups_can_be_forced(genome_of) -> None:
    with pytest.raises(InputError, match=r"name whole homolog groups; use split\.method=sequence"):
        divided(genome_of, {"a": random_bases(60_000, 1)}, method="block", forced={"a": "test"})


def test_blocks_need_kmers(genome_of) -> None:
    contigs, homology, _ = prepared(genome_of, {"a": random_bases(60_000, 1)})
    with pytest.raises(InputError, match=r"need split\.audit=true"):
        split_genome(contigs, homology, None, **DEFAULTS)


def test_names_of_groups_are_not_taken_apart_without_a_rule(genome_of) -> None:
    sequences = {
        name: random_bases(1_000, seed) for seed, name in enumerate(["1", "2", "3", "scaffold_1", "scaffold_2"])
    }
    split = divided(genome_of, sequences, method="sequence", forced={"1": "test"}).regions.set_index("seqid")["split"]
    assert split["1"] == "test"
    with pytest.raises(InputError, match=r"split\.test names scaffold, which is no homolog group or sequence"):
        divided(genome_of, sequences, method="sequence", forced={"scaffold": "test"})
