"""The run list on the command line and in the client: filtered, tagged, archived, deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from store import lifecycle
from store.runs import create_run, runs_by_ids
from tests.seeding import run_spec
from tests.tuneboard.conftest import Served
from tests.tuneboard.test_cli import tuneboard
from trainer.errors import Conflict, InvalidInput
from tuneboard import Client


@pytest.fixture
def three(served: Served) -> Served:
    """Runs 1 and 2 cancelled, with a file each; run 3 queued."""
    for name, rate in (("one", 0.1), ("two", 0.001), ("three", 0.01)):
        create_run(served.store, run_spec(name, optimizer={"lr": rate}), owner="ann")
    for run_id in (1, 2):
        lifecycle.request_cancel(served.store, run_id)
        folder = served.settings.attempt_dir(run_id, 1)
        folder.mkdir(parents=True)
        (folder / "last.pt").write_bytes(b"x" * 1024)
    return served


def names(*options: str | Path) -> list[str]:
    lines = tuneboard("runs", *options).stdout.splitlines()[1:]
    return [line.split("\t")[1] for line in lines]


def test_runs_are_filtered_sorted_and_shown_in_columns(three: Served) -> None:
    assert names("--filter", "lr < 0.05", "--sort", "-optimizer.lr") == ["three", "two"]
    assert names("--status", "cancelled", "--sort", "name", "--limit", "1") == ["one"]
    done = tuneboard("runs", "--columns", "name,lr,tag", "--sort", "lr", "--limit", "2")
    assert done.stdout.splitlines() == [
        "id\tname\tlr\ttag",
        "2\ttwo\t0.001\t–",
        "3\tthree\t0.01\t–",
    ]
    rows = json.loads(tuneboard("runs", "--columns", "lr", "--sort", "id", "--json").stdout)
    assert rows[0] == {"id": 1, "optimizer.lr": 0.1}


def test_a_wrong_filter_is_shown_with_its_place(three: Served) -> None:
    done = tuneboard("runs", "--filter", "lr < 1 adn tag = x")
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert lines[-2:] == ["lr < 1 adn tag = x", "       ^^^"]


def test_tags_and_the_archive(three: Served) -> None:
    assert "on 2 runs" in tuneboard("tag", "1", "2", "--add", "paper", "-a", "old").stderr
    tuneboard("tag", "--filter", "tag = paper and lr > 0.01", "--remove", "old")
    assert names("--filter", "tag = old") == ["two"]
    assert tuneboard("tag", "1").exit_code == 2
    assert tuneboard("tag", "--add", "x").exit_code == 2
    done = tuneboard("archive", "1", "3")
    assert "1 run archived." in done.stderr
    assert "Run 3 is left as it is" in done.stderr
    assert names() == ["three", "two"]
    assert names("--archived", "yes") == ["one"]
    tuneboard("archive", "--undo", "--filter", "tag = paper")
    assert names() == ["three", "two", "one"]


def test_delete_says_what_it_frees_and_asks(three: Served) -> None:
    done = tuneboard("delete", "1", "3")
    assert done.exit_code == 1  # nobody said yes
    assert "Run 3 is left as it is: It is queued; cancel it first." in done.stderr
    assert "1 run and 1 KiB of files." in done.stderr
    assert len(runs_by_ids(three.store, [1])) == 1
    done = tuneboard("delete", "--filter", "status = cancelled", "--yes")
    assert done.exit_code == 0
    assert "Deleted 2 runs; 2 KiB freed." in done.stderr
    assert runs_by_ids(three.store, [1, 2]) == []
    assert not three.settings.run_dir(1).exists()
    assert "nothing to delete" in tuneboard("delete", "--filter", "tag = x", "--yes").stderr


def test_the_client_does_what_the_page_does(three: Served) -> None:
    with Client(three.url) as client:
        client.tag([1, 3], add=["paper"])
        client.tag([3], remove=["paper"])
        assert client.pin(1)["pinned"] is True
        assert [run["id"] for run in client.runs(filter="pinned", sort="id")] == [1]
        assert client.table(["lr", "tag"], filter="tag = paper") == [
            {"optimizer.lr": 0.1, "tag": ["paper"]}
        ]
        assert "optimizer.lr" in {field["name"] for field in client.run_fields()}
        view = client.save_view("Mine", "filter=pinned")
        assert client.rename_view(view["id"], "Ours")["name"] == "Ours"
        assert [one["name"] for one in client.views()] == ["Ours"]
        client.delete_view(view["id"])
        assert client.views() == []
        assert client.bulk("delete", filter="pinned", dry_run=True)["freed_bytes"] == 1024
        assert client.delete_run(1)["freed_bytes"] == 1024
        with pytest.raises(Conflict, match="cancel it first"):
            client.delete_run(3)
        with pytest.raises(InvalidInput, match="at character 1"):
            client.runs(filter="what = 1")
