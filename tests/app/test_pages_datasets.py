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
from store.datasets import (
    beat_preparation,
    claim_preparation,
    dataset_failed,
    dataset_ready,
    get_dataset,
    list_datasets,
    register_dataset,
)
from store.settings import Settings
from tests.app.pages import check, figure_of, page, send, text_of, texts, token
from tests.seeding import Seeded
from trainer.datasets.prepare import prepare


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


def test_a_dataset_shows_classes_counts_sizes_and_images(
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
    assert not soup.find(id="short-sides")  # one size: the facts say it
    assert "network from scratch may win" in text_of(soup.select_one(".notice"))
    assert get_fingerprint(soup)
    tabs = soup.select(".tabs a")
    assert texts(tabs)[:3] == ["Overview", "Images 90", "Try a cut"]
    assert [tab["href"] for tab in tabs if tab.get("aria-current")] == ["/datasets/digits"]
    for tab in tabs:
        page(client, tab["href"])


def test_skipped_files_are_named_with_the_reason(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/datasets/digits?view=files")
    assert "3/advert.gif" in text_of(soup.find(attrs={"aria-label": "Skipped files"}))


def test_runs_that_used_it_are_listed(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/datasets/digits?view=runs")
    assert len(soup.select('#dataset-region a[href^="/runs/"]')) == 8
    assert "No runs yet" in text_of(page(client, "/datasets/flowers?view=runs"))


def test_images_come_page_by_page_of_a_split_and_a_class(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/datasets/digits?view=images")
    assert text_of(soup.find(id="grid-title")) == "90 images"
    assert len(soup.select(".samples-grid img")) == 60
    assert "Page 1 of 2" in text_of(soup.select_one(".pager"))
    second = page(client, soup.find("a", rel="next")["href"])
    assert len(second.select(".samples-grid img")) == 30
    assert second.find("a", rel="prev")
    one = page(client, "/datasets/digits?view=images&split=train&label=3")
    assert {image["alt"][:2] for image in one.select(".samples-grid img")} == {"3:"}
    assert one.select_one("#grid-label option[selected]").text == "3"
    assert "view=images&split=train&label=3" in one.find(id="dataset-region")["data-live"]
    assert "No image is in that" in text_of(page(client, "/datasets/digits?view=images&split=val"))
    assert len(page(client, "/datasets/digits?view=images&page=999").select(".samples img")) == 30
    page(client, "/datasets/digits?view=nothing", 422)


def test_a_cut_is_tried_without_copying_and_fills_the_launch_form(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/datasets/digits?view=cut&validation_fraction=0.5&split_seed=7")
    table = soup.find(attrs={"aria-label": "Images per class of this cut"})
    first = table.select_one("tbody tr")
    assert texts(first.find_all("td")) == ["40", "50"]
    assert "split seed 7" in text_of(table.caption)
    assert len(figure_of(soup, "cut-counts")["data"]) == 2
    launch = page(client, soup.find("a", string="Launch a run with it")["href"])
    assert launch.find(attrs={"name": "dataset.validation_fraction"})["value"] == "0.5"
    assert launch.find(attrs={"name": "dataset.split_seed"})["value"] == "7"
    assert launch.select_one('[name="dataset.name"] option[selected]')["value"] == "digits"


def test_a_cut_that_cannot_be_is_refused_beside_its_field(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/datasets/digits?view=cut&validation_fraction=2", 422)
    field = soup.find(id="cut-validation_fraction")
    assert (field["aria-invalid"], field["value"]) == ("true", "2")
    assert not soup.find("a", string="Launch a run with it")
    soup = page(client, "/datasets/digits?view=cut&validation_count=89", 422)
    assert "between 10" in text_of(soup.find(id="cut-validation_count-error"))


def test_a_dataset_is_renamed_and_described(
    client: TestClient, store: Store, seeded: Seeded
) -> None:
    soup = page(client, "/datasets/digits?view=settings")
    assert soup.find(id="edit-name")["value"] == "digits"
    fields = {"name": "numbers", "title": "Written numbers", "description": "By hand.\nSmall."}
    answer = send(client, "/datasets/digits/edit", **fields)
    assert answer.headers["location"] == "/datasets/numbers?view=settings&saved=1"
    soup = page(client, answer.headers["location"])
    assert "Saved." in text_of(soup)
    assert "By hand. Small." in text_of(soup.select_one(".dataset-description"))
    assert "Called before digits" in text_of(page(client, "/datasets/numbers"))
    assert text_of(page(client, "/datasets/digits").h1) == "Written numbers"


@pytest.mark.parametrize(
    ("name", "status", "told"), [("No Name!", 422, "edit-name-error"), ("flowers", 409, None)]
)
def test_a_refused_name_keeps_what_was_typed(
    client: TestClient, seeded: Seeded, name: str, status: int, told: str | None
) -> None:
    answer = send(client, "/datasets/digits/edit", name=name, title="New", description="Words")
    assert answer.status_code == status
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert soup.find(id="edit-name")["value"] == name
    assert soup.find(id="edit-description").text == "Words"
    assert soup.find(id=told) if told else "already" in text_of(soup.select_one(".notice-bad"))


def test_deleting_says_first_what_it_frees_and_who_needs_it(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/datasets/digits?view=settings")
    used = text_of(soup.find(id="delete-title").parent)
    assert "have not ended need it" in used
    assert not soup.find("button", string="Delete digits")
    soup = page(client, "/datasets/flowers?view=settings")
    assert "It frees" in text_of(soup.find(id="delete-title").parent)
    assert soup.find("button", string="Delete flowers")


def test_a_preparation_is_stopped_and_one_that_failed_tried_again(
    client: TestClient, store: Store
) -> None:
    row = register_dataset(store, "digits", "catalogue", "digits", "local")
    assert dataset_failed(store, row.id, {"title": "No", "detail": "No room.", "remedy": ""})
    form = page(client, "/datasets/digits").find("button", string="Try again").parent
    again = {tag["name"]: tag["value"] for tag in form.find_all("input")}
    assert client.post(form["action"], data=again).status_code == 303
    assert get_dataset(store, "digits").status == "preparing"
    form = page(client, "/datasets/digits").find("button", string="Stop and remove").parent
    assert send(client, form["action"]).status_code == 303
    assert list_datasets(store) == []


def test_an_unfinished_upload_is_shown_and_removed(client: TestClient, settings: Settings) -> None:
    body = {"name": "insects", "filename": "insects.zip", "size_bytes": 200}
    url = client.post("/api/v1/uploads", json=body).json()["url"]
    piece = {"content-type": "application/octet-stream", "upload-offset": "0"}
    client.patch(url, content=b"PK\x03\x04" + b"x" * 46, headers=piece)
    listed = page(client, "/datasets").select_one(".upload")
    assert "insects.zip" in text_of(listed)
    assert listed.progress["value"] == "0.2500"
    assert send(client, listed.form["action"]).status_code == 303
    assert not page(client, "/datasets").select(".upload")
    assert client.get(url).status_code == 404


def test_a_collection_is_shown_without_classes(
    client: TestClient, store: Store, settings: Settings
) -> None:
    folder = settings.data_roots[0] / "photos"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (12, 20 + 30 * number)).save(folder / f"{number}.png")
    fields = {"kind": "folder", "name": "photos", "source": str(folder), "labelled": "no"}
    assert send(client, "/datasets", **fields).status_code == 303
    row = get_dataset(store, "photos")
    assert not row.labelled
    into = settings.dataset_dir(row.id)
    manifest = prepare(
        "folder", str(folder), "photos", into, roots=settings.data_roots, labelled=False
    )
    assert dataset_ready(store, row.id, manifest.fingerprint, manifest.summary())
    soup = page(client, "/datasets/photos")
    assert "tuneboard predict RUN --dataset photos" in text_of(soup)
    assert not soup.find(id="class-counts")
    sizes = soup.find(attrs={"aria-label": "Image sizes"})
    assert texts(sizes.select("tbody tr")) == ["12 × 20 px 1", "12 × 50 px 1"]
    assert figure_of(soup, "short-sides")["data"][0]["y"] == [2]
    assert len(soup.select(".samples img")) == 2
    assert texts(soup.select(".tabs a"))[:2] == ["Overview", "Images 2"]
    assert "Try a cut" not in text_of(soup.select_one(".tabs"))
    assert len(page(client, "/datasets/photos?view=images").select(".samples-grid img")) == 2
    assert "photos" in text_of(page(client, "/datasets"))


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
