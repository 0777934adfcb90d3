"""What is tried on a trained model: the recorded probabilities, heat, maps, and the server."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer.runs import spec_with, train
from trainer import maps, serve
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import load_manifest, save_manifest
from trainer.errors import InvalidInput, NotFound, RunFailure
from trainer.gradcam import grad_cam
from trainer.model import Network, build_network
from trainer.parsing import parse_spec
from trainer.resolve import Choices
from trainer.shelf import Shelf
from trainer.trained import Trained, load_trained
from trainer.tryout import Tryout

SIDE_PX = 32
BLOB_PX = 8


def blob_image(chance: random.Random, place: tuple[int, int] | None) -> Image.Image:
    """Return grey noise, with a red blob where asked."""
    pixels = bytes(chance.randrange(90, 140) for _ in range(SIDE_PX * SIDE_PX * 3))
    image = Image.frombytes("RGB", (SIDE_PX, SIDE_PX), pixels)
    if place is not None:
        x, y = place
        image.paste((250, 20, 20), (x, y, x + BLOB_PX, y + BLOB_PX))
    return image


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose classes a small red blob tells apart; its manifest."""
    folder = tmp_path_factory.mktemp("blobs")
    chance = random.Random(3)  # noqa: S311 - pixels, not secrets
    for name in ("blob", "plain"):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(24):
            place = (chance.randrange(24), chance.randrange(24)) if name == "blob" else None
            blob_image(chance, place).save(folder / "images" / name / f"{number:02d}.png")
    save_manifest(scan_folder(folder / "images", "pictures"), folder / "manifest.json")
    return folder / "manifest.json"


@pytest.fixture(scope="module")
def attempt(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt to see the blobs."""
    out = tmp_path_factory.mktemp("blob-run") / "attempt-001"
    spec = spec_with(
        dataset__input_size_px=SIDE_PX,
        model__head={},
        optimizer__lr=0.01,
        augmentation__preset="none",
        training__epochs=6,
        training__precision="fp32",
    )
    assert train(blobs, out, spec) == 0
    return out


@pytest.fixture
def tryout() -> Tryout:
    return Tryout(Shelf(1024**3))


@pytest.fixture
def asked(attempt: Path, blobs: Path, tmp_path: Path) -> dict[str, Any]:
    """A request but for what it asks."""
    return {
        "attempt": str(attempt),
        "manifest": str(blobs),
        "image": {"split": "val", "index": 0},
        "out": str(tmp_path / "out"),
        "file": "classes.csv",
    }


def picture(tmp_path: Path, said: dict[str, Any], name: str) -> Image.Image:
    with Image.open(tmp_path / "out" / said["files"][name]) as opened:
        opened.load()
        return opened


def planted(tmp_path: Path, place: tuple[int, int] = (20, 4)) -> dict[str, str]:
    file = tmp_path / "planted"
    blob_image(random.Random(9), place).save(file, "PNG")  # noqa: S311
    return {"file": str(file), "name": "planted.png"}


def test_every_image_of_the_evaluation_gets_its_recorded_probabilities(
    tryout, asked, attempt, tmp_path
):
    with np.load(attempt / "predictions" / "val.npz") as found:
        recorded = torch.from_numpy(found["probabilities"])
    for index, expected in enumerate(recorded):
        said = tryout({**asked, "do": "classify", "image": {"split": "val", "index": index}})
        assert torch.tensor(said["probabilities"]) == pytest.approx(expected, abs=1e-5)
        assert said["image"]["recorded"] == pytest.approx(expected.tolist())
    assert said["classes"] == ["blob", "plain"]
    rows = list(csv.reader((tmp_path / "out" / "classes.csv").read_text().splitlines()))
    assert rows[0] == ["file", "predicted", "blob %", "plain %"]
    assert float(rows[1][2]) == pytest.approx(100 * said["probabilities"][0], abs=1e-3)
    assert picture(tmp_path, said, "seen").size == (SIDE_PX, SIDE_PX)


def test_the_same_image_uploaded_is_told_the_same(tryout, asked, blobs, attempt):
    with np.load(attempt / "predictions" / "val.npz") as found:
        file = Path(load_manifest(blobs).root) / str(found["ids"][2])
    uploaded = tryout({**asked, "do": "classify", "image": {"file": str(file), "name": "x.png"}})
    evaluated = tryout({**asked, "do": "classify", "image": {"split": "val", "index": 2}})
    assert uploaded["probabilities"] == evaluated["probabilities"]
    assert uploaded["seconds"]["loading"] > evaluated["seconds"]["loading"] == 0


@pytest.mark.parametrize("place", [(20, 4), (2, 20)])
def test_the_heat_lies_where_the_blob_is(tryout, asked, tmp_path, place):
    said = tryout({**asked, "do": "gradcam", "image": planted(tmp_path, place), "class": "blob"})
    assert (said["predicted"], said["class"], said["layer"]) == ("blob", "blob", "features")
    assert not said["nothing"]
    heat = np.asarray(picture(tmp_path, said, "heat"))[..., 3].astype(float)
    x, y = place
    inside = heat[y : y + BLOB_PX, x : x + BLOB_PX]
    assert inside.mean() > 3 * heat.mean()
    top, left = np.unravel_index(heat.argmax(), heat.shape)
    assert x - 4 <= left <= x + BLOB_PX + 4
    assert y - 4 <= top <= y + BLOB_PX + 4
    overlay = picture(tmp_path, said, "overlay")
    assert overlay.width >= 320
    assert overlay.height > overlay.width


def test_without_a_class_the_heat_is_of_the_predicted_one(tryout, asked, tmp_path):
    said = tryout({**asked, "do": "gradcam", "image": planted(tmp_path)})
    assert said["class"] == said["predicted"] == "blob"
    classified = tryout({**asked, "do": "classify", "image": planted(tmp_path)})
    assert said["probabilities"] == pytest.approx(classified["probabilities"], abs=1e-5)


def test_maps_come_in_pages_and_belong_to_the_module(tryout, asked, tmp_path):
    first = tryout({**asked, "do": "features", "module": "features.8", "page": 1})
    assert (first["maps"], first["pages"], first["shown"], first["first"]) == (128, 2, 64, 0)
    size = picture(tmp_path, first, "maps").size
    second = tryout({**asked, "do": "features", "module": "features.8", "page": 2, "columns": 4})
    assert (second["first"], second["shown"]) == (64, 64)
    narrow = picture(tmp_path, second, "maps").size
    assert narrow[0] < size[0]
    assert narrow[1] > size[1]
    vector = tryout({**asked, "do": "features", "module": "fc"})
    assert (vector["maps"], vector["height"], vector["width"]) == (2, 1, 1)


def test_maps_are_those_before_a_later_module_writes_into_them(attempt):
    model = load_trained(attempt)
    square = torch.randint(0, 255, (3, SIDE_PX, SIDE_PX), dtype=torch.uint8)
    assert float(maps.feature_maps(model, square, "features.1").min()) < 0  # ReLU works in place
    assert float(maps.feature_maps(model, square, "features.2").min()) == 0


def test_modules_are_those_of_the_real_network(tryout, asked):
    found = {one["name"]: one for one in tryout({**asked, "do": "modules"})["modules"]}
    assert found["features.0"] == {
        "name": "features.0", "type": "Conv2d", "shape": [32, 32, 32], "maps": 32,
    }  # fmt: skip
    assert found["fc"]["shape"] == [2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"do": "gradcam", "class": "blop"}, "Did you mean `blob`"),
        ({"do": "features", "module": "featurs.1"}, "Did you mean `features.1`"),
        ({"do": "features", "module": "fc", "page": 2}, "1 to 1"),
        ({"do": "classify", "image": {"split": "val", "index": 999}}, "0 to 11"),
    ],
)
def test_what_cannot_be_is_told_with_a_remedy(tryout, asked, changes, words):
    with pytest.raises(InvalidInput) as told:
        tryout({**asked, **changes})
    assert words in str(told.value)


def test_what_is_gone_is_told(tryout, asked, tmp_path):
    with pytest.raises(NotFound):
        tryout({**asked, "do": "classify", "image": {"split": "test", "index": 0}})
    with pytest.raises(RunFailure, match="no longer here"):
        tryout({**asked, "do": "classify", "manifest": str(tmp_path / "none.json")})
    with pytest.raises(RunFailure, match="Launch the run again"):
        tryout({**asked, "do": "modules", "attempt": str(tmp_path)})


def test_a_photo_that_viewers_turn_is_said_to_be(tryout, asked, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    blob_image(random.Random(1), None).save(tmp_path / "turned", "JPEG", exif=exif)  # noqa: S311
    image = {"file": str(tmp_path / "turned"), "name": "turned.jpg"}
    assert tryout({**asked, "do": "classify", "image": image})["image"]["turned"] is True
    assert tryout({**asked, "do": "classify"})["image"]["turned"] is False


def test_the_models_used_last_are_kept_as_many_as_fit(attempt):
    loaded = []

    def load(folder: Path) -> Trained:
        loaded.append(folder)
        return load_trained(folder, "cpu")

    copies = [attempt.parent / name for name in ("a", "b", "c")]
    for copy in copies:
        copy.symlink_to(attempt)
    one = Shelf(1, load)
    one.model(copies[0])
    size = one.size_bytes
    shelf = Shelf(2 * size, load)
    loaded.clear()
    for copy in (copies[0], copies[1], copies[0], copies[2], copies[0], copies[1]):
        shelf.model(copy)
    assert loaded == [copies[0], copies[1], copies[2], copies[1]]
    assert len(shelf) == 2


def untrained(architecture: str, size_px: int) -> Trained:
    spec = parse_spec(
        {
            "dataset": {"name": "x", "input_size_px": size_px},
            "model": {"architecture": architecture, "weights": "none"},
        }
    )
    network: Network = build_network(spec, 3)
    network.module.requires_grad_(False).eval()
    choices = Choices("cpu", "cpu", "fp32", 1, 64)
    return Trained(spec, ("a", "b", "c"), {}, choices, network)


@pytest.mark.parametrize(
    ("architecture", "size_px", "layer", "side"),
    [
        ("resnet18", 64, "layer4", 2),
        ("densenet121", 64, "features", 2),
        ("squeezenet1_1", 64, "classifier.0", 3),
        ("mobilenet_v3_small", 64, "features", 2),
        ("timm/vit_tiny_patch16_224", 224, "blocks.11.norm1", 14),
        ("timm/convnext_atto", 64, "norm_pre", 2),
        ("timm/swin_tiny_patch4_window7_224", 224, "norm", 7),
    ],
)
def test_heat_of_many_kinds_of_networks_is_of_the_last_layer_with_places(
    architecture, size_px, layer, side
):
    model = untrained(architecture, size_px)
    torch.manual_seed(0)
    heat = grad_cam(model, torch.randint(0, 255, (3, size_px, size_px), dtype=torch.uint8), 1)
    assert (heat.layer, heat.grid) == (layer, (side, side))
    assert heat.values.shape == (size_px, size_px)
    assert float(heat.values.max()) in {0.0, 1.0}


def test_the_server_answers_each_request_and_outlives_a_broken_image(asked, tmp_path):
    (tmp_path / "broken").write_bytes(b"\x89PNG no more")
    broken = {"file": str(tmp_path / "broken"), "name": "broken.png"}
    requests = [
        {**asked, "id": 1, "do": "classify", "image": broken},
        {**asked, "id": 2, "do": "classify"},
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "trainer.serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("".join(json.dumps(one) + "\n" for one in requests).encode())
    server.stdin.flush()
    warm, first, second = (json.loads(server.stdout.readline()) for _ in range(3))
    assert warm["warm"] > 0
    assert first["id"] == 1
    assert first["failed"]["errors"][0]["value"] == "broken.png"
    assert second["id"] == 2
    assert second["ready"]["predicted"] in {"blob", "plain"}
    server.stdin.close()
    assert server.wait(30) == 0
    server.stdout.close()


def test_once_answers_a_single_request(asked, capfd):
    assert serve.main(["--once", json.dumps({**asked, "do": "modules"})]) == 0
