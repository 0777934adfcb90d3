from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.security import check_bind
from app.signing import Signer, signer
from store.settings import Settings
from tests.app.conftest import SPEC, assert_problem
from trainer.errors import InvalidInput

TOKEN = "anna:a-long-enough-token"  # noqa: S105
BEARER = {"authorization": "Bearer a-long-enough-token"}
SAME_ORIGIN = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}


def csrf(client: TestClient, path: str = "/runs") -> str:
    page = client.get(path, headers={"accept": "text/html"}).text
    return re.search(r'name="csrf-token" content="([^"]+)"', page)[1]


@pytest.fixture
def locked(settings, store, bell) -> TestClient:
    with_tokens = settings.model_copy(
        update={"access_tokens": (TOKEN, "bob:another-good-token"), "host": "0.0.0.0"}  # noqa: S104
    )
    app = create_app(with_tokens, store=store, bell=bell)
    with TestClient(app, follow_redirects=False) as opened:
        yield opened


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_needs_no_token(host):
    check_bind(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])  # noqa: S104
def test_any_other_address_needs_a_token(host):
    with pytest.raises(InvalidInput, match="TUNEBOARD_ACCESS_TOKENS"):
        check_bind(Settings(host=host))
    check_bind(Settings(host=host, access_tokens=(TOKEN,)))


@pytest.mark.parametrize("token", ["anna", "anna:", ":longenough", "anna:short", "a:ünïcödeünï"])
def test_an_unusable_token_is_refused_at_the_start(settings, token):
    with pytest.raises(InvalidInput, match="TUNEBOARD_ACCESS_TOKENS"):
        create_app(settings.model_copy(update={"access_tokens": (token,)}), bell=object())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST:1"])
def test_names_of_this_machine_are_answered(client, host):
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", ""])
def test_other_names_are_misdirected(client, host):
    assert_problem(client.get("/api/v1/runs", headers={"host": host}), 421)
    page = client.get("/", headers={"host": host, "accept": "text/html"})
    assert page.status_code == 421
    assert page.headers["content-type"].startswith("text/html")


def test_beyond_loopback_any_address_but_no_foreign_name_is_answered(locked):
    assert locked.get("/healthz", headers={"host": "10.0.0.1:8765"}).status_code == 200
    assert locked.get("/healthz", headers={"host": "evil.example"}).status_code == 421


def test_without_tokens_a_connection_from_elsewhere_is_refused(app):
    with TestClient(app, base_url="http://10.1.2.3") as client:
        problem = assert_problem(client.get("/api/v1/runs", headers={"host": "localhost"}), 403)
    assert "TUNEBOARD_ACCESS_TOKENS" in problem["remedy"]


def test_safe_headers_are_on_every_answer(client):
    for path in ("/", "/api/v1/runs", "/api/v1/nothing", "/healthz"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'self';" in policy
    refused = client.get("/", headers={"host": "evil.example"})
    assert refused.headers["x-frame-options"] == "DENY"


def test_a_script_without_a_browser_needs_no_csrf_token(client):
    assert client.post("/api/v1/runs", json=SPEC).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver:99"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://testserver", "sec-fetch-site": "same-site"},
    ],
)
def test_other_pages_may_change_nothing(client, headers):
    answer = client.post("/api/v1/runs", json=SPEC, headers=headers)
    assert_problem(answer, 403)
    assert client.get("/api/v1/runs", headers=headers).json()["runs"] == []


def test_our_own_pages_send_the_csrf_token(client):
    token = csrf(client)
    headers = {**SAME_ORIGIN, "x-csrf-token": token}
    assert client.post("/api/v1/runs", json=SPEC, headers=headers).status_code == 201
    assert_problem(client.post("/api/v1/runs", json=SPEC, headers=SAME_ORIGIN), 403)
    wrong = {**SAME_ORIGIN, "x-csrf-token": token[:-1] + ("0" if token[-1] != "0" else "1")}
    assert_problem(client.post("/api/v1/runs", json=SPEC, headers=wrong), 403)
    assert csrf(client) == token, "the token stays while its cookie does"
    client.cookies.clear()
    assert_problem(client.post("/api/v1/runs", json=SPEC, headers=headers), 403)


def test_a_token_that_we_did_not_sign_is_refused_even_with_its_cookie(client):
    name = csrf_cookie(client)
    client.cookies.clear()
    client.cookies.set(name, "9999999999.forged.abc")
    headers = {**SAME_ORIGIN, "x-csrf-token": "9999999999.forged.abc"}
    assert_problem(client.post("/api/v1/runs", json=SPEC, headers=headers), 403)


def csrf_cookie(client: TestClient) -> str:
    csrf(client)
    [name] = [name for name in client.cookies if "csrf" in name]
    return name


def test_with_tokens_the_api_needs_one(locked):
    answer = locked.get("/api/v1/runs")
    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    wrong = {"authorization": "Bearer a-long-enough-tokem"}
    assert_problem(locked.get("/api/v1/runs", headers=wrong), 401)
    assert locked.get("/api/v1/runs", headers=BEARER).status_code == 200
    assert locked.get("/healthz").status_code == 200


def test_the_owner_of_a_run_is_the_tokens_name(locked):
    assert locked.post("/api/v1/runs", json=SPEC, headers=BEARER).json()["owner"] == "anna"


def test_pages_lead_to_the_login_and_back(locked):
    answer = locked.get("/runs?q=a%26b", headers={"accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fruns%3Fq%3Da%2526b"
    token = csrf(locked, answer.headers["location"])
    form = {"token": "wrong", "next": "/runs", "csrf_token": token}
    refused = locked.post("/login", data=form)
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    entered = locked.post("/login", data={**form, "token": "another-good-token"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/runs")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "another-good-token" not in cookie
    assert locked.get("/runs").status_code == 200
    run = locked.post(
        "/api/v1/runs", json=SPEC, headers={**SAME_ORIGIN, "x-csrf-token": csrf(locked, "/runs")}
    )
    assert run.json()["owner"] == "bob"
    left = locked.post("/logout", data={"csrf_token": csrf(locked, "/runs")})
    assert left.status_code == 303
    assert locked.get("/runs").status_code == 303


def test_a_login_form_without_its_csrf_token_is_refused(locked):
    answer = locked.post("/login", data={"token": "another-good-token"})
    assert answer.status_code == 403
    assert "set-cookie" not in {name for name in answer.headers if "session" in name}
    assert locked.get("/runs").status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_the_login_leads_to_no_other_site(locked, target):
    token = csrf(locked, "/login")
    form = {"token": "another-good-token", "next": target, "csrf_token": token}
    assert locked.post("/login", data=form).headers["location"] == "/"


def test_a_session_ends_with_its_token(locked, settings, store, bell):
    token = csrf(locked, "/login")
    locked.post("/login", data={"token": "another-good-token", "csrf_token": token})
    changed = settings.model_copy(update={"access_tokens": ("bob:a-new-token-instead",)})
    with TestClient(create_app(changed, store=store, bell=bell)) as after:
        after.cookies.update(locked.cookies)
        assert_problem(after.get("/api/v1/runs"), 401)


def test_a_signed_value_counts_for_its_purpose_facts_and_time():
    now = [1000.0]
    made = Signer(b"key", lambda: now[0])
    value = made.sign("session", 60, "anna", "token")
    assert made.verify(value, "session", "anna", "token")
    assert not made.verify(value, "csrf", "anna", "token")
    assert not made.verify(value, "session", "bob", "token")
    assert not Signer(b"other", lambda: now[0]).verify(value, "session", "anna", "token")
    assert not made.verify("9" + value, "session", "anna", "token")
    for garbage in ("", ".", "x.y.z", "ü"):
        assert not made.verify(garbage, "session", "anna", "token")
    now[0] += 61
    assert not made.verify(value, "session", "anna", "token")


def test_the_key_is_made_once_and_kept_to_its_owner(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    value = signer(settings).sign("x", 60)
    assert signer(settings).verify(value, "x")
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret.key"]
