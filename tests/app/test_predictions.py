from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import predictions as module
from app.predictions import PredictionsGone, opinions, predictions
from store.rows import EvaluationRow
from store.settings import Settings
from trainer.errors import NotFound

LABELS = [0, 1, 2, 1, 0]
SHARES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7], [1, 0, 0]], np.float32
)
IDS = ["a/1.png", "b/ü 🐜.png", "c/3.png", "b/4.png", "a/0000000005.png"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def written(settings: Settings, **columns: Any) -> EvaluationRow:
    """Write a file of predictions and return the row that it belongs to."""
    path = settings.run_dir(1) / "attempt-001" / "predictions" / "val.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"ids": np.array(IDS), "labels": np.array(LABELS), "probabilities": SHARES}
    np.savez(path, **{**found, **columns})
    return EvaluationRow(
        1, "val", 1, 0.6, 0.5, 5, "f", [[2, 0, 0], [0, 1, 1], [1, 0, 0]], [],
        "attempt-001/predictions/val.npz",
    )  # fmt: skip


def test_what_numpy_wrote_is_read_without_it(settings: Settings) -> None:
    row = written(settings)
    found = predictions(settings, row)
    assert list(found.labels) == LABELS
    assert list(found.predicted) == SHARES.argmax(axis=1).tolist() == [0, 1, 0, 2, 0]
    assert list(found.right) == [1, 1, 0, 0, 1]
    assert predictions(settings, row) is found


def test_the_images_asked_for_come_with_their_probabilities(settings: Settings) -> None:
    found = opinions(settings, written(settings), [4, 1])
    assert [(one.index, one.id, one.label, one.predicted) for one in found] == [
        (4, IDS[4], 0, 0),
        (1, IDS[1], 1, 1),
    ]
    assert found[1].probabilities == pytest.approx([0.2, 0.5, 0.3])
    for index in (-1, 5):
        with pytest.raises(NotFound, match="has no image"):
            opinions(settings, written(settings), [index])


def test_many_rows_are_read_in_pieces(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_BYTES", 30)
    assert list(predictions(settings, written(settings)).predicted) == [0, 1, 0, 2, 0]


def test_a_file_that_changes_is_read_again(settings: Settings) -> None:
    first = predictions(settings, written(settings))
    again = predictions(settings, written(settings, probabilities=SHARES[:, ::-1].copy(), x=[1]))
    assert list(again.predicted) != list(first.predicted)


@pytest.mark.parametrize(
    "columns",
    [
        {"labels": np.array([0, 1, 2, 1])},
        {"labels": np.array([0, 1, 2, 1, 1])},
        {"labels": np.array([0, 1, 2, 1, -1])},
        {"labels": np.array(LABELS, np.int32)},
        {"probabilities": SHARES[:4]},
        {"probabilities": SHARES.astype(np.float64)},
        {"probabilities": np.asfortranarray(SHARES)},
        {"probabilities": np.zeros((5, 0), np.float32)},
        {"probabilities": np.zeros(5, np.float32)},
        {"probabilities": np.array([{}] * 5, dtype=object)},
    ],
)
def test_a_file_of_other_images_or_kinds_is_refused(
    settings: Settings, columns: dict[str, Any]
) -> None:
    with pytest.raises(PredictionsGone, match="predictions of run 1 are not here"):
        predictions(settings, written(settings, **columns))


def test_a_file_that_is_gone_or_broken_says_so(settings: Settings) -> None:
    row = written(settings)
    path = settings.run_dir(1) / row.predictions_file
    content = path.read_bytes()
    for broken in (b"", b"PK\x03\x04", content[: len(content) // 2], b"x" * 300):
        path.write_bytes(broken)
        for read in (predictions, lambda at, one: opinions(at, one, [0])):
            with pytest.raises(PredictionsGone, match="cannot be read"):
                read(settings, row)
    path.unlink()
    with pytest.raises(PredictionsGone, match="removed"):
        predictions(settings, row)


def test_a_run_reported_from_outside_has_none(settings: Settings) -> None:
    row = EvaluationRow(1, "val", 1, 1.0, None, 1, "f", [[1]], [], "")
    with pytest.raises(PredictionsGone, match="script outside"):
        predictions(settings, row)
    with pytest.raises(PredictionsGone, match="script outside"):
        opinions(settings, row, [0])


def test_the_cache_keeps_within_its_bound(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = module._Cache(60)
    monkeypatch.setattr(module, "_CACHE", small)
    for extra in range(5):
        predictions(settings, written(settings, extra=np.zeros(extra)))
    assert 0 < small.size_bytes <= 60
