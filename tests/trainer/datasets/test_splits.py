import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.datasets.manifest import Item, Manifest
from trainer.datasets.splits import resolve_splits
from trainer.errors import InvalidInput
from trainer.spec import DatasetSpec


def pool(counts, split="train"):
    return tuple(
        Item(f"{split}/c{label}/{index:04d}.png", label)
        for label, count in enumerate(counts)
        for index in range(count)
    )


def manifest(**counts):
    classes = tuple(f"c{label}" for label in range(len(counts["train"])))
    return Manifest("pets", "/x", classes, {k: pool(v, k) for k, v in counts.items()})


def spec(val=0.2, test=0.0, seed=0):
    return DatasetSpec(name="pets", validation_fraction=val, test_fraction=test, split_seed=seed)


def per_class(items, classes):
    return [sum(item.label == label for item in items) for label in range(classes)]


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=5),
    val=st.floats(0.01, 0.49),
    test=st.one_of(st.just(0.0), st.floats(0.01, 0.49)),
    seed=st.integers(0, 2**31 - 1),
)
def test_splits_are_disjoint_complete_stratified_and_sorted(counts, val, test, seed):
    splits = resolve_splits(manifest(train=counts), spec(val, test, seed))
    assert list(splits) == (["train", "val", "test"] if test else ["train", "val"])
    every = [item for items in splits.values() for item in items]
    assert sorted(every, key=lambda item: item.path) == sorted(
        pool(counts), key=lambda item: item.path
    )
    for split, share in {"val": val, "test": test}.items():
        if split not in splits:
            continue
        for got, count in zip(per_class(splits[split], len(counts)), counts, strict=True):
            assert got >= 1
            assert abs(got - share * count) <= 1
    assert min(per_class(splits["train"], len(counts))) >= 1
    for items in splits.values():
        assert [item.path for item in items] == sorted(item.path for item in items)


@given(seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_the_files_order_changes_nothing(seed, order):
    first = manifest(train=[20, 30])
    shuffled = list(first.splits["train"])
    order.shuffle(shuffled)
    again = Manifest("pets", "/x", first.classes, {"train": tuple(shuffled)})
    assert resolve_splits(first, spec(seed=seed)) == resolve_splits(again, spec(seed=seed))


@given(st.integers(0, 1000))
def test_a_file_more_leaves_other_classes_alone_and_moves_one_at_most(seed):
    before = resolve_splits(manifest(train=[40, 50]), spec(0.2, 0.1, seed))
    after = resolve_splits(manifest(train=[41, 50]), spec(0.2, 0.1, seed))
    for split in ("train", "val", "test"):
        assert [i for i in before[split] if i.label == 1] == [
            i for i in after[split] if i.label == 1
        ]
    where = {item.path: split for split, items in after.items() for item in items}
    moved = [i for split in before for i in before[split] if where[i.path] != split]
    assert len(moved) <= 2  # one across each of the class's two borders


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    data = manifest(train=[50, 50])
    assert resolve_splits(data, spec(seed=1)) == resolve_splits(data, spec(seed=1))
    assert resolve_splits(data, spec(seed=1))["val"] != resolve_splits(data, spec(seed=2))["val"]


def test_this_split_is_the_same_for_ever():
    """Runs of different releases can be compared only while the choice stays as it is."""
    splits = resolve_splits(manifest(train=[5, 5]), spec(0.4, seed=7))
    assert [item.path for item in splits["val"]] == [
        "train/c0/0002.png",
        "train/c0/0004.png",
        "train/c1/0002.png",
        "train/c1/0003.png",
    ]


def test_own_splits_win():
    data = manifest(train=[10, 10], val=[3, 4], test=[2, 2])
    assert resolve_splits(data, spec(0.5, 0.3)) == dict(data.splits)


def test_a_missing_val_is_cut_though_there_is_a_test():
    data = manifest(train=[10, 10], test=[2, 2])
    splits = resolve_splits(data, spec(0.2))
    assert per_class(splits["val"], 2) == [2, 2]
    assert per_class(splits["train"], 2) == [8, 8]
    assert splits["test"] == data.splits["test"]


def test_a_test_is_cut_though_there_is_a_val():
    data = manifest(train=[10, 10], val=[2, 2])
    splits = resolve_splits(data, spec(0.2, 0.3))
    assert per_class(splits["test"], 2) == [3, 3]
    assert splits["val"] == data.splits["val"]
    assert not set(splits["train"]) & set(splits["test"])


def test_a_large_share_still_leaves_something_to_train_on():
    splits = resolve_splits(manifest(train=[10, 4]), spec(0.99))
    assert per_class(splits["train"], 2) == [1, 1]


def test_a_small_class_still_gives_one_image():
    splits = resolve_splits(manifest(train=[2, 100]), spec(0.01))
    assert per_class(splits["val"], 2) == [1, 1]


@pytest.mark.parametrize(
    ("counts", "val", "test", "field", "value"),
    [
        ({"train": [1, 9]}, 0.2, 0.0, "dataset.validation_fraction", "c0: 1 image"),
        ({"train": [9, 2]}, 0.2, 0.2, "dataset.validation_fraction", "c1: 2 images"),
        ({"train": [9, 1], "val": [1, 1]}, 0.2, 0.2, "dataset.test_fraction", "c1: 1 image"),
    ],
)
def test_a_class_too_small_for_every_split_is_refused(counts, val, test, field, value):
    with pytest.raises(InvalidInput) as caught:
        resolve_splits(manifest(**counts), spec(val, test))
    (problem,) = caught.value.errors
    assert (problem.field, problem.value) == (field, value)
    assert "Add images to" in problem.remedy


def cut_by(data, **fields):
    return resolve_splits(data, DatasetSpec(name="pets", **fields))


def paths(items):
    return {item.path for item in items}


@given(
    counts=st.lists(st.integers(4, 60), min_size=2, max_size=5),
    val=st.integers(5, 8),
    test=st.integers(5, 8),
    seed=st.integers(0, 1000),
)
def test_counts_are_met_exactly_and_spread_over_the_classes(counts, val, test, seed):
    data = manifest(train=counts)
    if val + test > sum(count - 3 for count in counts):
        return
    splits = cut_by(data, validation_count=val, test_count=test, split_seed=seed)
    assert (len(splits["val"]), len(splits["test"])) == (val, test)
    assert sum(len(items) for items in splits.values()) == sum(counts)
    for items in splits.values():
        assert min(per_class(items, len(counts))) >= 1
    assert len(set().union(*map(paths, splits.values()))) == sum(counts)


def test_a_counted_split_keeps_the_proportions_of_the_classes():
    splits = cut_by(manifest(train=[600, 300, 100]), train_count=100, validation_fraction=0.1)
    assert per_class(splits["train"], 3) == [60, 30, 10]
    assert per_class(splits["val"], 3) == [60, 30, 10]


def test_the_rest_is_unused_or_validated_on():
    data = manifest(train=[50, 50], test=[5, 5])
    unused = cut_by(data, train_count=20)
    rest = cut_by(data, train_count=20, rest="validation")
    assert [len(unused[split]) for split in ("train", "val", "test")] == [20, 20, 10]
    assert [len(rest[split]) for split in ("train", "val", "test")] == [20, 80, 10]
    assert not paths(rest["train"]) & paths(rest["val"])
    assert paths(rest["train"]) | paths(rest["val"]) == paths(data.splits["train"])


def test_test_images_may_serve_as_validation_images_too():
    data = manifest(train=[10, 10], test=[4, 4])
    both = cut_by(data, validation_split="test", test_split="test")
    assert both["val"] == both["test"] == data.splits["test"]
    assert both["train"] == data.splits["train"]
    once = cut_by(data, validation_split="test")
    assert set(once) == {"train", "val"}


def test_named_splits_change_their_roles():
    data = manifest(train=[10, 10], val=[3, 3], test=[4, 4])
    joined = cut_by(data, train_split="train+val")
    assert paths(joined["train"]) | paths(joined["val"]) == paths(data.splits["train"]) | paths(
        data.splits["val"]
    )
    assert joined["test"] == data.splits["test"]
    swapped = cut_by(data, train_split="test", validation_split="val", test_split="none")
    assert swapped == {"train": data.splits["test"], "val": data.splits["val"]}
    cut = cut_by(data, validation_split="cut", test_split="val")
    assert paths(cut["train"]) | paths(cut["val"]) == paths(data.splits["train"])
    assert cut["test"] == data.splits["val"]


def test_a_count_takes_some_of_a_split_that_the_dataset_brings():
    data = manifest(train=[10, 10], val=[30, 10], test=[4, 4])
    some = cut_by(data, validation_count=8, test_count=2)
    assert per_class(some["val"], 2) == [6, 2]
    assert per_class(some["test"], 2) == [1, 1]
    assert some["train"] == data.splits["train"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"validation_split": "val"}, "validation_split"),
        ({"test_split": "test"}, "test_split"),
        ({"train_split": "train+val"}, "train_split"),
        ({"validation_count": 1}, "validation_count"),
        ({"validation_count": 19}, "validation_count"),
        ({"train_count": 17}, "train_count"),
        ({"train_count": 20, "rest": "validation"}, "train_count"),
    ],
)
def test_splits_that_are_not_there_and_counts_that_cannot_be_met_are_refused(fields, field):
    with pytest.raises(InvalidInput) as caught:
        cut_by(manifest(train=[10, 10]), **fields)
    (problem,) = caught.value.errors
    assert problem.field == f"dataset.{field}"
