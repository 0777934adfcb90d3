from __future__ import annotations

from array import array

import pytest

from app.calibration import calibration
from app.figures.calibration import calibration_figure
from app.looks import look_places
from app.predictions import Predictions


def predictions(*rows: tuple[int, int, float]) -> Predictions:
    """Return predictions of (label, predicted, confidence) rows."""
    labels, predicted, confidences = zip(*rows, strict=True)
    return Predictions(array("H", labels), array("H", predicted), array("f", confidences))


FOUND = predictions((0, 0, 0.9), (1, 0, 0.58), (1, 1, 0.55), (0, 1, 0.95), (2, 2, 1.0))


def test_the_surest_mistakes_and_the_least_sure_hits_come_first() -> None:
    assert look_places(FOUND, "mistakes") == [3, 1]
    assert look_places(FOUND, "hits") == [2, 0, 4]


def test_a_draw_is_the_same_for_the_same_number() -> None:
    many = predictions(*[(0, 0, 0.9)] * 200)
    first = look_places(many, "random", 1)
    assert first == look_places(many, "random", 1)
    assert first != look_places(many, "random", 2)
    assert len(set(first)) == len(first) == 24
    assert sorted(look_places(FOUND, "random", 3)) == [0, 1, 2, 3, 4]


def test_bins_count_images_by_confidence() -> None:
    found = calibration(FOUND, bins=10)
    counted = {index: one.images for index, one in enumerate(found.bins) if one.images}
    assert counted == {5: 2, 8: 1, 9: 2}
    assert found.bins[5].accuracy == 0.5
    assert found.accuracy == pytest.approx(0.6)
    assert found.confidence == pytest.approx(0.796)
    # |0.58 + 0.55 - 1| + |0.9 - 1| + |0.95 + 1.0 - 1| over five images
    assert found.error == pytest.approx((0.13 + 0.1 + 0.95) / 5)
    assert found.bins[0].accuracy is None


def test_the_error_is_that_of_the_trainer() -> None:
    torch = pytest.importorskip("torch")
    from trainer.metrics import calibration_error

    shares = torch.softmax(torch.randn(300, 4, generator=torch.manual_seed(3)) * 2, dim=1)
    labels = torch.randint(0, 4, (300,), generator=torch.manual_seed(4))
    best, predicted = shares.max(dim=1)
    rows = zip(labels.tolist(), predicted.tolist(), best.tolist(), strict=True)
    assert calibration(predictions(*rows)).error == pytest.approx(
        calibration_error(shares, labels), abs=1e-6
    )


def test_the_diagram_has_a_bar_for_each_bin_with_images() -> None:
    bars, line = calibration_figure(calibration(FOUND), "#123456")["data"]
    assert len(bars["x"]) == 3
    assert bars["marker"]["color"] == "#123456"
    assert line["x"] == line["y"] == [0, 1]
