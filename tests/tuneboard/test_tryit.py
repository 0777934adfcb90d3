"""explain and features on the command line, and the client's calls for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.trainer.runs import make_dataset, spec_with, train
from tests.tuneboard.conftest import Served
from tests.tuneboard.test_after import succeeded
from tests.tuneboard.test_cli import tuneboard
from tuneboard.client import Client


def test_explain_and_features_look_into_a_run_that_lies_here(tmp_path: Path) -> None:
    attempt = tmp_path / "run"
    manifest = make_dataset(attempt / "dataset")
    assert train(manifest, attempt, spec_with(training__epochs=1)) == 0
    cam, maps = tmp_path / "cam.png", tmp_path / "maps.png"
    said = tuneboard("explain", str(attempt), "val:1", "--out", str(cam), "--class", "blue")
    assert said.exit_code == 0, said.output
    assert "spoke for blue" in said.stderr
    with Image.open(cam) as picture:
        assert picture.format == "PNG"
    image = next((attempt / "dataset" / "images" / "blue").iterdir())
    asked = ["features", str(attempt), str(image), "--module", "features.0", "--out", str(maps)]
    said = tuneboard(*asked)
    assert said.exit_code == 0, said.output
    assert "Maps 0 to 31 of 32" in said.stderr
    assert maps.stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "1", "gone.png", "--out", "x.png"], "an image file that exists"),
        (["features", "1", "val:0"], "--module NAME"),
    ],
)
def test_what_explain_and_features_lack_is_said(arguments: list[str], words: str) -> None:
    said = tuneboard(*arguments)
    assert said.exit_code == 2
    assert words in said.output


def test_the_client_tries_an_image_that_is_sent_or_named(served: Served, tmp_path: Path) -> None:
    run_id = succeeded(served)
    file = tmp_path / "new.png"
    Image.new("RGB", (8, 8)).save(file)
    with Client(served.url) as client:
        sent = client.gradcam(run_id, file, class_name="ant")
        named = client.features(run_id, {"job": sent["id"]}, "layer1", page=2)
        assert client.modules(run_id)["kind"] == "modules"
        assert client.classify(run_id, {"job": sent["id"]})["kind"] == "classify"
    assert sent["request"]["class"] == "ant"
    assert named["request"]["image"] == {"name": "new.png", "job": sent["id"]}
    assert (named["request"]["module"], named["request"]["page"]) == ("layer1", 2)
