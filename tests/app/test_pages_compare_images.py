from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from store.database import Store
from store.settings import Settings
from tests.app.pages import figure_of, page, text_of, texts
from tests.compared import answers, digits, evaluated, finished_run
from tests.seeding import SCRIPT_NAME, Seeded
from trainer.datasets.manifest import Item


@pytest.fixture
def pair(client: TestClient, seeded: Seeded, store: Store, settings: Settings) -> tuple[int, int]:
    """Of 90 digits the first is wrong on 0 to 29, the second on 25 to 34 in another way."""
    items = digits(settings, store)
    first = finished_run(store, settings, "first", answers(items, range(30)))
    second = finished_run(
        store, settings, SCRIPT_NAME, answers(items, range(25, 35), shift=2), optimizer={"lr": 0.5}
    )
    return first.id, second.id


def asked(part: str, *run_ids: int, more: str = "") -> str:
    return f"/parts/compare/{part}?" + "&".join(f"run={run_id}" for run_id in run_ids) + more


def test_flips_show_the_label_and_what_both_say(client: TestClient, pair: tuple[int, int]) -> None:
    soup = page(client, asked("flips", *pair, more="&x=step"))
    assert texts(soup.select(".segmented a")) == [
        f"Only {SCRIPT_NAME} is right: 25", "Only first is right: 5", "Both are wrong: 5",
    ]  # fmt: skip
    shots = soup.select(".shot")
    assert len(shots) == 24
    assert text_of(shots[0].select_one(".shot-label")) == "0"
    assert texts(shots[0].select(".shot-said")) == [
        "first says 1 70 % ✗ wrong", f"{SCRIPT_NAME} says 0 70 % ✓ right",
    ]  # fmt: skip
    picture = shots[0].select_one("img")
    assert picture["src"].startswith(f"/api/v1/runs/{pair[0]}/evaluations/val/images/0?v=")
    assert client.get(picture["src"]).status_code == 200
    assert client.get(picture["data-large"]).status_code == 200
    assert "page=2" in soup.select_one("[data-after]")["href"]
    assert "x=step" in soup.select_one("[data-after]")["href"]
    assert not soup.select("script")


def test_flips_are_paged_and_filtered_by_class(client: TestClient, pair: tuple[int, int]) -> None:
    last = page(client, asked("flips", *pair, more="&page=2"))
    assert len(last.select(".shot")) == 1
    assert last.select_one(".gallery")["start"] == "25"
    of_class = page(client, asked("flips", *pair, more="&class=1"))
    assert {text_of(one) for one in of_class.select(".shot-label")} == {"1"}
    assert texts(of_class.select("#flips-class option")) == [
        "All classes", "0 (9)", "1 (9)", "2 (7)",
    ]  # fmt: skip
    empty = page(client, asked("flips", *pair, more="&class=8&flip=broken"))
    assert "There is no such image of this class" in text_of(empty)
    assert empty.select_one("#flips-class option[selected]")["value"] == "8"


def test_flips_say_why_there_is_nothing(
    client: TestClient, pair: tuple[int, int], seeded: Seeded, settings: Settings
) -> None:
    assert "Add a second run" in text_of(page(client, asked("flips", pair[0])))
    waiting = page(client, asked("flips", pair[0], seeded.running))
    assert "has no evaluation" in text_of(waiting)
    (settings.run_dir(pair[1]) / "attempt-001/predictions/val.npz").unlink()
    assert "their file was removed" in text_of(page(client, asked("flips", *pair)))


def test_matrices_share_a_scale_and_can_show_shares(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, asked("confusion", 1, 2, 3))
    heats = [figure_of(soup, f"compare-confusion-{run}")["data"][0] for run in (1, 2, 3)]
    assert len({heat["zmax"] for heat in heats}) == 1
    shares = page(client, asked("confusion", 1, 2, more="&cm=rows"))
    heat = figure_of(shares, "compare-confusion-1")["data"][0]
    assert heat["zmax"] == 1
    assert all(sum(row) == pytest.approx(1) for row in heat["z"])


def test_the_difference_of_two_matrices_diverges_from_zero(
    client: TestClient, pair: tuple[int, int]
) -> None:
    soup = page(client, asked("confusion", *pair))
    first, second, change = (
        figure_of(soup, f"compare-{name}")["data"][0]
        for name in (f"confusion-{pair[0]}", f"confusion-{pair[1]}", "difference")
    )
    assert change["z"][0] == [b - a for a, b in zip(first["z"][0], second["z"][0], strict=True)]
    assert change["zmin"] == -change["zmax"] == -9
    assert change["meta"] == {"cells": "both"}
    assert change["text"][0][:2] == ["+9", "−9"]
    other_way = page(client, asked("confusion", *pair, more=f"&baseline={pair[1]}"))
    turned = figure_of(other_way, "compare-difference")["data"][0]["z"][0]
    assert turned == [-one for one in change["z"][0]]


def test_the_classes_confused_most_come_first_with_links_to_their_images(
    client: TestClient, pair: tuple[int, int]
) -> None:
    soup = page(client, asked("confusion", *pair))
    rows = [texts(row.find_all(["th", "td"])) for row in soup.select(".confused tbody tr")]
    assert [row[:2] for row in rows[:2]] == [["0", "1"], ["1", "2"]]
    assert rows[0][2].startswith("9 images of 0 taken for 1")
    assert rows[0][3] == "0"
    assert rows[0][4].startswith("−9")
    link = soup.select_one(f"#cell-{pair[0]}-0-1")
    assert f"cell={pair[0]}-0-1" in link["href"]


def test_a_cell_shows_its_images(client: TestClient, pair: tuple[int, int]) -> None:
    soup = page(client, asked("confusion", *pair, more=f"&cell={pair[0]}-3-4"))
    assert text_of(soup.select_one("#cell-title")) == "3 taken for 4 by first: 3"
    assert len(soup.select("#cell-gallery .shot")) == 3
    both = page(client, asked("confusion", *pair, more="&cell=both-3-4"))
    assert text_of(both.select_one("#cell-title")) == "3 taken for 4 by just one of the two: 3"
    assert len(both.select("#cell-gallery .shot")[0].select(".shot-said")) == 2
    empty = page(client, asked("confusion", *pair, more=f"&cell={pair[0]}-9-0"))
    assert "There is no image in this cell" in text_of(empty)
    right = page(client, asked("confusion", *pair, more=f"&cell={pair[0]}-9-9"))
    assert "9 rightly found" in text_of(right.select_one("#cell-title"))


@pytest.mark.parametrize(
    "query", ["cell=x", "cell=1-2", "cell=1--2-3", "cell=both-1", "cm=none", "cell=1-2-99999999999"]
)
def test_a_bad_cell_is_refused(client: TestClient, seeded: Seeded, query: str) -> None:
    page(client, f"/parts/compare/confusion?run=1&{query}", 422)


def test_a_cell_past_the_classes_is_refused(client: TestClient, pair: tuple[int, int]) -> None:
    page(client, asked("confusion", *pair, more=f"&cell={pair[0]}-10-0"), 422)


def test_nothing_is_confused_or_nobody_was_evaluated(
    client: TestClient, seeded: Seeded, store: Store, settings: Settings
) -> None:
    right = finished_run(store, settings, "right", answers(digits(settings, store)))
    assert "No class is taken for another" in text_of(page(client, asked("confusion", right.id)))
    for part in ("confusion", "classes"):
        soup = page(client, asked(part, seeded.running, seeded.queued))
        assert "A run is when it ends" in text_of(soup)


def hundred_classes(store: Store, settings: Settings, name: str, wrong: range) -> int:
    """Add a run with a hundred classes of two images; the places in `wrong` are taken for 99."""
    run = finished_run(store, settings, name, answers(digits(settings, store)))
    items = [Item(f"{index:03d}.png", index // 2) for index in range(200)]
    told = evaluated(
        settings, run.id, items, [99 if index in wrong else index // 2 for index in range(200)],
        "test", [f"class {index}" for index in range(100)],
    )  # fmt: skip
    from store.tables import EVALUATIONS

    with store.write() as conn:
        conn.execute(
            EVALUATIONS.insert().values(
                run_id=run.id,
                **told.model_dump(mode="json", exclude={"kind", "time", "classes"}),
                classes=[one.model_dump() for one in told.classes],
            )
        )
    return run.id


def test_a_hundred_classes_stay_readable(
    client: TestClient, seeded: Seeded, store: Store, settings: Settings
) -> None:
    first = hundred_classes(store, settings, "a", range(20, 30))
    second = hundred_classes(store, settings, "b", range(20, 24))
    third = hundred_classes(store, settings, "c", range(20, 22))
    soup = page(client, asked("confusion", first, second, third))
    assert len(soup.select(".confused tbody tr")) == 5
    figure = figure_of(soup, f"compare-confusion-{first}")
    assert figure["layout"]["xaxis"]["showticklabels"] is False
    assert not soup.select(f"#compare-confusion-{third}")
    assert "1 more matrix is not drawn" in text_of(soup)
    classes = page(client, asked("classes", first, second))
    lines = [text_of(row.th) for row in classes.select("#classes-table tbody tr")]
    assert len(lines) == 100
    assert set(lines[:3]) == {"class 12", "class 13", "class 14"}


def test_figures_by_class_put_the_largest_differences_first(
    client: TestClient, pair: tuple[int, int]
) -> None:
    soup = page(client, asked("classes", *pair, more="&figure=recall"))
    rows = [texts(row.find_all(["th", "td"])) for row in soup.select("#classes-table tbody tr")]
    assert rows[0] == ["0", "9", "0.0 %", "100.0 %", "100.0 points"]
    assert rows[-1][-1] == "0.0 points"
    heat = figure_of(soup, "compare-classes")["data"][0]
    assert heat["z"][0] == [0.0, 1.0]
    bars = figure_of(soup, "compare-class-bars")["data"]
    assert [one["name"] for one in bars] == ["first", "&lt;script&gt;alert(1)&lt;/script&gt;"]
    assert len(bars[0]["x"]) == 4  # of the classes that differ
    macro = texts(soup.select("#classes-macro td"))
    assert macro[0].endswith("%")
    assert " to " in macro[1]


def test_one_run_has_figures_by_class_too(client: TestClient, pair: tuple[int, int]) -> None:
    soup = page(client, asked("classes", pair[0]))
    assert figure_of(soup, "compare-class-bars")["data"] == []
    assert len(soup.select("#classes-table tbody tr")) == 10
    page(client, asked("classes", pair[0], more="&figure=luck"), 422)


def test_classes_that_not_all_runs_know_are_left_empty(
    client: TestClient, pair: tuple[int, int], seeded: Seeded
) -> None:
    soup = page(client, asked("classes", pair[0], seeded.script))
    assert len(soup.select("#classes-table tbody tr")) == 12
    assert "–" in texts(soup.select("#classes-table td"))
    assert soup.select("#compare-classes")


def test_matrices_are_drawn_where_the_predictions_are_gone(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, asked("confusion", 1, 2, more="&cell=1-0-1"))
    assert soup.select("#compare-confusion-1")
    assert "are not here" in text_of(soup.select_one("#cell"))
