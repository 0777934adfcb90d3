"""The tiny dataset that the trainer's tests share, and torch left as it was found."""

from __future__ import annotations

import signal

import pytest
import torch

from tests.trainer.runs import make_dataset


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    signal.signal(signal.SIGTERM, handler)
