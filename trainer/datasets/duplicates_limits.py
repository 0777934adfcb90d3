"""Which images are compared with others but exactly."""

from __future__ import annotations

SMALLEST_PX = 32
"""Images with a shorter side are compared exactly only: digits of 8 pixels all look alike."""
NEAR_LIMIT = 250_000
"""More images than that are compared exactly only; their small versions take 768 bytes each."""
