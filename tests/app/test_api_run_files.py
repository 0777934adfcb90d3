from __future__ import annotations

import pytest

from store.lifecycle import claim
from tests.app.conftest import SPEC, assert_problem
from tests.app.pages import page, send, text_of
from tests.seeding import Teller


@pytest.fixture
def trained(client, pictures, store, settings) -> int:
    """A run that has succeeded, with a few of its files."""
    run_id = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "pictures"}}).json()[
        "id"
    ]
    assert claim(store, "w", device="cpu", lease_s=60)
    teller = Teller(store, run_id, 1, epochs=2, top=0.9, steps_per_epoch=3)
    teller.start()
    for epoch in (1, 2):
        teller.epoch(epoch)
    teller.finish()
    folder = settings.attempt_dir(run_id, 1)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.safetensors").write_bytes(b"weights")
    (folder / "secret.txt").write_text("not for anybody")
    return run_id


def test_files_are_listed_and_downloaded(client, trained):
    [file] = client.get(f"/api/v1/runs/{trained}/files").json()["files"]
    assert (file["name"], file["size_bytes"]) == ("best.safetensors", 7)
    answer = client.get(file["url"])
    assert answer.content == b"weights"
    assert f"run-{trained}-best.safetensors" in answer.headers["content-disposition"]
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize("name", ["last.pt", "secret.txt", "..%2Fsecret.txt", "best"])
def test_only_known_files_that_are_there_are_given(client, trained, name):
    assert_problem(client.get(f"/api/v1/runs/{trained}/files/{name}"), 404)


def test_external_and_unknown_runs_have_no_files(client, external_id):
    assert client.get(f"/api/v1/runs/{external_id}/files").json()["files"] == []
    assert_problem(client.get("/api/v1/runs/99/files"), 404)
    assert "Downloads" not in text_of(page(client, f"/runs/{external_id}").main)


def test_an_export_is_made_without_scripts(client, trained, bell):
    soup = page(client, f"/runs/{trained}")
    assert "best.safetensors" in text_of(soup.select_one("#downloads"))
    form = soup.select_one("#export-button-onnx").parent
    bell.rings.clear()
    answer = send(client, form["action"], format="onnx")
    assert answer.headers["location"] == f"/runs/{trained}#downloads"
    assert bell.rings == ["interactive"]
    part = page(client, f"/parts/runs/{trained}/downloads")
    assert f"run-{trained}.onnx" in text_of(part.select_one("#downloads"))
    assert part.select_one("#downloads").has_attr("data-goes-on")
    assert send(client, form["action"], format="zip").status_code == 422


def test_a_run_without_a_model_exports_nothing(client, run_id):
    assert send(client, f"/runs/{run_id}/export", format="onnx").status_code == 409


def test_the_log_is_searched_and_resources_come_in_columns(client, trained):
    found = client.get(f"/api/v1/runs/{trained}/log?q=EPOCH%202").json()
    assert [line["message"] for line in found["lines"]] == ["Epoch 2 of 2 done."]
    assert found["total"] == 1
    shown = page(client, f"/runs/{trained}?log=epoch%202")
    assert len(shown.select("#log li")) == 1
    assert "1 lines hold" in text_of(shown.select_one("#log-count"))
    assert "No line holds this" in text_of(page(client, f"/runs/{trained}?log=nowhere"))
    used = client.get(f"/api/v1/runs/{trained}/resources").json()
    assert used == {
        "run": trained, "time": [], "memory_bytes": [], "cpu_percent": [],
        "gpu_memory_bytes": [], "gpu_percent": [],
    }  # fmt: skip
