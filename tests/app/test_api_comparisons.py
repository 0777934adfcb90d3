from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from app.figures.compare import RUNS_LIMIT
from tests.app.conftest import assert_problem

ADDRESS = "/api/v1/comparisons"
VIEW = {"name": "heads", "query": "?run=1&run=2&baseline=2"}


def test_a_comparison_is_saved_listed_changed_and_deleted(client: TestClient) -> None:
    answer = client.post(ADDRESS, json=VIEW)
    assert answer.status_code == 201, answer.text
    saved = answer.json()
    assert answer.headers["location"] == f"{ADDRESS}/{saved['id']}"
    assert saved["query"] == "run=1&run=2&baseline=2"
    assert saved["url"] == f"/compare?run=1&run=2&baseline=2&saved={saved['id']}"
    assert saved["owner"] == "local"
    one = f"{ADDRESS}/{saved['id']}"
    assert client.get(one).json() == saved
    assert client.get(ADDRESS).json() == {"comparisons": [saved]}
    changed = client.patch(one, json={"note": "why"}).json()
    assert (changed["name"], changed["note"]) == ("heads", "why")
    assert client.patch(one, json={"query": "run=3"}).json()["query"] == "run=3"
    assert client.delete(one).status_code == 204
    assert_problem(client.get(one), 404)
    assert_problem(client.delete(one), 404)
    assert_problem(client.patch(one, json={"name": "x"}), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**VIEW, "name": ""}, "name"),
        ({**VIEW, "query": "x=step"}, "query"),
        ({**VIEW, "query": "run=0"}, "query"),
        ({**VIEW, "query": "&".join(["run=1"] * (RUNS_LIMIT + 1))}, "query"),
        ({**VIEW, "colour": "red"}, "colour"),
        ({"name": "x"}, "query"),
    ],
)
def test_a_bad_body_is_refused_at_its_field(
    client: TestClient, body: dict[str, str], field: str
) -> None:
    problem = assert_problem(client.post(ADDRESS, json=body), 422)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_wrong_methods_and_types_are_refused(client: TestClient) -> None:
    assert_problem(client.put(ADDRESS, json=VIEW), 405)
    assert_problem(client.post(ADDRESS, content="x", headers={"content-type": "text/plain"}), 415)
    assert_problem(client.get(f"{ADDRESS}/x"), 422)
