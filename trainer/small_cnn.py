"""A small network for training from scratch on small images."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

WIDTHS = (32, 64, 128, 128)
POOLED_STAGES = 2  # halvings before the global pool; 32 px become 8


class SmallCNN(nn.Module):
    """Four blocks of convolution, batch normalisation and ReLU, a global average, one layer.

    Takes [B, 3, S, S] for any S from 4 on; S = 32 suits it.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for stage, width in enumerate(WIDTHS):
            layers += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            if stage < POOLED_STAGES:
                layers.append(nn.MaxPool2d(2))
            before = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return [B, classes] logits."""
        return cast(Tensor, self.fc(self.pool(self.features(images)).flatten(1)))
