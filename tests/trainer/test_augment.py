from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from trainer.augment import Drawing, Pipeline, build_transform, pipeline
from trainer.augmentations import PRESETS, TABLE
from trainer.data_sections import AugmentationSpec
from trainer.transforms import IMAGENET_MEAN, IMAGENET_STD, InputFormat

FORM = InputFormat(16, 18, False, "bilinear", IMAGENET_MEAN, IMAGENET_STD)
NEEDED = {
    "RandomRotation": {"degrees": 30},
    "RandomAffine": {"degrees": [-20, 20], "translate": [0.1, 0.2], "shear": 5},
    "ColorJitter": {"brightness": 0.4, "contrast": [0.5, 1.5], "saturation": 0.4, "hue": 0.1},
    "RandomGrayscale": {"p": 0.5},
    "GaussianBlur": {"kernel_size": 3},
    "RandomAdjustSharpness": {"sharpness_factor": 2, "p": 0.5},
    "RandomPosterize": {"bits": 2},
    "RandomSolarize": {"threshold": 128},
    "RandomCrop": {"padding": 4},
}
UNCHANGING = {"Grayscale"}  # it draws nothing


def picture(seed=0, shape=(3, 20, 28)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def listed(name):
    return {"name": name, **NEEDED.get(name, {})}


def generators():
    return (torch.random.get_rng_state(), np.random.get_state()[1], random.getstate())


@pytest.mark.parametrize("name", TABLE)
def test_every_transform_gives_bytes_of_the_input_size_drawn_from_the_samples_seed(name):
    pipe = Pipeline([listed(name)], FORM, seed=3)
    image = picture(shape=(3, 16, 16) if pipe.start == "square" else (3, 20, 28))
    before = image.clone()
    torch_state, numpy_state, python_state = generators()
    views = [pipe(image, 1, str(sample)) for sample in range(12)]
    torch.manual_seed(99)
    again = [pipe(image, 1, str(sample)) for sample in range(12)]
    torch.random.set_rng_state(torch_state)
    assert all(view.shape == (3, 16, 16) and view.dtype == torch.uint8 for view in views)
    assert all(torch.equal(one, two) for one, two in zip(views, again, strict=True))
    assert torch.equal(image, before)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert random.getstate() == python_state
    if name not in UNCHANGING:
        assert len({view.numpy().tobytes() for view in views}) > 1


@pytest.mark.parametrize("name", TABLE)
def test_no_transform_touches_the_generator_that_dropout_draws_from(name):
    pipe = Pipeline([listed(name)], FORM, seed=3)
    image = picture(shape=(3, 16, 16) if pipe.start == "square" else (3, 20, 28))
    state = torch.random.get_rng_state()
    for sample in range(12):
        pipe(image, 1, str(sample))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_threads_that_draw_at_once_get_what_each_would_get_alone():
    pipe = pipeline(AugmentationSpec(preset="strong"), FORM, seed=1)
    images = [picture(seed) for seed in range(8)]
    alone = [pipe(images[n % 8], 1 + n // 8, str(n)) for n in range(64)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda n: pipe(images[n % 8], 1 + n // 8, str(n)), range(64)))
    assert all(torch.equal(one, two) for one, two in zip(alone, together, strict=True))


def test_what_is_drawn_has_the_distribution_of_torchvisions_own():
    with Drawing(5):
        ours = torch.rand(1000)
    torch.testing.assert_close(ours, torch.rand(1000, generator=torch.Generator().manual_seed(5)))
    flip = build_transform({"name": "RandomHorizontalFlip", "p": 0.4}, FORM)
    image = picture(shape=(3, 16, 16))
    mirrored = 0
    for seed in range(500):
        with Drawing(seed):
            mirrored += bool(torch.equal(flip(image), image.flip(-1)))
    assert 150 < mirrored < 250


def test_parameters_reach_the_transform():
    turn = build_transform({"name": "RandomRotation", "degrees": 30, "fill": 7}, FORM)
    assert isinstance(turn, v2.RandomRotation)
    assert list(turn.degrees) == [-30, 30]
    crop = build_transform({"name": "RandomResizedCrop", "scale": [0.5, 0.9]}, FORM)
    assert (list(crop.size), list(crop.scale)) == ([16, 16], [0.5, 0.9])


@pytest.mark.parametrize(
    ("names", "start"),
    [
        (["RandomRotation"], "square"),
        (["RandomHorizontalFlip", "RandomResizedCrop"], "whole"),
        (["RandomCrop", "RandomRotation"], "resized"),
    ],
)
def test_a_crop_decides_what_the_list_begins_with(names, start):
    assert Pipeline([listed(name) for name in names], FORM, 0).start == start


def test_a_random_crop_reaches_the_border_of_the_resized_image():
    ramp = torch.arange(18, dtype=torch.uint8).expand(3, 18, 18)
    pipe = Pipeline([{"name": "RandomCrop"}], FORM, 0)
    firsts = {int(pipe(ramp, 1, str(n))[0, 0, 0]) for n in range(50)}
    assert firsts == {0, 1, 2}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_valid_list(preset):
    spec = AugmentationSpec(transforms=PRESETS[preset])
    one = pipeline(spec, FORM, 4)(picture(), 2, "a")
    two = pipeline(AugmentationSpec(preset=preset), FORM, 4)(picture(), 2, "a")
    assert torch.equal(one, two)


@pytest.mark.parametrize("preset", ["none", "flip", "standard"])
def test_the_first_presets_need_no_pipeline(preset):
    assert pipeline(AugmentationSpec(preset=preset), FORM, 0) is None
