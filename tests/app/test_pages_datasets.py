from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient
from PIL import Image

from store.database import Store
from store.datasets import beat_preparation, claim_preparation, get_dataset, list_datasets
from store.settings import Settings
from tests.app.pages import check, figure_of, page, send, text_of, texts, token
from tests.seeding import Seeded


def archive(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return held.getvalue()


def picture() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (12, 12), "red").save(held, "PNG")
    return held.getvalue()


def test_without_datasets_the_page_says_what_to_do(client: TestClient) -> None:
    soup = page(client, "/datasets")
    assert "No datasets yet" in text_of(soup.select_one(".empty"))
    assert {form.button.text for form in soup.select("form")} >= {"Add digits", "Add hymenoptera"}


def test_datasets_are_listed_with_their_state(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/datasets")
    rows = {row.a.text: texts(row.find_all("td")) for row in soup.select("tbody tr")}
    assert rows["digits"][:4] == ["Ready", "10", "90", "train 90"]
    assert rows["flowers"][0].startswith("Failed The class `tulip` has no images.")
    assert rows["hymenoptera"][0] == "Preparing waiting"
    assert not soup.select("#catalogue-digits")  # it is here already


def test_progress_of_a_preparation_is_shown(
    client: TestClient, store: Store, seeded: Seeded
) -> None:
    row = claim_preparation(store, 60)
    assert row is not None
    beat_preparation(store, row.id, {"phase": "scan", "done": 100, "total": 400}, 60)
    assert "scan 100 / 400" in text_of(page(client, "/datasets"))
    soup = page(client, f"/datasets/{row.name}")
    assert soup.progress["value"] == "0.2500"
    assert "checking images" in text_of(soup)


def test_a_dataset_shows_classes_counts_images_and_skipped_files(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/datasets/digits")
    assert figure_of(soup, "class-counts")["data"][0]["y"] == [9] * 10
    images = soup.select(".samples img")
    assert len(images) == 80
    assert images[0]["alt"].startswith("0: ")
    assert images[0]["loading"] == "lazy"
    shown = client.get(images[0]["src"])
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/webp")
    assert "3/advert.gif" in text_of(soup)
    assert "network from scratch may win" in text_of(soup.select_one(".notice"))
    assert get_fingerprint(soup)
    assert len(soup.select('#dataset-region a[href^="/runs/"]')) == 8


def get_fingerprint(soup: BeautifulSoup) -> str:
    return soup.find("dt", string="Fingerprint").find_next("dd").text.strip("–")


def test_a_failed_dataset_says_why(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/datasets/flowers")
    assert "The class `tulip` has no images." in text_of(soup.select_one(".notice-bad"))


def test_a_dataset_of_the_catalogue_is_added_by_its_button(
    client: TestClient, store: Store, bell: Any
) -> None:
    form = page(client, "/datasets").find("button", string="Add digits").find_parent("form")
    fields = {tag["name"]: tag["value"] for tag in form.find_all("input")}
    answer = client.post(form["action"], data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/datasets/digits")
    assert get_dataset(store, "digits").status == "preparing"
    assert "interactive" in bell.rings


def test_a_folder_under_an_open_root_is_added(
    client: TestClient, store: Store, settings: Settings
) -> None:
    folder = settings.data_roots[0] / "shapes"
    folder.mkdir()
    answer = send(client, "/datasets", kind="folder", name="shapes", source=str(folder))
    assert answer.status_code == 303, answer.text
    assert get_dataset(store, "shapes").source == str(folder)


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("shapes", "/etc", "folder-source"),
        ("Not A Name!", None, "folder-name"),
    ],
)
def test_a_refused_folder_is_shown_beside_its_field(
    client: TestClient,
    store: Store,
    settings: Settings,
    name: str,
    source: str | None,
    wrong: str,
) -> None:
    source = source or str(settings.data_roots[0])
    answer = send(client, "/datasets", kind="folder", name=name, source=source)
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert soup.find(id=wrong)["aria-invalid"] == "true"
    assert soup.find(id="folder-name")["value"] == name
    assert soup.find(id="folder-source")["value"] == source
    assert list_datasets(store) == []


def test_an_uploaded_archive_becomes_a_dataset(client: TestClient, store: Store, bell: Any) -> None:
    content = archive(**{"ants/1.png": picture(), "bees/1.png": picture()})
    answer = client.post(
        "/datasets/upload",
        data={"csrf_token": token(client), "name": "insects"},
        files={"file": ("insects.zip", content, "application/zip")},
    )
    assert (answer.status_code, answer.headers.get("location")) == (303, "/datasets/insects")
    assert get_dataset(store, "insects").kind == "upload"
    assert "interactive" in bell.rings


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"this is no archive", "zip"),
        (archive(**{"../evil.png": b"x"}), "evil"),
        (archive(**{"readme.txt": b"x"}), "image"),
    ],
)
def test_a_refused_archive_keeps_the_name_and_leaves_nothing(
    client: TestClient, store: Store, settings: Settings, content: bytes, told: str
) -> None:
    answer = client.post(
        "/datasets/upload",
        data={"csrf_token": token(client), "name": "insects"},
        files={"file": ("insects.zip", content, "application/zip")},
    )
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert soup.find(id="upload-name")["value"] == "insects"
    assert told in text_of(soup.find(id="upload-form").parent)
    assert list_datasets(store) == []
    assert [path for path in Path(settings.datasets_dir).rglob("*") if path.is_file()] == []


def test_an_upload_needs_the_pages_token(client: TestClient, store: Store) -> None:
    answer = client.post(
        "/datasets/upload",
        data={"csrf_token": "guessed", "name": "insects"},
        files={"file": ("insects.zip", archive(), "application/zip")},
    )
    assert answer.status_code == 403
    assert list_datasets(store) == []


def test_a_dataset_in_use_is_not_deleted_and_the_page_says_so(
    client: TestClient, store: Store, seeded: Seeded
) -> None:
    answer = send(client, "/datasets/digits/delete")
    assert answer.status_code == 409
    soup = BeautifulSoup(answer.text, "html.parser")
    assert "Not deleted" in text_of(soup.select_one(".notice-bad"))
    assert get_dataset(store, "digits")


def test_a_dataset_out_of_use_is_deleted(client: TestClient, store: Store, seeded: Seeded) -> None:
    answer = send(client, "/datasets/flowers/delete")
    assert (answer.status_code, answer.headers["location"]) == (303, "/datasets")
    assert "flowers" not in {row.name for row in list_datasets(store)}
    page(client, "/datasets/flowers", 404)


def test_parts_come_alone(client: TestClient, seeded: Seeded) -> None:
    assert page(client, "/parts/datasets").select_one("#datasets-region")
    assert page(client, "/parts/datasets/digits").select_one("#dataset-region")
