from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from store.database import Store
from store.lifecycle import hand_back
from store.runs import get_run
from tests.app.pages import page, send, text_of
from tests.seeding import Seeded


def test_a_running_run_is_paused_and_resumed_without_scripts(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    address = f"/runs/{seeded.running}"
    form = page(client, address).select_one("#pause-button").parent
    answer = send(client, form["action"])
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    asked = page(client, address)
    assert text_of(asked.select_one(".chip")) == "Pausing"
    assert not asked.select_one("#pause-button")
    assert text_of(asked.select_one("#resume-button")) == "Do not pause"
    hand_back(store, seeded.running, get_run(store, seeded.running).attempt, "as asked")
    paused = page(client, address)
    assert text_of(paused.select_one(".chip")) == "Paused"
    assert "Paused before its first checkpoint" in text_of(paused.select_one(".progress-line"))
    send(client, paused.select_one("#resume-button").parent["action"])
    assert get_run(store, seeded.running).status == "queued"


@pytest.mark.parametrize("wish", ["pause", "resume", "priority"])
def test_wishes_need_the_pages_token(client: TestClient, seeded: Seeded, wish: str) -> None:
    answer = client.post(f"/runs/{seeded.running}/{wish}", data={"csrf_token": "guessed"})
    assert answer.status_code == 403


def test_a_run_that_ended_offers_neither(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/runs/{seeded.tuned}")
    assert not soup.select("#pause-button, #resume-button")
    assert send(client, f"/runs/{seeded.tuned}/pause").status_code == 409
    assert send(client, f"/runs/{seeded.tuned}/resume").status_code == 409
