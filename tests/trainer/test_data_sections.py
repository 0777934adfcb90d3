from __future__ import annotations

import pytest

from trainer.augmentations import PRESETS, TABLE
from trainer.errors import InvalidInput
from trainer.parsing import parse_spec, parse_spec_text
from trainer.spec import spec_yaml


def spec(**sections):
    return parse_spec({**sections, "dataset": {"name": "digits", **sections.get("dataset", {})}})


def refusal(**sections):
    with pytest.raises(InvalidInput) as caught:
        spec(**sections)
    (problem,) = caught.value.errors
    return problem


def transforms(*listed):
    return {"augmentation": {"transforms": list(listed)}}


@pytest.mark.parametrize(
    ("listed", "field"),
    [
        ([{"name": "RandomRotatio", "degrees": 3}], "0.name"),
        ([{"degrees": 3}], "0.name"),
        ([{"name": "RandomRotation"}], "0.degrees"),
        ([{"name": "RandomRotation", "degrees": 200}], "0.degrees"),
        ([{"name": "RandomRotation", "degrees": [20, -20]}], "0.degrees"),
        ([{"name": "RandomRotation", "degrees": "30"}], "0.degrees"),
        ([{"name": "RandomRotation", "degrees": True}], "0.degrees"),
        ([{"name": "RandomRotation", "degrees": float("nan")}], "0.degrees"),
        ([{"name": "RandomRotation", "degrees": 3, "expand": True}], "0.expand"),
        ([{"name": "Grayscale"}, {"name": "RandomErasing", "p": 1.5}], "1.p"),
        ([{"name": "GaussianBlur", "kernel_size": 4}], "0.kernel_size"),
        ([{"name": "RandAugment", "num_ops": 1.5}], "0.num_ops"),
        ([{"name": "RandomCrop", "size": 32}], "0.size"),
        ([{"name": "RandomCrop", "padding_mode": "wrap"}], "0.padding_mode"),
        ([{"name": "RandomCrop"}, {"name": "RandomResizedCrop"}], "1.name"),
    ],
)
def test_transforms_out_of_the_table_are_refused_at_their_parameter(listed, field):
    problem = refusal(**transforms(*listed))
    assert problem.field == f"augmentation.transforms.{field}"
    assert problem.expected


def test_validation_like_training_needs_a_change_to_share():
    problem = refusal(augmentation={"validation": "training", "mixup_alpha": 0.2})
    assert problem.field == "augmentation.validation"
    for change in (
        {"preset": "flip"},
        {"vertical_flip": 0.5},
        {"transforms": [{"name": "AugMix"}]},
    ):
        assert spec(augmentation={"validation": "training", **change})


def test_a_misspelt_transform_gets_the_nearest_name():
    problem = refusal(**transforms({"name": "RandomRotatio", "degrees": 3}))
    assert "`RandomRotation`" in problem.remedy


def test_a_spec_with_transforms_survives_yaml():
    asked = spec(**transforms({"name": "RandomAffine", "degrees": [-5, 5.5], "scale": [0.9, 1.1]}))
    assert parse_spec_text(spec_yaml(asked)) == asked


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"augmentation": {"transforms": [{"name": "Grayscale"}], "preset": "flip"}}, "preset"),
        (
            {"augmentation": {"transforms": [{"name": "Grayscale"}], "vertical_flip": 0.5}},
            "vertical_flip",
        ),
        ({"augmentation": {"mix_probability": 0.5}}, "mix_probability"),
        ({"augmentation": {"mixup_alpha": 0.2}, "loss": {"name": "hinge"}}, "mixup_alpha"),
        ({"augmentation": {"cutmix_alpha": 1}, "loss": {"name": "hinge"}}, "cutmix_alpha"),
        (
            {"augmentation": {"transforms": [{"name": "GaussianBlur", "kernel_size": 31}]},
             "dataset": {"input_size_px": 8}},
            "transforms.0.kernel_size",
        ),
    ],
)  # fmt: skip
def test_augmentations_that_cannot_go_together_are_refused(sections, field):
    assert refusal(**sections).field == f"augmentation.{field}"


@pytest.mark.parametrize(
    ("dataset", "field"),
    [
        ({"train_split": "val", "validation_split": "val"}, "validation_split"),
        ({"train_split": "train+val", "validation_split": "val"}, "validation_split"),
        ({"train_split": "test", "test_split": "test"}, "test_split"),
        ({"validation_split": "val", "test_split": "val"}, "test_split"),
        ({"test_split": "cut"}, "test_split"),
        ({"test_split": "none", "test_count": 5}, "test_split"),
        ({"test_split": "test", "test_fraction": 0.2}, "test_fraction"),
        ({"rest": "validation"}, "train_count"),
        ({"rest": "validation", "train_count": 9, "validation_count": 9}, "validation_count"),
        ({"rest": "validation", "train_count": 9, "validation_split": "test"}, "validation_split"),
        ({"train_count": 1}, "train_count"),
        ({"resize_px": 32, "input_size_px": 64}, "resize_px"),
        ({"resize_px": 200}, "resize_px"),
        ({"interpolation": "lanczos"}, "interpolation"),
    ],
)
def test_splits_and_sizes_that_cannot_work_are_refused(dataset, field):
    assert refusal(dataset=dataset).field == f"dataset.{field}"


def test_the_studies_ways_with_data_are_expressible():
    scenes = spec(dataset={"validation_split": "test", "test_split": "test"})
    tiny = spec(
        dataset={"train_count": 5000, "rest": "validation"},
        **transforms(
            {"name": "RandomHorizontalFlip", "p": 0.4}, {"name": "RandomRotation", "degrees": 30}
        ),
    )
    assert scenes.dataset.test_split == "test"
    assert tiny.augmentation.transforms[1] == {"name": "RandomRotation", "degrees": 30}


def test_presets_hold_only_what_the_table_allows():
    for listed in PRESETS.values():
        assert spec(**transforms(*listed)).augmentation.transforms == listed
        assert {given["name"] for given in listed} <= set(TABLE)
