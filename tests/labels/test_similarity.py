import numpy as np

from workflow.labels.similarity import canonical, has_similar, similar_groups, sketches


def _random(generator, length):
    return bytes(generator.choice(np.frombuffer(b"ACGT", np.uint8), length))


def _mutated(generator, sequence, share):
    bases = np.frombuffer(sequence, np.uint8).copy()
    where = generator.random(len(bases)) < share
    bases[where] = generator.choice(np.frombuffer(b"ACGT", np.uint8), where.sum())
    return bases.tobytes()


def _other_strand(sequence):
    return sequence.translate(bytes.maketrans(b"ACGT", b"TGCA"))[::-1]


def test_sketch_holds_the_distinct_canonical_kmers():
    generator = np.random.default_rng(0)
    sequence = _random(generator, 60) + b"N" + _random(generator, 40)
    expected = {canonical(sequence[at : at + 16]) for at in range(86) if b"N" not in sequence[at : at + 16]}
    both = sketches([sequence, _other_strand(sequence), sequence[:15] + b"N" * 40])
    assert np.diff(both.starts).tolist() == [len(expected), len(expected), 0]
    assert (both.hashes[: len(expected)] == both.hashes[len(expected) :]).all()


def test_groups_against_all_pairs():
    generator = np.random.default_rng(1)
    families = [_random(generator, 120) for _ in range(12)]
    sequences = [_mutated(generator, family, 0.03) for family in families for _ in range(4)]
    sequences = [_other_strand(one) if at % 3 == 0 else one for at, one in enumerate(sequences)]
    order = generator.permutation(len(sequences))
    sequences = [sequences[at] for at in order]
    kmers = [{canonical(one[at : at + 16]) for at in range(105)} for one in sequences]
    group = list(range(len(sequences)))
    for one in range(len(sequences)):
        for other in range(one):
            shared = len(kmers[one] & kmers[other])
            if shared >= 0.5 * min(len(kmers[one]), len(kmers[other])):
                group = [group[other] if number == group[one] else number for number in group]
    first_of = {number: group.index(number) for number in group}
    found = similar_groups(sequences, 0.5)
    assert found[0] == 0 and len(set(found)) == len(set(group)) < len(sequences)
    assert [int(np.flatnonzero(found == number)[0]) for number in found] == [first_of[number] for number in group]


def test_equal_sequences_are_one_group_however_short_and_repeats_tie_nothing():
    runs = [b"A" * 60, b"A" * 50 + b"CGTAGCTAGG", b"AC" * 30, b"CA" * 40]
    found = similar_groups([b"ACGTT", b"AACGT", b"ACGTA", *runs], 0.5)
    assert found.tolist() == [0, 0, 1, 2, 3, 4, 5]


def test_has_similar_by_containment_and_by_equality():
    generator = np.random.default_rng(2)
    train = [_random(generator, 200) for _ in range(5)] + [b"ACGTA"]
    half = train[0][:100] + _random(generator, 100)
    queries = [_other_strand(train[3][20:120]), half, _random(generator, 200), b"TACGT"]
    assert has_similar(queries, train, 0.9).tolist() == [True, False, False, True]
    assert has_similar(queries, train, 0.4).tolist() == [True, True, False, True]
