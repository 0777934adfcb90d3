"""Small fakes of the published archives, read by torchvision's own classes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from itertools import chain

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets as tv

from trainer.datasets import published
from trainer.datasets.catalogue import catalogue_entries
from trainer.datasets.download import DownloadFailed, WrongArchive
from trainer.datasets.prepare import prepare
from trainer.transforms import decode


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def jpeg(seed, size=(20, 16)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg")
    return buffer.getvalue()


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def cifar(monkeypatch, kind, key, label_key):
    classes = ["apple", "bee"]
    files, lists = {}, {"train_list": [], "test_list": []}
    for which, rows in (("train", 6), ("test", 4)):
        data = np.random.default_rng(rows).integers(0, 256, (rows, 3072), dtype=np.uint8)
        labels = [n % 2 for n in range(rows)]
        files[which] = pickle.dumps({"data": data, label_key: labels})
        lists[f"{which}_list"].append([which, md5(files[which])])
    files["meta"] = pickle.dumps({key: classes})
    content = tar({f"{kind.base_folder}/{name}": data for name, data in files.items()})
    monkeypatch.setattr(kind, "train_list", lists["train_list"])
    monkeypatch.setattr(kind, "test_list", lists["test_list"])
    monkeypatch.setattr(kind, "meta", {"filename": "meta", "key": key, "md5": md5(files["meta"])})
    monkeypatch.setattr(kind, "tgz_md5", md5(content))
    return {kind.filename: content}


def cifar10(monkeypatch):
    return cifar(monkeypatch, tv.CIFAR10, "label_names", "labels")


def cifar100(monkeypatch):
    return cifar(monkeypatch, tv.CIFAR100, "fine_label_names", "fine_labels")


def fashion_mnist(monkeypatch):
    archives = {}
    for prefix, rows in (("train", 20), ("t10k", 10)):
        pixels = np.random.default_rng(rows).integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        labels = bytes(n % 10 for n in range(rows))
        images = struct.pack(">IIII", 2051, rows, 28, 28) + pixels.tobytes()
        archives[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(images)
        archives[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(
            struct.pack(">II", 2049, rows) + labels
        )
    resources = [(name, md5(content)) for name, content in archives.items()]
    monkeypatch.setattr(tv.FashionMNIST, "resources", resources)
    return archives


def caltech101(monkeypatch):
    inner = tar(
        {
            f"101_ObjectCategories/{label}/image_{n:04d}.jpg": jpeg(n)
            for label in ("BACKGROUND_Google", "anchor", "ant")
            for n in (1, 2)
        }
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("caltech-101/101_ObjectCategories.tar.gz", inner)
    content = buffer.getvalue()
    monkeypatch.setattr(published, "CALTECH101_MD5", md5(content))
    consts = tuple(
        md5(content) if const == "3138e1922a9193bfa496528edbbc45d0" else const
        for const in tv.Caltech101.download.__code__.co_consts
    )
    assert md5(content) in consts, "torchvision pins another archive than ours"
    code = tv.Caltech101.download.__code__.replace(co_consts=consts)
    monkeypatch.setattr(tv.Caltech101.download, "__code__", code)
    return {"caltech-101.zip": content}


def oxford_pets(monkeypatch):
    lines = {
        "trainval": [("Abyssinian_1", 1), ("great_dane_1", 2), ("Abyssinian_2", 1)],
        "test": [("Abyssinian_3", 1), ("great_dane_2", 2)],
    }
    images = {f"images/{name}.jpg": jpeg(n) for n, (name, _) in enumerate(chain(*lines.values()))}
    texts = {
        f"annotations/{split}.txt": "".join(
            f"{name} {label} 1 1\n" for name, label in rows
        ).encode()
        for split, rows in lines.items()
    }
    archives = {"images.tar.gz": tar(images), "annotations.tar.gz": tar(texts)}
    monkeypatch.setattr(
        tv.OxfordIIITPet,
        "_RESOURCES",
        tuple((f"https://example.org/{name}", md5(data)) for name, data in archives.items()),
    )
    return archives


def flowers102(monkeypatch):
    images = tar({f"jpg/image_{n:05d}.jpg": jpeg(n) for n in range(1, 7)})
    labels, sets = io.BytesIO(), io.BytesIO()
    savemat(labels, {"labels": np.array([[1, 2, 1, 2, 1, 2]])})
    savemat(sets, {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6]]})
    archives = {
        "102flowers.tgz": images,
        "imagelabels.mat": labels.getvalue(),
        "setid.mat": sets.getvalue(),
    }
    names = zip(("image", "label", "setid"), archives.items(), strict=True)
    monkeypatch.setattr(
        tv.Flowers102, "_file_dict", {key: (name, md5(data)) for key, (name, data) in names}
    )
    return archives


def food101(monkeypatch):
    splits = {"train": {"pie": ["pie/1", "pie/2"], "soup": ["soup/3"]}}
    splits["test"] = {"pie": ["pie/4"], "soup": ["soup/5"]}
    files = {
        f"food-101/meta/{split}.json": json.dumps(found).encode() for split, found in splits.items()
    }
    for found in splits.values():
        for number, image in enumerate(chain(*found.values())):
            files[f"food-101/images/{image}.jpg"] = jpeg(number)
    content = tar(files)
    monkeypatch.setattr(tv.Food101, "_MD5", md5(content))
    return {"food-101.tar.gz": content}


CASES = {
    cifar10: (["apple", "bee"], {"train": 6, "test": 4}),
    cifar100: (["apple", "bee"], {"train": 6, "test": 4}),
    fashion_mnist: (sorted(tv.FashionMNIST.classes), {"train": 20, "test": 10}),
    caltech101: (["anchor", "ant"], {"train": 4}),
    oxford_pets: (["Abyssinian", "Great Dane"], {"train": 3, "test": 2}),
    flowers102: (["hard-leaved pocket orchid", "pink primrose"], dict.fromkeys(
        ("train", "val", "test"), 2)),
    food101: (["pie", "soup"], {"train": 3, "test": 2}),
}  # fmt: skip


@pytest.fixture
def no_web(monkeypatch):
    def refuse(url, *_args, **_kwargs):
        raise OSError(f"no way to {url}")

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", refuse)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", refuse)


def put(folder, archives):
    folder.mkdir(exist_ok=True)
    for name, content in archives.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
@pytest.mark.usefixtures("no_web")
def test_archives_in_the_mirror_become_a_manifest_with_the_named_splits(
    make, tmp_path, monkeypatch
):
    mirror = put(tmp_path / "mirror", archives := make(monkeypatch))
    classes, counts = CASES[make]
    manifest = prepare("catalogue", make.__name__, "own-name", tmp_path / "set", mirror=mirror)
    assert sorted(manifest.classes) == sorted(name.replace("/", "-") for name in classes)
    assert {split: len(items) for split, items in manifest.splits.items()} == counts
    assert not manifest.skipped
    assert sorted(os.listdir(tmp_path / "set")) == ["images", "manifest.json"]
    assert {path.name: path.read_bytes() for path in mirror.iterdir()} == archives
    assert manifest.note


@pytest.mark.usefixtures("no_web")
def test_pixels_and_labels_are_those_that_torchvision_gives(tmp_path, monkeypatch):
    mirror = put(tmp_path / "mirror", cifar10(monkeypatch))
    manifest = prepare("catalogue", "cifar10", "cifar10", tmp_path / "set", mirror=mirror)
    original = tv.CIFAR10(put(tmp_path / "root", cifar10(monkeypatch)), train=False, download=True)
    for item in manifest.splits["test"]:
        image, label = original[int(manifest.file(item.path).stem)]
        assert manifest.classes[item.label] == original.classes[label]
        assert np.array_equal(decode(manifest.file(item.path)).permute(1, 2, 0), np.array(image))


@pytest.mark.usefixtures("no_web")
def test_grey_pictures_reach_the_network_with_three_equal_channels(tmp_path, monkeypatch):
    mirror = put(tmp_path / "mirror", fashion_mnist(monkeypatch))
    manifest = prepare("catalogue", "fashion_mnist", "f", tmp_path / "set", mirror=mirror)
    path = manifest.file(manifest.splits["train"][0].path)
    with Image.open(path) as image:
        assert image.mode == "L"
    channels = decode(path)
    assert channels.shape == (3, 28, 28)
    assert (channels[0] == channels[1]).all()
    assert (channels[0] == channels[2]).all()


def test_what_torchvision_downloads_is_kept_for_the_next_time(tmp_path, monkeypatch):
    archives = oxford_pets(monkeypatch)
    asked = []

    def retrieve(url, place, *_args, **_kwargs):
        asked.append(url)
        name = url.rpartition("/")[2]
        with open(place, "wb") as file:
            file.write(archives[name])

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", retrieve)
    for folder in ("one", "two"):
        prepare("catalogue", "oxford_pets", folder, tmp_path / folder, downloads=tmp_path / "d")
    assert len(asked) == 2
    kept = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
    assert kept == archives


@pytest.mark.usefixtures("no_web")
def test_a_failed_download_names_the_files_and_where_to_put_them(tmp_path, monkeypatch):
    archives = fashion_mnist(monkeypatch)
    some = {name: content for name, content in archives.items() if "train" in name}
    mirror, downloads = put(tmp_path / "mirror", some), tmp_path / "downloads"
    with pytest.raises(DownloadFailed) as caught:
        prepare(
            "catalogue", "fashion_mnist", "f", tmp_path / "s", mirror=mirror, downloads=downloads
        )
    assert caught.value.detail.startswith("t10k-images-idx3-ubyte.gz could not be downloaded")
    assert "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz" in caught.value.remedy
    assert str(downloads) in caught.value.remedy
    assert "TUNEBOARD_DATASET_MIRROR" in caught.value.remedy
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("no_web")
def test_another_file_of_that_name_is_refused_and_left_alone(tmp_path, monkeypatch):
    mirror = put(tmp_path / "mirror", dict.fromkeys(cifar10(monkeypatch), b"something else"))
    with pytest.raises(WrongArchive, match=r"cifar-10-python\.tar\.gz"):
        prepare("catalogue", "cifar10", "c", tmp_path / "set", mirror=mirror)
    assert (mirror / "cifar-10-python.tar.gz").read_bytes() == b"something else"


def test_every_dataset_of_torchvision_in_the_catalogue_can_be_written():
    named = {entry.name for entry in catalogue_entries() if entry.torchvision_bytes}
    assert named == set(published._PUBLISHED) == {make.__name__ for make in CASES}
