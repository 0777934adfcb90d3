"""The comparison of runs that were really trained: two settings, a few seconds on the CPU."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from store import lifecycle, runs
from store.database import Store
from store.datasets import dataset_ready, register_dataset
from store.settings import Settings
from tests.app.pages import page, text_of
from tests.pictures import write_pictures
from tests.seeding import LEASE_S, claim
from tests.trainer.runs import spec_with, train
from trainer.datasets.prepare import prepare
from trainer.events import Evaluated, parse_event
from trainer.parsing import parse_spec


@dataclass(frozen=True)
class Trained:
    """A run and what numpy finds in its predictions."""

    run_id: int
    predicted: np.ndarray
    labels: np.ndarray
    ids: np.ndarray


def trained(store: Store, settings: Settings, spec: dict[str, Any], manifest: Path) -> Trained:
    """Train a run as a worker would and record its events."""
    run, _ = runs.create_run(store, parse_spec(spec), owner="local")
    attempt = claim(store, run.id)
    out = settings.attempt_dir(run.id, attempt)
    assert train(manifest, out, spec) == 0
    for line in (out / "events.jsonl").read_bytes().splitlines():
        event = parse_event(line)
        if isinstance(event, Evaluated):
            file = f"{out.name}/{event.predictions_file}"
            event = event.model_copy(update={"predictions_file": file})
        lifecycle.record(store, run.id, attempt, lease_s=LEASE_S, events=[event])
    lifecycle.finish(store, run.id, attempt, "succeeded")
    with np.load(out / "predictions" / "val.npz") as found:
        return Trained(run.id, found["probabilities"].argmax(axis=1), found["labels"], found["ids"])


@pytest.fixture
def pair(
    client: TestClient, store: Store, settings: Settings, tmp_path: Path
) -> tuple[Trained, Trained]:
    folder = write_pictures(tmp_path / "open" / "pictures", per_class=12)
    row = register_dataset(store, "pictures", "folder", str(folder), "local")
    place = settings.dataset_dir(row.id)
    manifest = prepare("folder", str(folder), "pictures", place, roots=settings.data_roots)
    assert dataset_ready(store, row.id, manifest.fingerprint, manifest.summary())
    specs = [spec_with(optimizer__lr=rate, training__epochs=2) for rate in (1e-6, 0.01)]
    first, second = (trained(store, settings, one, place / "manifest.json") for one in specs)
    return first, second


def test_the_verdict_counts_what_the_trainer_recorded(
    client: TestClient, pair: tuple[Trained, Trained]
) -> None:
    first, second = pair
    query = f"run={first.run_id}&run={second.run_id}"
    before, after = (one.predicted == one.labels for one in pair)
    found = client.get(f"/api/v1/compare/verdict?{query}").json()["comparisons"][0]
    assert found["counts"] == {
        "both_right": int((before & after).sum()),
        "fixed": int((~before & after).sum()),
        "broken": int((before & ~after).sum()),
        "both_wrong": int((~before & ~after).sum()),
    }
    assert found["counts"]["fixed"] + found["counts"]["both_wrong"] > 0
    shown = page(client, f"/parts/compare/verdict?{query}")
    assert found["sentence"] in text_of(shown)

    kinds = {"fixed": ~before & after, "broken": before & ~after, "both_wrong": ~before & ~after}
    for kind, wanted in kinds.items():
        flips = client.get(f"/api/v1/compare/flips?{query}&kind={kind}").json()
        assert [one["index"] for one in flips["images"]] == np.flatnonzero(wanted).tolist()
        for one in flips["images"]:
            assert one["id"] == first.ids[one["index"]]
            with Image.open(io.BytesIO(client.get(one["image"]).content)) as picture:
                assert picture.size == (24, 24)
    matrices = page(client, f"/parts/compare/confusion?{query}&cell={first.run_id}-0-0")
    cell = (first.labels == 0) & (first.predicted == 0)
    assert text_of(matrices.select_one("#cell-title")).endswith(f": {int(cell.sum())}")
