"""Duplicates, the leak gate, preflights and jobs from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from store import jobs
from store.datasets import dataset_ready, register_dataset
from tests.app.test_preflights import RESULT
from tests.trainer.datasets.test_duplicates import scene
from tests.tuneboard.conftest import Served
from tests.tuneboard.processes import until
from tests.tuneboard.test_cli import tuneboard
from trainer.datasets.prepare import prepare

Meanwhile = Callable[[Callable[[], Any]], Future[Any]]


@pytest.fixture
def insects(served: Served, tmp_path: Path) -> None:
    """A dataset of which one validation image is among the training images too."""
    folder = tmp_path / "insects"
    for split, count, first in (("train", 3, 0), ("val", 2, 50)):
        for label, base in (("ant", 1000), ("bee", 2000)):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                scene(base + first + number, 48).save(place / f"{number}.png")
    scene(1000, 48).save(folder / "val" / "ant" / "0.png")
    row = register_dataset(served.store, "insects", "folder", str(folder), "local")
    place = served.settings.dataset_dir(row.id)
    manifest = prepare("folder", str(folder), "insects", place, roots=[tmp_path])
    assert dataset_ready(served.store, row.id, manifest.fingerprint, manifest.summary())


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "insects.yaml"
    small = {"architecture": "tuneboard/small_cnn", "weights": "none"}
    path.write_text(yaml.safe_dump({"dataset": {"name": "insects"}, "model": small}))
    return path


@pytest.mark.usefixtures("insects")
def test_duplicates_are_listed_and_stop_a_launch_until_it_is_acknowledged(spec: Path) -> None:
    table = tuneboard("datasets", "duplicates", "insects").stdout.splitlines()
    assert [line.split("\t")[-1] for line in table[1:]] == ["train/ant/0.png", "val/ant/0.png"]
    found = json.loads(tuneboard("datasets", "duplicates", "insects", "--json").stdout)
    assert found["total"] == 1
    refused = tuneboard("submit", str(spec))
    assert refused.exit_code == 2
    assert "acknowledge" in refused.stderr
    assert tuneboard("submit", str(spec), "--acknowledge-leaks").stdout.startswith("1\t")
    for launch in (
        ["sweep", str(spec), "--seeds", "2"],
        ["recipes", "run", "s1-ants-and-bees", "--dataset", "insects"],
    ):
        refused = tuneboard(*launch)
        assert refused.exit_code == 2
        assert "acknowledge_leaks" in refused.stderr
        assert tuneboard(*launch, "--acknowledge-leaks").exit_code == 0


@pytest.mark.usefixtures("insects")
def test_a_spec_is_tried_and_its_picture_written(
    served: Served, spec: Path, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    def work() -> None:
        claimed: list[Any] = []

        def one_is_claimed() -> bool:
            claimed.extend(filter(None, [jobs.claim_job(served.store, 60, ["train"])]))
            return bool(claimed)

        until(one_is_claimed, 20, "a preflight was asked for")
        folder = served.settings.job_dir(claimed[0].id)
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "samples.png")
        jobs.job_succeeded(served.store, claimed[0], RESULT)

    meanwhile(work)
    picture = tmp_path / "samples.png"
    said = tuneboard("preflight", str(spec), "--out", str(picture))
    assert "peak 2.0 of 8.0 GB" in said.stdout
    assert "An epoch takes about 30.0 s, the first 1 min 0 s; all about 1 min 30 s." in said.stdout
    assert "Few validation images" in said.stderr
    with Image.open(picture) as sheet:
        assert sheet.size == (8, 8)


def test_jobs_are_listed_and_cancelled(served: Served) -> None:
    jobs.create_job(served.store, "duplicates", "ann", {}, dataset_id=1)
    assert "duplicates" in tuneboard("jobs", "list").stdout
    assert "Job 1 is cancelled." in tuneboard("jobs", "cancel", "1").stderr
    again = tuneboard("jobs", "cancel", "1")
    assert again.exit_code == 2
    assert "has ended" in again.stderr
