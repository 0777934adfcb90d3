"""The part that tries a model: its form, what is refused, and answers of every kind."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from httpx import Response

from store import jobs
from store.datasets import register_dataset
from tests.app.pages import check, page, text_of, texts, token

PNG = b"\x89PNG\r\n\x1a\n"
SAID: dict[str, Any] = {
    "image": {
        "name": "<b>bee</b>.jpg", "width": 40, "height": 30, "turned": True, "split": "val",
        "index": 1, "label": "3", "recorded": [0.1] * 10,
    },
    "predicted": "3",
    "probabilities": [0.05, 0.05, 0.05, 0.55, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05],
    "classes": [str(digit) for digit in range(10)],
    "files": {"seen": "seen.png", "heat": "heat.png", "overlay": "overlay.png"},
    "device": "a processor",
    "size_px": 32,
    "seconds": {"loading": 0.0, "work": 0.012},
    "class": "8", "layer": "features", "grid": [8, 8], "nothing": True,
}  # fmt: skip
MAPS: dict[str, Any] = {
    **SAID,
    "files": {"seen": "seen.png", "maps": "maps.png"},
    "module": "features.8", "maps": 128, "height": 8, "width": 8, "page": 1, "pages": 2,
    "first": 0, "shown": 64, "least": -1.0, "most": 2.5,
}  # fmt: skip


def soup_of(answer: Response, status: int = 200) -> BeautifulSoup:
    assert answer.status_code == status, answer.text
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    return soup


def done(store, run_id: int, kind: str, payload: dict, result: dict, hand: Any = None) -> int:
    """Return the number of a job that has succeeded."""
    made = jobs.create_job(store, kind, "local", payload, run_id)
    row = jobs.claim_job(store, 60, (hand or "model",))
    assert row.id == made.id
    assert jobs.job_succeeded(store, row, result)
    return made.id


def test_only_a_run_with_a_model_has_the_part(client, seeded):
    assert soup_of(client.get(f"/runs/{seeded.tuned}")).find(id="try")
    for run_id in (seeded.failed, seeded.running, seeded.cancelled):
        assert not soup_of(client.get(f"/runs/{run_id}")).find(id="try")
    assert client.get(f"/runs/{seeded.running}/try").status_code == 409


def test_the_form_is_filled_from_the_address(client, seeded):
    query = "image=val-3&show=gradcam&class=8"
    soup = soup_of(client.get(f"/runs/{seeded.tuned}/try?{query}"))
    assert soup.select_one("input[name=show][checked]")["value"] == "gradcam"
    assert soup.select_one("select[name=class] option[selected]")["value"] == "8"
    assert soup.select_one("input[name=image]")["value"] == "val-3"


@pytest.mark.parametrize("path", ["/runs/{}/try", "/parts/runs/{}/try"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"show": "classify"}, "a file, or the number"),
        ({"show": "features", "index": "1"}, "the name of one of"),
        ({"show": "classify", "index": "999999"}, "the place of one of"),
        ({"show": "classify", "index": "many"}, "image.index"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_chosen_stays(client, seeded, path, fields, words):
    files = {"file": ("", b"")}
    data = {"csrf_token": token(client), **fields}
    answer = client.post(path.format(seeded.tuned), data=data, files=files)
    assert answer.status_code == 422
    assert words in answer.text
    soup = soup_of(answer, 422) if path.startswith("/runs") else None
    if soup is not None:
        assert soup.select_one("input[name=show][checked]")["value"] == fields["show"]


def test_without_the_token_nothing_is_taken(client, settings, seeded):
    files = {"file": ("a.png", PNG)}
    answer = client.post(f"/parts/runs/{seeded.tuned}/try", files=files, data={"show": "classify"})
    assert answer.status_code == 403
    assert list(settings.job_inputs_dir().iterdir()) == []


def test_a_form_without_scripts_leads_to_its_job(client, store, seeded, bell, monkeypatch):
    monkeypatch.setattr("app.pages.tryit.WAIT_S", 0)
    data = {"csrf_token": token(client), "show": "classify", "index": "2"}
    answer = client.post(f"/runs/{seeded.tuned}/try", data=data, files={"file": ("", b"")})
    assert answer.status_code == 303
    assert "interactive" in bell.rings
    soup = soup_of(client.get(answer.headers["location"]))
    assert "Waiting for the interactive worker" in text_of(soup.find(id="try-answer"))
    again = soup.find("a", string="Look again")["href"]
    assert "#" not in again  # a browser would not fetch it again
    assert page(client, again).find(id="try-answer")["data-state"] == "queued"
    (job,) = jobs.list_jobs(store)
    assert job.payload["image"] == {"split": "val", "index": 2}
    cancelled = client.post(f"/tries/{job.id}/cancel", data={"csrf_token": token(client)})
    assert cancelled.status_code == 303
    assert jobs.get_job(store, job.id).state == "cancelled"
    assert "cancelled" in text_of(soup_of(client.get(cancelled.headers["location"]))).lower()


def test_several_files_are_a_prediction_of_all(client, store, seeded):
    files = [("file", ("a.png", PNG)), ("file", ("b.png", PNG))]
    data = {"csrf_token": token(client), "show": "gradcam"}
    client.post(f"/parts/runs/{seeded.tuned}/try?wait_s=0", data=data, files=files)
    assert [job.kind for job in jobs.list_jobs(store)] == ["predict"]


def test_a_collection_is_chosen_where_there_is_one(client, store, seeded, bell, request):
    assert not page(client, f"/runs/{seeded.tuned}/try").find(id="try-collection")
    request.getfixturevalue("holiday")
    register_dataset(store, "later", "folder", "/x", "local", labelled=False)
    options = page(client, f"/runs/{seeded.tuned}/try").select("#try-collection option")
    assert texts(options) == ["None", "holiday (3 images)"]
    data = {"csrf_token": token(client), "show": "features", "collection": "holiday"}
    answer = client.post(
        f"/parts/runs/{seeded.tuned}/try?wait_s=0", data=data, files={"file": ("", b"")}
    )
    assert answer.status_code == 200, answer.text
    (job,) = jobs.list_jobs(store)
    assert (job.kind, job.hand, job.payload["dataset"]) == ("predict", "long", "holiday")
    assert job.payload["file"] == f"run-{seeded.tuned}-predictions.csv"
    assert "interactive" in bell.rings
    shown = page(client, f"/runs/{seeded.tuned}/try?job={job.id}")
    assert shown.select_one("#try-collection option[selected]")["value"] == "holiday"


@pytest.mark.parametrize(("name", "status"), [("nowhere", 404), ("flowers", 409)])
def test_a_collection_that_is_not_there_or_not_ready_is_refused(
    client, store, seeded, name, status
):
    data = {"csrf_token": token(client), "show": "classify", "collection": name}
    answer = client.post(f"/runs/{seeded.tuned}/try", data=data, files={"file": ("", b"")})
    assert name in text_of(soup_of(answer, status).find(id="content"))
    assert jobs.list_jobs(store) == []


def test_an_answer_has_percentages_and_says_what_is_odd(client, store, seeded):
    payload = {"image": {"split": "val", "index": 1}, "class": "8", "file": "x.csv"}
    job_id = done(store, seeded.tuned, "gradcam", payload, SAID)
    soup = soup_of(client.get(f"/parts/tries/{job_id}"))
    said = text_of(soup)
    assert "<b>bee</b>.jpg" in said  # shown as text
    assert "55.00 %" in said
    assert "Right" in said
    assert "EXIF orientation" in said
    assert "nothing in this image did" in said
    assert "When the run was evaluated it was 10.00 %" in said
    rows = soup.select(".tryit-shares tbody tr")
    assert text_of(rows[0]).startswith("3")
    answer = soup.find(id="try-answer")
    assert (answer["data-image"], answer["data-show"]) == ("val-1", "gradcam")


def test_maps_have_pages_with_addresses_of_their_own(client, store, seeded):
    payload = {"image": {"split": "val", "index": 1}, "module": "features.8", "page": 1}
    job_id = done(store, seeded.tuned, "features", payload, MAPS)
    soup = page(client, f"/runs/{seeded.tuned}/try?job={job_id}")
    following = soup.select_one("a[data-maps]")
    assert following["data-maps"] == "2"
    again = soup_of(client.get(following["href"]))
    assert again.select_one("input[name=maps]")["value"] == "2"
    assert again.select_one("input[name=module]")["value"] == "features.8"


def test_a_table_of_predictions_names_what_was_left_out(client, store, seeded):
    result = {
        "classes": ["a", "b"], "total": 300, "skipped_total": 1,
        "predictions": [{"file": "x.png", "predicted": "a", "probabilities": [0.9, 0.1]}],
        "skipped": [{"file": "<i>y</i>", "reason": "the file is empty"}],
    }  # fmt: skip
    job_id = done(store, seeded.tuned, "predict", {"file": "p.csv"}, result, "quick")
    said = text_of(soup_of(client.get(f"/parts/tries/{job_id}")))
    assert "300 images classified, 1 left out" in said
    assert "<i>y</i> : the file is empty" in said
    assert "90.00 %" in said
