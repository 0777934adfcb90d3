import re

import pytest

from trainer.datasets.catalogue import catalogue_entries, catalogue_entry
from trainer.errors import InvalidInput


def test_names_are_unique_and_every_entry_is_found_by_its_own():
    names = [entry.name for entry in catalogue_entries()]
    assert sorted(names) == [
        "caltech101",
        "cifar10",
        "cifar100",
        "digits",
        "fashion_mnist",
        "flowers102",
        "food101",
        "hymenoptera",
        "oxford_pets",
    ]
    assert [catalogue_entry(name).name for name in names] == names


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InvalidInput) as caught:
        catalogue_entry("digit", field="dataset.name")
    (problem,) = caught.value.errors
    assert (problem.field, problem.value) == ("dataset.name", "digit")
    assert problem.expected.startswith("one of digits, hymenoptera, cifar10")
    assert problem.remedy == "Did you mean `digits`?"


def test_archives_are_fetched_safely_and_pinned():
    archives = [entry.archive for entry in catalogue_entries() if entry.archive]
    assert archives
    for archive in archives:
        assert archive.url.startswith("https://")
        assert archive.file_name == archive.url.split("/")[-1]
        assert re.fullmatch("[0-9a-f]{64}", archive.sha256)
        assert re.fullmatch("[0-9a-f]{64}", archive.images_fingerprint)


def test_the_digits_say_that_they_are_no_photos():
    note = catalogue_entry("digits").note
    assert "8 × 8 pixels, not photos" in note
    assert "from scratch may win" in note
