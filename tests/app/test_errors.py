from __future__ import annotations

import logging

from fastapi import Request
from fastapi.testclient import TestClient

from app.main import create_app
from store.database import Unavailable
from tests.app.conftest import SPEC, assert_problem

PAGE = {"accept": "text/html,application/xhtml+xml"}


def test_an_unknown_address_below_the_api_is_a_problem(client):
    problem = assert_problem(client.get("/api/v1/nothing", headers=PAGE), 404)
    assert "/api/v1/nothing" in problem["detail"]
    assert_problem(client.get("/api"), 404)


def test_an_unknown_address_elsewhere_is_a_page_for_browsers(client):
    answer = client.get("/nothing<script>", headers=PAGE)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script>" not in answer.text.partition("<main")[2]
    assert_problem(client.get("/nothing", headers={"accept": "application/json"}), 404)


def test_what_nobody_foresaw_is_logged_once_with_the_number_shown(settings, store, bell, caplog):
    app = create_app(settings, store=store, bell=bell)

    @app.get("/api/v1/broken")
    def broken() -> None:
        raise ValueError("the secret inside")

    with TestClient(app) as client, caplog.at_level(logging.ERROR):
        problem = assert_problem(client.get("/api/v1/broken"), 500)
    assert "secret" not in str(problem)
    [record] = caplog.records
    assert problem["id"] in record.getMessage()
    assert "the secret inside" in record.exc_text


def test_a_broken_page_of_an_error_is_still_an_answer(settings, store, bell, caplog):
    app = create_app(settings, store=store, bell=bell)

    def broken(request: Request, problem: dict, status: int) -> None:
        raise ValueError("no template")

    app.state.render_problem = broken
    with TestClient(app) as client:
        answer = client.get("/nothing", headers=PAGE)
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no template" not in answer.text
    caplog.clear()


def test_an_outage_of_the_database_is_503(app, client, monkeypatch):
    def down(*_: object, **__: object) -> None:
        raise Unavailable("The database did not answer.", "Try again in a moment.")

    monkeypatch.setattr("app.api.runs.list_runs", down)
    problem = assert_problem(client.get("/api/v1/runs"), 503)
    assert problem["remedy"] == "Try again in a moment."


def test_openapi_describes_every_route_and_its_problems(client):
    document = client.get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"ExperimentSpec", "OptimizerSpec", "RunOut", "Problem"} <= set(schemas)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            if path.startswith("/api/"):
                assert list(operation["responses"]["4XX"]["content"]) == [
                    "application/problem+json"
                ]
                assert "422" not in operation["responses"]
    post = document["paths"]["/api/v1/runs"]["post"]
    assert post["requestBody"]["content"]["application/yaml"]["example"]["dataset"]


def _references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def test_every_reference_in_openapi_leads_somewhere(client):
    document = client.get("/api/v1/openapi.json").json()
    for reference in set(_references(document)):
        assert reference.startswith("#/components/schemas/"), reference
        assert reference.rpartition("/")[2] in document["components"]["schemas"], reference


def test_large_answers_are_compressed_and_small_ones_not(client):
    client.post("/api/v1/runs", json=SPEC)
    large = client.get("/api/v1/spec/schema", headers={"accept-encoding": "gzip"})
    assert large.headers["content-encoding"] == "gzip"
    small = client.get("/healthz", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers
    assert small.json()["status"] == "ok"


def test_a_body_beyond_the_limit_is_refused(client):
    headers = {"content-type": "application/json"}
    answer = client.patch("/api/v1/runs/1", content=b" " * (5 * 1024**2), headers=headers)
    assert_problem(answer, 413)

    def chunks():
        for _ in range(80):
            yield b" " * 65536

    assert_problem(client.patch("/api/v1/runs/1", content=chunks(), headers=headers), 413)
