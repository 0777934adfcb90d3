"""Pages as their readers see them: fetched, parsed, and their forms sent back."""

from __future__ import annotations

import json
from typing import Any

from bs4 import BeautifulSoup, Tag
from fastapi.testclient import TestClient


def page(client: TestClient, address: str, status: int = 200) -> BeautifulSoup:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    return soup


def check(soup: BeautifulSoup) -> None:
    """What holds on every page and part."""
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids)), [one for one in ids if ids.count(one) > 1]
    for script in soup.find_all("script"):
        assert script.get("src") or script["type"] == "application/json", script
    for tag in soup.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on")], tag
        for name in ("src", "href", "action"):
            assert not str(tag.get(name, "")).startswith(("http:", "https:", "//")), tag
    for control in soup.select("input:not([type=hidden]), select, textarea"):
        named = soup.find("label", attrs={"for": control.get("id", "")})
        assert named or control.get("aria-label"), control
        for described in control.get("aria-describedby", "").split():
            assert soup.find(id=described), described
    for table in soup.find_all("table"):
        assert table.caption, table
    for form in soup.find_all("form", attrs={"method": "post"}):
        assert form.find("input", attrs={"name": "csrf_token"}), form
    for plot in soup.select(".plot"):
        figure = json.loads(soup.find(id=plot["data-figure"]).string)
        assert set(figure) == {"data", "layout"}
        assert plot.parent["aria-label"]


def texts(found: list[Tag]) -> list[str]:
    return [" ".join(tag.get_text(" ").split()) for tag in found]


def text_of(tag: Tag | BeautifulSoup | None) -> str:
    assert tag is not None
    return " ".join(tag.get_text(" ").split())


def figure_of(soup: BeautifulSoup, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(soup.find(id=f"{name}-json").string)
    return found


def token(client: TestClient) -> str:
    soup = BeautifulSoup(client.get("/workers").text, "html.parser")
    found: str = soup.find("meta", attrs={"name": "csrf-token"})["content"]
    return found


def send(client: TestClient, address: str, **fields: str) -> Any:
    return client.post(address, data={"csrf_token": token(client), **fields})
