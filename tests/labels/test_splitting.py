import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow.labels.splitting import _classes_in_groups, divide_groups, divide_rows


def _labels(sizes):
    return pd.DataFrame({"label": np.repeat([f"c{k}" for k in range(len(sizes))], sizes)}, dtype=object)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(0, 99))
def test_every_class_is_divided_as_asked(sizes, seed):
    labels = _labels(sizes)
    split = divide_rows(labels, 0.1, 0.2, stratified=True, seed=seed)
    n, free = len(labels), len(labels) - len(sizes)
    scale = n / max(free, 1)
    test, val = 0.2 * scale, 0.1 * scale
    whole = max(test + val, 1)
    assert abs((split == "test").sum() - test / whole * free) < 1 + 1e-9
    assert abs((split == "val").sum() - val / whole * free) < 2
    for name, size in zip(labels["label"].unique(), sizes, strict=True):
        of_class = split[(labels["label"] == name).to_numpy()]
        assert (of_class == "train").sum() >= 1
        assert abs((of_class == "test").sum() - test / whole * (size - 1)) < 1 + 1e-9
        assert abs((of_class == "val").sum() - val / whole * (size - 1)) < 2 + 1e-9


def test_a_missing_special_label_is_divided_by_the_level_above_and_seeds_differ():
    labels = pd.DataFrame({"genus": ["g"] * 50 + ["h"] * 50, "species": [None] * 50 + ["s"] * 25 + ["t"] * 25})
    split = divide_rows(labels.astype(object), 0.1, 0.2, stratified=True, seed=1)
    assert [int((split[part] == "test").sum()) for part in (slice(50), slice(50, 75), slice(75, 100))] == [10, 5, 5]
    again, other = (divide_rows(labels.astype(object), 0.1, 0.2, stratified=True, seed=seed) for seed in (1, 2))
    assert (again == split).all() and (other != split).any()


def test_no_group_is_divided_and_the_largest_goes_to_train():
    groups = np.repeat(np.arange(41), [600, *[10] * 40])
    split = divide_groups(groups, np.zeros(len(groups), int), 0.1, 0.2, seed=0)
    assert all(len(set(split[groups == group])) == 1 for group in range(41))
    assert [int((split == name).sum()) for name in ("train", "val", "test")] == [700, 100, 200]
    assert set(split[groups == 0]) == {"train"}


def test_each_class_is_in_every_split_where_its_groups_allow_it():
    sizes = np.random.default_rng(0).integers(1, 30, 60)
    groups, classes = np.repeat(np.arange(60), sizes), np.repeat(np.arange(60) % 4, sizes)
    split = divide_groups(groups, classes, 0.1, 0.1, seed=0)
    for number in range(4):
        shares = {name: float((split[classes == number] == name).mean()) for name in ("train", "val", "test")}
        assert min(shares.values()) > 0.03 and abs(shares["train"] - 0.8) < 0.1
    few = divide_groups(np.arange(3), np.zeros(3, int), 0.1, 0.1, seed=0)
    assert sorted(few) == ["test", "train", "val"], "a class of three groups is learnt, validated and tested"


def test_what_stands_in_one_group_alone_is_told_by_the_level_above_or_stays_in_train():
    labels = pd.DataFrame({"genus": list("gggghhhhi"), "species": list("aabbccddd")})
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4])
    assert (_classes_in_groups(labels, groups) == [0, 0, 0, 0, 1, 1, 6, 6, 6]).all()
    assert (_classes_in_groups(labels[["genus"]], groups) == [0, 0, 0, 0, 1, 1, 1, 1, -1]).all()
    split = divide_groups(groups, _classes_in_groups(labels[["genus"]], groups), 0.2, 0.2, seed=0)
    assert split[8] == "train"
