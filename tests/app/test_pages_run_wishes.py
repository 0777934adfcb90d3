from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from store.database import Store
from store.labels import archive, baselines
from store.lifecycle import hand_back
from store.runs import create_run, get_run
from store.settings import Settings
from tests.app.pages import check, page, send, text_of
from tests.seeding import Seeded, run_spec


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


@pytest.mark.parametrize("wish", ["pause", "resume", "priority", "tags", "baseline"])
def test_wishes_need_the_pages_token(client: TestClient, seeded: Seeded, wish: str) -> None:
    answer = client.post(f"/runs/{seeded.running}/{wish}", data={"csrf_token": "guessed"})
    assert answer.status_code == 403


def test_a_run_that_ended_offers_neither(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/runs/{seeded.tuned}")
    assert not soup.select("#pause-button, #resume-button")
    assert send(client, f"/runs/{seeded.tuned}/pause").status_code == 409
    assert send(client, f"/runs/{seeded.tuned}/resume").status_code == 409


@pytest.fixture
def continuable(seeded: Seeded, store: Store, settings: Settings) -> int:
    """A run that has succeeded, with its checkpoint; its schedule has ended."""
    folder = settings.attempt_dir(seeded.tuned, 1) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "last.pt").write_bytes(b"")
    return seeded.tuned


def test_a_run_is_continued_without_scripts(
    client: TestClient, continuable: int, store: Store
) -> None:
    address = f"/runs/{continuable}"
    form = page(client, address).select_one("#continue-form")
    answer = send(client, form["action"], epochs="4")
    assert answer.status_code == 303, answer.text
    made = get_run(store, int(answer.headers["location"].rpartition("/")[2]))
    assert (made.continues_run, made.epochs) == (continuable, 16)
    shown = text_of(page(client, f"/runs/{made.id}").select_one("#run-relatives"))
    assert f"Continues run {continuable} from epoch 12" in shown
    assert f"Continued by run {made.id} (queued)" in text_of(page(client, address))


def test_what_was_typed_comes_back_with_what_is_wrong(client: TestClient, continuable: int) -> None:
    answer = send(client, f"/runs/{continuable}/continue", epochs="0")
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    field = soup.select_one("#wish-epochs")
    assert (field["value"], field["aria-invalid"]) == ("0", "true")
    assert "greater than or equal to 1" in text_of(soup.select_one("#wish-epochs-error"))
    answer = send(client, f"/runs/{continuable}/seeds", count="many")
    assert "many" in BeautifulSoup(answer.text, "html.parser").select_one("#wish-count")["value"]


def test_more_seeds_are_launched_and_listed(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    answer = send(client, f"/runs/{seeded.tuned}/seeds", count="2")
    assert answer.headers["location"] == f"/runs/{seeded.tuned}#run-relatives"
    related = page(client, f"/runs/{seeded.tuned}").select_one("#run-relatives")
    assert len(related.select("li")) == 2
    assert related.select_one('a[href^="/compare?run="]')


def test_a_waiting_runs_priority_is_changed(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    form = page(client, f"/runs/{seeded.queued}").select_one("#wish-priority").find_parent("form")
    assert send(client, form["action"], priority="9").status_code == 303
    assert get_run(store, seeded.queued).priority == 9
    assert send(client, form["action"], priority="5000").status_code == 422


def test_tags_are_shown_linked_to_their_runs_and_changed(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    address = f"/runs/{seeded.tuned}"
    form = page(client, address).select_one("#tags-form")
    answer = send(client, form["action"], tags='paper, say "hi",, week 48')
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    soup = page(client, address)
    links = soup.select("#run-head .run-tag")
    assert [text_of(link) for link in links] == ["paper", 'say "hi"', "week 48"]
    assert soup.select_one("#run-tags")["value"] == 'paper, say "hi", week 48'
    listed = page(client, links[1]["href"])
    assert [row["data-run"] for row in listed.select("tr[data-run]")] == [str(seeded.tuned)]
    send(client, form["action"], tags="")
    assert not page(client, address).select(".run-tag")


def test_a_tag_that_cannot_be_comes_back_with_what_is_wrong(
    client: TestClient, seeded: Seeded
) -> None:
    answer = send(client, f"/runs/{seeded.tuned}/tags", tags=f"paper, {'x' * 61}")
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert soup.select_one("#run-tags")["value"] == f"paper, {'x' * 61}"
    assert "1 to 60 characters" in text_of(soup.select_one("#run-tags-error"))
    assert not page(client, f"/runs/{seeded.tuned}").select(".run-tag")


def test_a_run_is_pinned_as_the_baseline_and_unpinned(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    address = f"/runs/{seeded.tuned}"
    button = page(client, address).select_one("#pin-button")
    answer = send(client, button.parent["action"], pinned=button["value"])
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    assert baselines(store) == {"digits": seeded.tuned}
    soup = page(client, address)
    assert "baseline of digits" in text_of(soup.select_one("#run-head"))
    button = soup.select_one("#pin-button")
    assert text_of(button) == "Unpin"
    send(client, button.parent["action"], pinned=button["value"])
    assert baselines(store) == {}
    archive(store, [seeded.tuned])
    assert not page(client, address).select("#pin-button")
    assert send(client, f"{address}/baseline", pinned="yes").status_code == 409


def test_a_reported_run_offers_nothing_that_cannot_be_done(
    client: TestClient, store: Store
) -> None:
    run, _ = create_run(store, run_spec("reported"), owner="ann", external=True)
    soup = page(client, f"/runs/{run.id}")
    assert not soup.select("#pause-button, #continue-form, #seeds-form, #wishes-title")
