from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision import datasets
from torchvision.transforms import InterpolationMode, v2

from trainer import data
from trainer.augment import pipeline
from trainer.data import MemoryBudget, Split, batch_bounds
from trainer.data_sections import AugmentationSpec
from trainer.datasets.manifest import load_manifest
from trainer.errors import RunFailure
from trainer.seeds import derive, epoch_order, sample_random
from trainer.transforms import IMAGENET_MEAN, IMAGENET_STD, InputFormat, centre, decode, normalise
from trainer.transforms import random_crop as crop

FORM = InputFormat(16, 18, False, "bilinear", IMAGENET_MEAN, IMAGENET_STD)


@pytest.fixture
def make(pictures):
    manifest = load_manifest(pictures)
    pools = []

    def build(preset="none", threads=2, budget=1 << 30, seed=0, transforms=(), upended=0.0):
        spec = AugmentationSpec(preset="none" if transforms else preset, transforms=transforms)
        pools.append(ThreadPoolExecutor(threads))
        items = manifest.splits["train"]
        return Split(
            Path(manifest.root),
            items,
            FORM,
            MemoryBudget(budget),
            pools[-1],
            preset=preset if preset in ("none", "flip", "standard") else "none",
            pipeline=pipeline(spec, FORM, seed),
            vertical_flip=upended,
            seed=seed,
        )

    yield build
    for pool in pools:
        pool.shutdown()


def epoch_of(split, epoch=1, batch_size=8):
    return [
        (batch.indices, batch.images.clone(), batch.labels)
        for batch in split.train_batches(epoch, batch_size)
    ]


def same(one, two):
    return all(
        a[0] == b[0] and torch.equal(a[1], b[1]) and torch.equal(a[2], b[2])
        for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("preset", ["none", "flip", "standard"])
def test_batches_do_not_depend_on_threads_memory_or_what_was_read_before(make, preset):
    plain = make(preset, threads=1)
    first = epoch_of(plain, 1)
    second = epoch_of(plain, 2)
    poor = make(preset, threads=4, budget=0)
    assert same(epoch_of(poor, 2), second)
    assert same(epoch_of(poor, 1), first)
    assert same(epoch_of(plain, 1), first)
    assert not same(first, second)


LISTS = [
    [{"name": "RandomRotation", "degrees": 30}, {"name": "ColorJitter", "hue": 0.2}],
    [{"name": "RandomHorizontalFlip"}, {"name": "RandomResizedCrop", "scale": [0.3, 1]}],
    [{"name": "RandomCrop", "padding": 2}],
]


@pytest.mark.parametrize("transforms", LISTS)
def test_listed_transforms_do_not_depend_on_threads_memory_or_what_was_read_before(
    make, transforms
):
    plain = make(threads=1, transforms=transforms, upended=0.5)
    first = epoch_of(plain, 1)
    second = epoch_of(plain, 2)
    poor = make(threads=4, budget=0, transforms=transforms, upended=0.5)
    assert same(epoch_of(poor, 2), second)
    assert same(epoch_of(poor, 1), first)
    assert same(epoch_of(plain, 1), first)
    assert not same(first, second)


@pytest.mark.parametrize("transforms", LISTS)
def test_validation_images_are_never_transformed(make, transforms):
    plain, other = make(), make(transforms=transforms, upended=1.0)
    epoch_of(other)
    (ours,), (theirs,) = plain.fixed_batches(36), other.fixed_batches(36)
    assert torch.equal(ours.images, theirs.images)


def test_a_vertical_flip_turns_the_asked_share_upside_down(make):
    split = make(upended=0.25)
    fixed = torch.cat([batch.images for batch in split.fixed_batches(36)])
    upended = 0
    for epoch in (1, 2, 3):
        for indices, images, _ in epoch_of(split, epoch):
            for index, image in zip(indices, images, strict=True):
                turned = split.upended(index, epoch)
                assert torch.equal(image, fixed[index].flip(-2) if turned else fixed[index])
                upended += turned
    assert 14 < upended < 42


def test_an_epoch_can_be_entered_in_the_middle(make):
    split = make("standard")
    later = list(split.train_batches(3, 8, first=2))
    assert [batch.indices for batch in later] == split.train_indices(3, 8)[2:]
    assert torch.equal(later[0].images, epoch_of(make("standard"), 3)[2][1])


def test_every_image_comes_once_an_epoch_with_its_label(make):
    split = make("flip")
    batches = epoch_of(split)
    seen = [index for indices, _, _ in batches for index in indices]
    assert sorted(seen) == list(range(36))
    assert seen != sorted(seen)
    for indices, _, labels in batches:
        assert labels.tolist() == [split.items[index].label for index in indices]


def test_order_and_augmentation_change_with_the_seed(make):
    one, two = make("standard", seed=1), make("standard", seed=2)
    assert one.train_indices(1, 8) != two.train_indices(1, 8)
    assert epoch_order(1, 1, 9) == epoch_order(1, 1, 9) != epoch_order(1, 2, 9)


def test_a_flip_mirrors_about_half_of_the_images(make):
    split = make("flip")
    fixed = torch.cat([batch.images for batch in split.fixed_batches(36)])
    mirrored = 0
    for indices, images, _ in epoch_of(split):
        for index, image in zip(indices, images, strict=True):
            expected = fixed[index].flip(-1) if split.flipped(index, 1) else fixed[index]
            assert torch.equal(image, expected)
            mirrored += split.flipped(index, 1)
    assert 8 < mirrored < 28


@pytest.mark.parametrize("preset", ["none", "flip", "standard"])
def test_each_file_is_decoded_once_while_memory_lasts(make, preset, monkeypatch):
    read = []
    monkeypatch.setattr(data, "decode", lambda path: read.append(path) or decode(path))
    split = make(preset)
    for epoch in (1, 2, 3):
        epoch_of(split, epoch)
    assert len(read) == len(set(read)) == 36


def test_a_file_that_breaks_later_is_named(make, pictures, monkeypatch):
    split = make()
    monkeypatch.setattr(split, "_root", pictures.parent)
    with pytest.raises(RunFailure, match=r"amber/.*\.png"):
        list(split.fixed_batches(8))


@pytest.mark.parametrize(
    ("samples", "size", "sizes"),
    [(8, 4, [4, 4]), (10, 4, [4, 4, 2]), (9, 4, [4, 5]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_a_single_image_never_makes_a_batch_of_its_own_among_larger_ones(samples, size, sizes):
    bounds = batch_bounds(samples, size)
    assert [end - start for start, end in bounds] == sizes
    assert bounds[-1][1] == samples


def picture(mode, size=(20, 30)):
    rng = random.Random(3)  # noqa: S311
    image = Image.new("RGB", size)
    image.putdata([tuple(rng.randrange(256) for _ in range(3)) for _ in range(size[0] * size[1])])
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "png"), ("L", "png"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("1", "png")],
)
def test_images_are_decoded_as_imagefolder_does(tmp_path, mode, suffix):
    path = tmp_path / f"image.{suffix}"
    picture(mode).save(path)
    expected = v2.functional.pil_to_tensor(datasets.folder.pil_loader(path))
    assert torch.equal(decode(path), expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (64, 64), (8, 8)])
def test_the_fixed_view_is_torchvisions_evaluation_transform(shape, interpolation):
    form = InputFormat(16, 18, False, interpolation, IMAGENET_MEAN, IMAGENET_STD)
    image = v2.functional.pil_to_tensor(picture("RGB", shape))
    mode = InterpolationMode(interpolation)
    usual = v2.Compose(
        [
            v2.Resize(18, interpolation=mode, antialias=True),
            v2.CenterCrop(16),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    ours = normalise(centre(image, form)[None], form)
    torch.testing.assert_close(ours[0], usual(image), atol=1e-5, rtol=0)


def test_squashing_uses_the_whole_image():
    image = torch.zeros(3, 10, 40, dtype=torch.uint8)
    image[:, :, 0] = 255
    squashed = InputFormat(16, 16, True, "nearest", IMAGENET_MEAN, IMAGENET_STD)
    cropped = InputFormat(16, 16, False, "nearest", IMAGENET_MEAN, IMAGENET_STD)
    assert int(centre(image, squashed).max()) == 255
    assert int(centre(image, cropped).max()) == 0


def test_random_crops_have_the_asked_size_and_reach_the_whole_frame():
    ramp = torch.arange(100, dtype=torch.uint8).expand(3, 100, 100)
    views = [crop(ramp, FORM, sample_random(0, 1, str(number))) for number in range(200)]
    assert {tuple(view.shape) for view in views} == {(3, 16, 16)}
    assert min(int(view.min()) for view in views) < 5
    assert max(int(view.max()) for view in views) > 94
    rising = sum(int(view[0, 0, -1]) > int(view[0, 0, 0]) for view in views)
    assert 60 < rising < 140


def test_very_long_images_are_cropped_too():
    strip = torch.zeros(3, 1, 300, dtype=torch.uint8)
    assert crop(strip, FORM, sample_random(0, 1, "strip")).shape == (3, 16, 16)


def test_seeds_differ_by_every_part_and_never_change():
    assert derive(0, "order", 1) == 3818025765772773313
    assert len({derive(0, 1), derive(1, 0), derive(0, "1", ""), derive("0", 1, 2)}) == 4
