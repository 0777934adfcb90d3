from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from app.figures.compare import RUNS_LIMIT, SpecDifference
from app.figures.specs import spec_groups
from store.comparisons import list_comparisons, save_comparison
from store.database import Store
from store.studies import create_study
from tests.app.pages import page, send, text_of, texts
from tests.seeding import EMOJI_NOTE, SCRIPT_NAME, Seeded, run_spec


def test_only_what_differs_in_the_specs_is_listed_by_section(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, f"/compare?run={seeded.frozen}&run={seeded.tuned}")
    rows = [texts(row.find_all(["th", "td"])) for row in soup.select(".spec-table tbody tr")]
    assert rows == [
        ["freeze"],
        ["layers", "backbone", "≠ differs: none"],
        ["optimizer"],
        ["lr", "0.001", "≠ differs: 0.01"],
    ]
    soup = page(client, f"/compare?run={seeded.frozen}&run={seeded.tuned}&baseline={seeded.tuned}")
    marked = texts(soup.select(".spec-differs"))
    assert marked == ["≠ differs: backbone", "≠ differs: 0.001"]
    whole = soup.select("#whole-specs [data-spec]")
    assert [part["data-spec"] for part in whole] == ["/runs/2/spec.yaml", "/runs/3/spec.yaml"]
    assert "Add a second run" in text_of(page(client, "/compare?run=2").find(id="specs"))
    same = page(client, f"/compare?run={seeded.running}&run={seeded.running}")
    assert same.select_one("#specs table") is None


def test_fields_of_one_section_stand_together() -> None:
    found = spec_groups(
        [
            SpecDifference("note", ("a", "b")),
            SpecDifference("model.weights", ("", "x")),
            SpecDifference("training.epochs", ("1", "1")),
            SpecDifference("model.head.hidden", ("1, 2", "1, 2")),
        ]
    )
    assert [group.section for group in found] == ["run", "model", "training"]
    assert [line.field for line in found[1].lines] == ["weights", "head.hidden"]
    assert [cell.differs for cell in found[1].lines[0].cells] == [False, True]


def added(client: TestClient, query: str) -> str:
    answer = client.get(f"/compare/add?{query}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_ticked_runs_and_whole_studies_are_added_and_the_view_is_kept(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    study = create_study(store, "seeds", "ann", [run_spec("one"), run_spec("two")])
    soup = page(client, "/compare?run=1&x=step&find=seeds")
    form = soup.select_one("#picker form")
    assert form["action"] == "/compare/add"
    (box,) = form.select('input[name="study"]')
    assert "seeds 2 runs" in text_of(box.parent)
    offered = texts([one.parent for one in form.select('input[name="run"][type=checkbox]')])
    assert [one.split()[0] for one in offered] == ["two", "one"]
    hidden = [(one["name"], one["value"]) for one in form.select("input[type=hidden]")]
    assert hidden == [("run", "1"), ("x", "step")]
    first, second = study.run_ids
    assert added(client, f"run=1&x=step&find=seeds&run=3&study={study.id}") == (
        f"/compare?run=1&run=3&run={first}&run={second}&x=step"
    )
    assert added(client, "") == "/compare"


def test_the_picker_finds_runs_by_name_and_number(client: TestClient, seeded: Seeded) -> None:
    part = page(client, "/parts/compare/picker?run=2&find=efficientnet")
    assert [box["value"] for box in part.select('[name="run"]')] == [str(seeded.tuned)]
    part = page(client, "/parts/compare/picker?find=%23" + str(seeded.script))
    assert SCRIPT_NAME in text_of(part)
    part = page(client, "/parts/compare/picker?find=%3Cscript%3Ex")
    assert "No other run and no study is called “<script>x”" in text_of(part)


def test_more_runs_than_can_be_compared_are_refused(client: TestClient, seeded: Seeded) -> None:
    query = "&".join(f"run={number}" for number in range(1, RUNS_LIMIT + 2))
    answer = client.get(f"/compare/add?{query}", headers={"accept": "text/html"})
    assert answer.status_code == 422
    assert f"at most {RUNS_LIMIT} runs" in answer.text
    assert client.get("/compare/add?study=99").status_code == 404


def test_a_view_is_saved_opened_changed_and_deleted(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    soup = page(client, "/compare?run=2&run=1&baseline=1&metric=loss")
    form = soup.select_one("[data-save]")
    query = form.select_one('[name="query"]')["value"]
    assert query == "run=2&run=1&baseline=1&metric=loss"
    answer = send(client, form["action"], query=query, name=SCRIPT_NAME, note=EMOJI_NOTE)
    (saved,) = list_comparisons(store)
    assert answer.headers["location"] == f"/compare?{query}&saved={saved.id}#saved"
    opened = page(client, client.get(f"/comparisons/{saved.id}").headers["location"])
    assert text_of(opened.find(id="share-title")) == SCRIPT_NAME
    assert EMOJI_NOTE in text_of(opened.find(id="saved"))
    for link in opened.select("[data-export]"):
        assert parse_qs(urlsplit(link["href"]).query)["saved"] == [str(saved.id)]
    listed = page(client, "/compare").find(id="saved")
    assert SCRIPT_NAME in text_of(listed)
    assert "2 runs" in text_of(listed)
    change = listed.select_one(f"#change-{saved.id} form")
    send(client, change["action"], name="lr", note="")
    (renamed,) = list_comparisons(store)
    assert (renamed.name, renamed.note, renamed.query) == ("lr", "", query)
    changed = opened.select_one("[data-save]")["action"]
    send(client, changed, name="lr", note="", query="?run=3&saved=9&find=x")
    assert list_comparisons(store)[0].query == "run=3"
    send(client, f"/comparisons/{saved.id}/delete")
    assert list_comparisons(store) == []
    assert "None yet" in text_of(page(client, "/compare").find(id="saved"))


def test_the_name_of_a_saved_view_is_the_title_of_its_file(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    saved = save_comparison(store, "the heads", "run=1", "ann", "a note")
    text = client.get(f"/compare/export.md?run=1&saved={saved.id}").text
    assert text.startswith("# the heads\n\na note\n")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": " ", "query": "run=1"}, "name"),
        ({"name": "x" * 201, "query": "run=1"}, "name"),
        ({"name": "x", "query": ""}, "query"),
        ({"name": "x", "query": "run=1&run=abc"}, "run=abc"),
        ({"name": "x", "query": "run=1", "note": "x" * 20_001}, "note"),
    ],
)
def test_what_cannot_be_saved_is_refused(
    client: TestClient, seeded: Seeded, store: Store, fields: dict[str, str], told: str
) -> None:
    answer = send(client, "/comparisons", **fields)
    assert answer.status_code == 422
    assert told in answer.text
    assert list_comparisons(store) == []


def test_forms_need_their_token(client: TestClient, seeded: Seeded, store: Store) -> None:
    saved = save_comparison(store, "x", "run=1", "ann")
    for path in ("", f"/{saved.id}", f"/{saved.id}/delete"):
        answer = client.post(f"/comparisons{path}", data={"name": "y", "query": "run=1"})
        assert answer.status_code == 403, path
    assert [row.name for row in list_comparisons(store)] == ["x"]


def test_a_deleted_saved_view_still_shows_what_the_address_holds(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/compare?run=1&saved=77")
    assert text_of(soup.find(id="share-title")) == "Keep and share"
    assert client.get("/comparisons/77").status_code == 404
