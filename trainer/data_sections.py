"""The parts of a spec that say which images there are and what is done to them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trainer.augmentations import TRANSFORMS_LIMIT, check_transforms
from trainer.section import Section, field_problem, yaml_list

IMAGES_LIMIT = 100_000_000  # above any dataset; keeps counts within what databases store


class DatasetSpec(Section):
    """Which images, and how they are cut into splits."""

    name: str = Field(
        title="Dataset",
        description="The short name of a dataset on the Datasets page.",
        min_length=1,
        max_length=100,
        examples=["digits"],
    )
    train_split: Literal["train", "val", "test", "train+val"] = Field(
        "train",
        title="Train on",
        description="Which of the dataset's own splits is trained on. train+val: both together.",
    )
    validation_split: Literal["auto", "cut", "val", "test"] = Field(
        "auto",
        title="Validate on",
        description="auto: the dataset's own validation split where it brings one that is not "
        "trained on, else cut. cut: held out of the training images. val, test: that split of "
        "the dataset; with test, the best epoch is chosen by the test images, so that its "
        "accuracy is no longer one on unseen images.",
    )
    test_split: Literal["auto", "cut", "none", "val", "test"] = Field(
        "auto",
        title="Test on",
        description="auto: the dataset's own test split where it brings one that is used for "
        "nothing else, otherwise the test share, if any. cut: held out of the training images. "
        "none: no final test. val, test: that split of the dataset.",
    )
    validation_fraction: float = Field(
        0.2,
        title="Validation share",
        description="Share of the training images held out for validation, the same in every "
        "class. Used only where validation images are cut and their number is not given.",
        gt=0,
        lt=1,
        json_schema_extra={"applies_when": {"dataset.validation_split": ["auto", "cut"]}},
    )
    validation_count: int | None = Field(
        None,
        title="Validation images",
        description="How many images to validate on, spread over the classes as they are spread "
        "in the dataset; in place of the share, or that many out of the dataset's own split.",
        ge=1,
        le=IMAGES_LIMIT,
        json_schema_extra={"unit": "images"},
    )
    test_fraction: float = Field(
        0.0,
        title="Test share",
        description="Share of the training images held out for the final test, the same in "
        "every class. Used only where test images are cut and their number is not given.",
        ge=0,
        lt=1,
        json_schema_extra={"applies_when": {"dataset.test_split": ["auto", "cut"]}},
    )
    test_count: int | None = Field(
        None,
        title="Test images",
        description="How many images to test on, spread over the classes as they are spread in "
        "the dataset; in place of the share, or that many out of the dataset's own split.",
        ge=1,
        le=IMAGES_LIMIT,
        json_schema_extra={"unit": "images"},
    )
    train_count: int | None = Field(
        None,
        title="Training images",
        description="How many of the training images left by the other splits to train on, "
        "spread over the classes as they are spread in the dataset. Empty: all.",
        ge=2,
        le=IMAGES_LIMIT,
        json_schema_extra={"unit": "images"},
    )
    rest: Literal["unused", "validation"] = Field(
        "unused",
        title="Other training images",
        description="What becomes of the training images beyond the number to train on. "
        "validation: all of them are validated on, and no others.",
    )
    split_seed: int = Field(
        0,
        title="Split seed",
        description="Seed of what goes into which split. Runs can be compared image by image only "
        "where it is the same.",
        ge=0,
        le=2**31 - 1,
    )
    input_size_px: int | None = Field(
        None,
        title="Input size",
        description="Side of the square the network sees. Empty: what the weights were trained "
        "at, or what the architecture is usually fed.",
        ge=8,
        le=1024,
        json_schema_extra={"unit": "px"},
    )
    resize_px: int | None = Field(
        None,
        title="Resized to",
        description="Length of an image's shorter side before the square is cut from its "
        "middle. Empty: in proportion to the input size, as the weights were evaluated (224 out "
        "of 256 where they do not say).",
        ge=8,
        le=2048,
        json_schema_extra={"unit": "px"},
    )
    interpolation: Literal["weights", "nearest", "bilinear", "bicubic"] = Field(
        "weights",
        title="Interpolation",
        description="How images are resized. weights: as the weights were evaluated, bilinear "
        "where they do not say.",
    )
    normalization: Literal["weights", "imagenet", "half", "computed"] = Field(
        "weights",
        title="Normalization",
        description="Mean and standard deviation of the input: those of the weights (ImageNet's "
        "where there are none), ImageNet's, 0.5 for every channel, or computed from the training "
        "images as they are resized and cropped. Grey images count as colour images with three "
        "equal channels.",
    )

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> DatasetSpec:
        if self.validation_fraction + self.test_fraction >= 1:
            raise field_problem(
                "test_fraction",
                self.test_fraction,
                "less than 1 together with `dataset.validation_fraction`",
                "Lower one of the two; 0.2 and 0.2 leave 60 % to train on.",
            )
        return self

    @model_validator(mode="after")
    def _splits_do_not_overlap_training(self) -> DatasetSpec:
        trained = self.train_split.split("+")
        for field in ("validation_split", "test_split"):
            value = getattr(self, field)
            if value in trained:
                raise field_problem(
                    field,
                    value,
                    "a split that is not trained on",
                    "Choose cut to hold images out of the training images.",
                )
        if self.validation_split == self.test_split == "val":
            raise field_problem(
                "test_split",
                self.test_split,
                "another split than `dataset.validation_split`",
                "Write `test_split: none` where there are no images to test on.",
            )
        return self

    @model_validator(mode="after")
    def _counts_have_a_meaning(self) -> DatasetSpec:
        cut_tests = self.test_fraction > 0 or self.test_count is not None
        if self.test_split == "cut" and not cut_tests:
            raise field_problem(
                "test_split",
                self.test_split,
                "given with how much to cut",
                "Set `dataset.test_fraction` or `dataset.test_count`.",
            )
        if self.test_fraction and self.test_split not in {"auto", "cut"}:
            raise field_problem(
                "test_fraction",
                self.test_fraction,
                f"0 with `dataset.test_split: {self.test_split}`",
                "Give `dataset.test_count` to test on some of a split, or choose cut.",
            )
        if self.test_split == "none" and cut_tests:
            raise field_problem(
                "test_split",
                self.test_split,
                "a split, or left out, where `dataset.test_count` is given",
                "Remove `dataset.test_count`.",
            )
        if self.rest == "unused":
            return self
        for field, value, right in (
            ("train_count", self.train_count, self.train_count is not None),
            ("validation_count", self.validation_count, self.validation_count is None),
            ("validation_split", self.validation_split, self.validation_split in {"auto", "cut"}),
        ):
            if not right:
                raise field_problem(
                    field,
                    value,
                    ("given" if value is None else "left out") + " with `dataset.rest: validation`",
                    "The training images beyond `dataset.train_count` are what is validated on.",
                )
        return self


class AugmentationSpec(Section):
    """What is done to training images before the network sees them."""

    preset: Literal[
        "none", "flip", "standard", "light", "strong", "trivial_augment", "rand_augment"
    ] = Field(
        "none",
        title="Augmentation",
        description="none: resized and centre-cropped. flip: mirrored left to right every other "
        "time. standard: a random crop of 8 to 100 % of the area, resized, and the flip. light: "
        "a crop of at least half the area, the flip, colours changed by up to 10 %. strong: the "
        "standard crop and flip, rotations by up to 15 degrees, colours by up to 40 %, and every "
        "fourth image has a part erased. trivial_augment, rand_augment: the standard crop and "
        "flip, then TrivialAugmentWide or RandAugment.",
    )
    transforms: tuple[dict[str, Any], ...] = Field(
        (),
        title="Own transforms",
        description="Instead of a preset: transforms of torchvision.transforms.v2 in their order, "
        "by name and with their parameters, as a YAML list. They work on the resized and "
        "centre-cropped image; with a RandomResizedCrop on the whole image, with a RandomCrop on "
        "the resized one. Crops have the input size.",
        max_length=TRANSFORMS_LIMIT,
        examples=["[{name: RandomHorizontalFlip, p: 0.4}, {name: RandomRotation, degrees: 30}]"],
    )
    vertical_flip: float = Field(
        0.0,
        title="Vertical flip",
        description="Share of the training images mirrored top to bottom, after a preset's own "
        "changes.",
        ge=0,
        le=1,
    )
    mixup_alpha: float = Field(
        0.0,
        title="MixUp",
        description="Alpha of MixUp: each image is blended with another of its batch, and its "
        "label too, by a share drawn from Beta(alpha, alpha). 0: off; 0.2 is usual. Training "
        "accuracy then counts an image as right where the prediction is the class of the larger "
        "share.",
        ge=0,
        le=100,
    )
    cutmix_alpha: float = Field(
        0.0,
        title="CutMix",
        description="Alpha of CutMix: a rectangle of each image comes from another of its batch, "
        "and as much of its label. 0: off; 1 is usual. With MixUp too, each batch takes one of "
        "the two at even odds.",
        ge=0,
        le=100,
    )
    mix_probability: float | None = Field(
        None,
        title="Mixed batches",
        description="Share of the batches that MixUp or CutMix changes; all where left empty.",
        gt=0,
        le=1,
    )

    validation: Literal["plain", "training"] = Field(
        "plain",
        title="Validation images",
        description="plain: resized and centre-cropped. training: changed as training images are "
        "(but not mixed), as some studies did; drawn once for each image, so that epochs can be "
        "compared. Test images are always plain.",
    )

    @field_validator("transforms", mode="before")
    @classmethod
    def _read_yaml(cls, value: object) -> object:
        """Take a list as the form sends it: as YAML text."""
        return yaml_list(value, "transforms", "[{name: RandomRotation, degrees: 30}]")

    @field_validator("transforms")
    @classmethod
    def _transforms_are_known(
        cls, listed: tuple[dict[str, Any], ...]
    ) -> tuple[dict[str, Any], ...]:
        check_transforms(listed)
        return listed

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> AugmentationSpec:
        if not self.transforms:
            return self
        if self.preset != "none":
            raise field_problem(
                "preset",
                self.preset,
                "none where `augmentation.transforms` are listed",
                "List what the preset does among the transforms, or remove them.",
            )
        if self.vertical_flip:
            raise field_problem(
                "vertical_flip",
                self.vertical_flip,
                "left out where `augmentation.transforms` are listed",
                "List {name: RandomVerticalFlip} among the transforms.",
            )
        return self

    @model_validator(mode="after")
    def _something_to_mix(self) -> AugmentationSpec:
        if self.mix_probability is not None and not self.mixes:
            raise field_problem(
                "mix_probability",
                self.mix_probability,
                "left out without MixUp and CutMix",
                "Set `augmentation.mixup_alpha` or `augmentation.cutmix_alpha`.",
            )
        return self

    @model_validator(mode="after")
    def _validation_has_something_to_share(self) -> AugmentationSpec:
        if (
            self.validation == "training"
            and self.preset == "none"
            and not self.transforms
            and not self.vertical_flip
        ):
            raise field_problem(
                "validation",
                self.validation,
                "plain where training images are not changed",
                "Choose an `augmentation.preset`, or list transforms.",
            )
        return self

    @property
    def finite_versions(self) -> int:
        """How many versions of each training image it makes; 0 for endlessly many."""
        if self.transforms or self.vertical_flip or self.mixes:
            return 0
        return {"none": 1, "flip": 2}.get(self.preset, 0)

    @property
    def mixes(self) -> bool:
        """Whether batches are mixed, so that labels are shares."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0
