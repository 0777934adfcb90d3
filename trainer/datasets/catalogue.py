"""The datasets Tuneboard can fetch by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.errors import FieldError, InvalidInput, nearest


@dataclass(frozen=True)
class RemoteArchive:
    """A zip archive that somebody publishes."""

    url: str
    sha256: str
    """Of the archive as published, in hex."""
    archive_bytes: int
    """About how much there is to download."""
    images_fingerprint: str
    """Fingerprint of a manifest of its images, by which a re-packed copy is accepted."""

    @property
    def file_name(self) -> str:
        """The name under which it is looked for in a mirror folder."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class CatalogueEntry:
    """A dataset that needs no source but its name."""

    name: str
    title: str
    description: str
    note: str
    """What someone comparing runs on it should bear in mind."""
    classes: int
    splits: Mapping[str, int]
    """Readable images per split that it brings."""
    archive: RemoteArchive | None = None
    torchvision_bytes: int = 0
    """About how much torchvision's class of the dataset downloads; 0 where it is none of these.
    Without an archive too, the dataset is made from an installed package."""


_ENTRIES = (
    CatalogueEntry(
        name="digits",
        title="Handwritten digits",
        description="1,797 scans of handwritten digits, 8 × 8 grey pixels each, from "
        "scikit-learn. Nothing is downloaded.",
        note="These are scans of handwritten digits of 8 × 8 pixels, not photos. Weights learnt "
        "from photos help less here than on photos, and a small network trained from scratch may "
        "win.",
        classes=10,
        splits={"train": 1797},
    ),
    CatalogueEntry(
        name="hymenoptera",
        title="Ants and bees",
        description="397 photos of ants and bees, from PyTorch's transfer learning tutorial. "
        "A download of 47 MB.",
        note="One of the 398 files is a GIF that says that its photo is gone; it is skipped, as "
        "ImageFolder skips it. With 153 validation photos, one photo is 0.65 % of accuracy.",
        classes=2,
        splits={"train": 244, "val": 153},
        archive=RemoteArchive(
            url="https://download.pytorch.org/tutorial/hymenoptera_data.zip",
            # As PyTorch's tutorials pin it: .jenkins/download_data.py in pytorch/tutorials.
            sha256="fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209",
            archive_bytes=47_286_322,
            # Taken from a re-packed copy whose files, classes and counts are those of the
            # tutorial (244 and 153 images that ImageFolder reads, and one GIF). It says no more
            # than that; the published archive is accepted by its own sum above.
            images_fingerprint="a4d7dd3e862108bceca5b4b2319bab435a83884fbce581197ebbce6b33e326dd",
        ),
    ),
    CatalogueEntry(
        name="cifar10",
        title="CIFAR-10",
        description="60,000 photos of 32 × 32 pixels: animals and vehicles. A download of 170 MB.",
        note="The images are tiny; a pretrained network made for 224 px sees more in them when "
        "they are resized to 64 px and above.",
        classes=10,
        splits={"train": 50_000, "test": 10_000},
        torchvision_bytes=170_498_071,
    ),
    CatalogueEntry(
        name="cifar100",
        title="CIFAR-100",
        description="60,000 photos of 32 × 32 pixels in a hundred fine classes. A download of "
        "169 MB.",
        note="With 500 training images a class, the choice of seed moves accuracy by a percent.",
        classes=100,
        splits={"train": 50_000, "test": 10_000},
        torchvision_bytes=169_001_437,
    ),
    CatalogueEntry(
        name="fashion_mnist",
        title="Fashion-MNIST",
        description="70,000 grey pictures of clothes, 28 × 28 pixels each. A download of 31 MB.",
        note="The pictures are grey; networks get them as colour images with three equal channels.",
        classes=10,
        splits={"train": 60_000, "test": 10_000},
        torchvision_bytes=30_878_645,
    ),
    CatalogueEntry(
        name="caltech101",
        title="Caltech-101",
        description="8,677 photos of 101 kinds of objects, from 31 to 800 a class; the background "
        "class is left out. A download of 137 MB.",
        note="The classes differ much in size; accuracy over all images says mostly how well the "
        "large ones are known.",
        classes=101,
        splits={"train": 8_677},
        torchvision_bytes=137_414_764,
    ),
    CatalogueEntry(
        name="oxford_pets",
        title="Oxford-IIIT pets",
        description="7,349 photos of 37 breeds of cats and dogs. A download of 811 MB.",
        note="Many of the breeds are among ImageNet's classes, so that ImageNet's weights know "
        "them already.",
        classes=37,
        splits={"train": 3_680, "test": 3_669},
        torchvision_bytes=811_092_049,
    ),
    CatalogueEntry(
        name="flowers102",
        title="Oxford flowers",
        description="8,189 photos of 102 kinds of flowers, ten a class to train on. A download "
        "of 345 MB.",
        note="Much work trains on the training and the validation images together: "
        "`train_split: train+val`.",
        classes=102,
        splits={"train": 1_020, "val": 1_020, "test": 6_149},
        torchvision_bytes=344_878_000,
    ),
    CatalogueEntry(
        name="food101",
        title="Food-101",
        description="101,000 photos of 101 dishes. A download of 5 GB.",
        note="Some of the training images are mislabelled, on purpose; the test images are not.",
        classes=101,
        splits={"train": 75_750, "test": 25_250},
        torchvision_bytes=4_996_278_331,
    ),
)


def catalogue_entries() -> tuple[CatalogueEntry, ...]:
    """Return every dataset of the catalogue."""
    return _ENTRIES


def catalogue_entry(name: str, *, field: str = "source") -> CatalogueEntry:
    """Return the entry of that name.

    Raises:
        InvalidInput: If there is none; `field` is what the error names.
    """
    for entry in _ENTRIES:
        if entry.name == name:
            return entry
    known = [entry.name for entry in _ENTRIES]
    raise InvalidInput.of(
        FieldError(field, name, "one of " + ", ".join(known), nearest(name, known))
    )
