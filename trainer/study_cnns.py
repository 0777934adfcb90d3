"""The from-scratch networks of a published study of ten classes of small photos.

Where the study gives no number, the usual one is taken; what it gives is kept: how many blocks, in
which order, and how many features reach the first linear layer.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

_MEDIUM_SIDE = 4  # 64 px after four halvings, so that 512 channels make 8,192 features


class _BlocksThenLayers(nn.Module):
    """Blocks of convolutions, a pool to a fixed side, and a classifier."""

    def __init__(self, blocks: list[nn.Module], side: int, classifier: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Return [B, classes] logits."""
        return cast(Tensor, self.classifier(self.pool(self.features(images)).flatten(1)))


class SimpleCNN(_BlocksThenLayers):
    """Two blocks of convolution, ReLU and pool; one layer on 128 features."""

    def __init__(self, classes: int = 1000) -> None:
        blocks = [_simple_block(3, 64), _simple_block(64, 128)]
        super().__init__(list(blocks), 1, nn.Linear(128, classes))


class ComplexCNN(_BlocksThenLayers):
    """Three blocks of convolution, ReLU, batch normalisation and pool; one layer on 512."""

    def __init__(self, classes: int = 1000) -> None:
        blocks = [
            nn.Sequential(
                nn.Conv2d(before, width, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(width),
                nn.MaxPool2d(2),
            )
            for before, width in ((3, 128), (128, 256), (256, 512))
        ]
        super().__init__(list(blocks), 1, nn.Linear(512, classes))


class MediumCNN(_BlocksThenLayers):
    """Four blocks with 64 to 512 channels, then 8192 → 1024 → 512 → classes with dropout.

    Made for 64 px, where the pool before the classifier changes nothing.
    """

    def __init__(self, classes: int = 1000) -> None:
        blocks = [
            nn.Sequential(
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            )
            for before, width in ((3, 64), (64, 128), (128, 256), (256, 512))
        ]
        classifier = nn.Sequential(
            nn.Linear(512 * _MEDIUM_SIDE**2, 1024),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(1024, 512),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(512, classes),
        )
        super().__init__(list(blocks), _MEDIUM_SIDE, classifier)


def _simple_block(before: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
    )
