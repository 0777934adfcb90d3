from __future__ import annotations

import math
import random
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from app.pages.compare import TABLES_AT_ONCE
from store import series
from store.runs import create_run
from store.series import Point
from tests.browser.conftest import Server, scroll_to_part, traces
from tests.seeding import SCRIPT_NAME, run_spec

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SPIKE_STEP = 54_321


def external(
    server: Server, values: dict[str, list[float]], name: str = "reported", **spec: Any
) -> int:
    """A run that a script outside reports, with those series, one point an epoch."""
    run, _ = create_run(server.store, run_spec(name, **spec), owner="local", external=True)
    with server.store.write() as conn:
        series.append(
            conn,
            run.id,
            {
                key: series.columns_of(
                    Point(number, number, number / 4, value)
                    for number, value in enumerate(column, start=1)
                )
                for key, column in values.items()
            },
        )
    return run.id


def replicates(server: Server) -> list[int]:
    """Three seeds of one setting, the last of which ends early, and one of another."""
    return [
        external(
            server,
            {"val_accuracy": [0.5 + lr + seed / 100] * epochs},
            f"lr {lr} seed {seed}",
            optimizer={"lr": lr},
            training={"seed": seed},
        )
        for seed, lr, epochs in ((0, 0.1, 10), (1, 0.1, 10), (2, 0.1, 6), (0, 0.4, 10))
    ]


def opened(page: Page, runs: list[int], query: str = "", plot: str = "accuracy") -> None:
    page.goto("/compare?" + "&".join(f"run={run}" for run in runs) + query)
    traces(page, f"compare-{plot}")


def lines(page: Page, plot: str = "compare-accuracy") -> list[dict[str, Any]]:
    return [one for one in traces(page, plot) if one["meta"]["run"] is not None]


def address(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def plot_box(page: Page, family: str) -> Any:
    """Return where the plot's inside is, once all of it can be seen."""
    place = page.locator(f'[data-family="{family}"] .nsewdrag')
    place.scroll_into_view_if_needed()
    return place.bounding_box()


def wait_for(page: Page, condition: str, argument: Any = None) -> None:
    page.wait_for_function(condition, arg=argument)


def test_a_spike_of_one_step_among_100_000_is_drawn_and_zooming_shows_every_step(
    page: Page, server: Server
) -> None:
    noise = random.Random(3)  # noqa: S311 - curves, not secrets
    values = [math.sin(number / 9000) + noise.gauss(0, 0.01) for number in range(100_000)]
    values[SPIKE_STEP - 1] = 40.0
    run = external(server, {"batch_loss": values})
    opened(page, [run], "&metric=batch_loss&x=step", "batch_loss")
    (line,) = lines(page, "compare-batch_loss")
    assert len(line["x"]) <= 1000
    assert line["y"][line["x"].index(SPIKE_STEP)] == 40
    card = page.locator('[data-family="batch_loss"]')
    expect(card.locator("[data-note]")).to_contain_text("Down-sampled from 100,000 points")

    box = plot_box(page, "batch_loss")
    x = box["x"] + box["width"] * (SPIKE_STEP - 800) / 100_000
    page.mouse.move(x, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(x + box["width"] * 0.01, box["y"] + 21, steps=5)
    page.mouse.up()
    wait_for(page, "() => new URLSearchParams(location.search).has('from')")
    wait_for(
        page,
        "() => { const {x} = document.getElementById('compare-batch_loss').data[0];"
        " return x[1] - x[0] <= 2 && x.length > 100 }",
    )
    (zoomed,) = lines(page, "compare-batch_loss")
    start, end = (float(address(page)[key][0]) for key in ("from", "to"))
    inside = [number for number in zoomed["x"] if start <= number <= end]
    assert len(inside) > sum(start <= number <= end for number in line["x"]) * 5
    assert 40 in zoomed["y"]

    page.reload()
    traces(page, "compare-batch_loss")
    again = page.evaluate("document.getElementById('compare-batch_loss').layout.xaxis.range")
    assert again == pytest.approx([start, end], rel=1e-6)
    page.get_by_role("button", name="Whole range").click()
    wait_for(page, "() => document.getElementById('compare-batch_loss').data[0].x[0] === 1")
    assert "from" not in address(page)


def test_a_group_has_a_mean_a_band_and_says_how_many_runs_each_point_has(
    page: Page, server: Server
) -> None:
    runs = replicates(server)
    opened(page, runs)
    page.get_by_label("Group by").select_option("settings")
    wait_for(
        page,
        "() => document.getElementById('compare-accuracy').data.some(t => t.fill === 'toself')",
    )
    drawn = traces(page, "compare-accuracy")
    means = [one for one in drawn if one["meta"]["series"] == "val_accuracy"]
    assert [len(one["x"]) for one in means] == [10, 10]
    assert means[0]["y"][0] == pytest.approx(0.61)
    assert means[0]["y"][9] == pytest.approx(0.605)
    band = next(one for one in drawn if one["meta"]["series"] == "band")
    assert (min(y for y in band["y"] if y), max(y for y in band["y"] if y)) == pytest.approx(
        (0.6, 0.62)
    )
    card = page.locator('[data-family="accuracy"]')
    expect(card.locator("[data-note]")).to_contain_text(
        "1 run ends before the longest of its group: lr 0.1 seed 2 at 6."
    )
    expect(page.locator("#curves-legend button")).to_have_count(2)
    expect(page.locator("#curves-legend")).to_contain_text("optimizer.lr = 0.1 (3 runs)")
    box = plot_box(page, "accuracy")
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    expect(card.locator(".curve-hover")).to_contain_text("2 of 3 runs")
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    expect(card.locator(".curve-hover")).to_contain_text("3 of 3 runs")
    page.get_by_label("Band").select_option("sd")
    wait_for(page, "() => new URLSearchParams(location.search).get('band') === 'sd'")
    assert address(page)["group"] == ["settings"]


def test_smoothing_lays_a_calmer_line_over_the_faint_raw_one(page: Page, server: Server) -> None:
    run = external(server, {"val_loss": [0.0, 1.0] * 20})
    opened(page, [run], plot="loss")
    before = lines(page, "compare-loss")
    assert len(before) == 1
    page.locator("#curves-smooth").fill("0.9")
    wait_for(page, "() => document.getElementById('compare-loss').data.length === 2")
    raw, smooth = lines(page, "compare-loss")
    assert raw["y"] == before[0]["y"]
    assert max(smooth["y"][20:]) - min(smooth["y"][20:]) < 0.2
    assert page.evaluate("document.getElementById('compare-loss').data[0].opacity") == 0.25
    assert address(page)["smooth"] == ["0.9"]


def test_the_address_restores_the_whole_view(page: Page, server: Server) -> None:
    opened(page, [1, 2])
    page.get_by_label("Against", exact=True).select_option("seconds")
    page.get_by_label("Values", exact=True).select_option("log")
    page.get_by_label("Lines", exact=True).select_option("val")
    page.get_by_role("checkbox", name="Batch loss").check()
    page.get_by_role("checkbox", name="Accuracy").uncheck()
    page.locator("#curves-smooth").fill("0.5")
    page.locator("#curves-legend button").nth(1).click()
    wait_for(page, "() => document.getElementById('compare-batch_loss').data?.length > 0")
    wait_for(page, "() => location.search.includes('pin=2')")
    view = address(page)
    assert view == {
        "run": ["1", "2"],
        "x": ["seconds"],
        "y": ["log"],
        "lines": ["val"],
        "metric": ["loss", "batch_loss"],
        "smooth": ["0.5"],
        "pin": ["2"],
    }

    page.reload()
    expect(page.locator("#compare-accuracy")).to_be_hidden()
    drawn = lines(page, "compare-loss")
    assert {one["meta"]["series"] for one in drawn} == {"val_loss"}
    assert drawn[0]["x"][-1] == pytest.approx(10.8)
    assert page.evaluate("document.getElementById('compare-loss').layout.yaxis.type") == "log"
    pinned = page.locator('#curves-legend button[aria-pressed="true"]')
    expect(pinned).to_contain_text("tf_efficientnet_lite0 frozen")
    expect(page.locator('[data-family="loss"] .curve-layer path')).to_have_count(1)

    page.get_by_label("Remove small CNN from scratch").click()
    page.wait_for_url(re.compile(r"/compare\?run=2&"))
    assert {key: value for key, value in address(page).items() if key != "run"} == {
        key: value for key, value in view.items() if key != "run"
    }


def test_the_cursor_names_the_ten_nearest_of_many_runs(page: Page, server: Server) -> None:
    runs = [
        external(server, {"val_accuracy": [number / 30] * 10}, f"level {number}")
        for number in range(30)
    ]
    opened(page, runs)
    lines_drawn = page.evaluate(
        """() => document.getElementById('compare-accuracy').data
             .filter(t => t.meta.series === 'val_accuracy')
             .flatMap(t => Array.from(t.y)).filter(Number.isFinite).length"""
    )
    assert lines_drawn == 300, "every point of every run is drawn"
    card = page.locator('[data-family="accuracy"]')
    box = plot_box(page, "accuracy")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    rows = card.locator(".curve-hover p:has(b)")
    expect(rows).to_have_count(10)
    expect(card.locator(".curve-hover")).to_contain_text("the nearest 10 of 30 lines")
    levels = [int(re.search(r"level (\d+)", text).group(1)) for text in rows.all_inner_texts()]
    assert set(levels) == set(range(min(levels), min(levels) + 10)), "neighbours of the cursor"
    assert min(levels) >= 10
    assert max(levels) <= 20
    page.mouse.move(5, 5)
    expect(card.locator(".curve-hover")).to_be_hidden()


def test_tables_of_many_runs_come_after_the_curves_which_are_asked_for_once(
    page: Page, server: Server
) -> None:
    runs = [
        external(
            server,
            {"val_accuracy": [0.5, number / 60]},
            f"rate {number}",
            optimizer={"lr": (number + 1) / 1000},
        )
        for number in range(TABLES_AT_ONCE + 1)
    ]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, runs)
    curves = [url for url in asked if "/compare/curves?" in url and "metric=val_accuracy" in url]
    assert len(curves) == 1, "sent for with the page, and used by the script"
    expect(page.locator("#compare-results table")).to_have_count(0)
    scroll_to_part(page, "compare-results")
    expect(page.locator("#compare-results tbody tr")).to_have_count(len(runs))
    scroll_to_part(page, "specs")
    expect(page.locator("#specs")).to_contain_text("0.051")

    box = plot_box(page, "accuracy")
    page.evaluate("() => Plotly.relayout('compare-accuracy', {dragmode: 'pan'})")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2, steps=3)
    expect(page.locator('[data-family="accuracy"] .curve-box')).to_have_class(re.compile("moving"))
    page.mouse.up()
    expect(page.locator(".is-moving")).to_have_count(0)


def test_the_cursor_and_the_zoom_work_by_keyboard(page: Page, server: Server) -> None:
    opened(page, [1, 2])
    box = page.locator('[data-family="accuracy"] .curve-box')
    box.focus()
    page.keyboard.press("ArrowRight")
    hover = box.locator(".curve-hover")
    expect(hover).to_contain_text("Epoch 6")
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    expect(hover).not_to_contain_text("Epoch 6")
    page.keyboard.press("Escape")
    expect(hover).to_be_hidden()
    page.keyboard.press("+")
    wait_for(page, "() => new URLSearchParams(location.search).has('from')")
    page.keyboard.press("0")
    wait_for(page, "() => !new URLSearchParams(location.search).has('from')")
    page.locator("#curves-legend button").first.focus()
    expect(box.locator(".curve-layer path")).to_have_count(2)


def test_nothing_one_point_gaps_and_missing_metrics_break_no_figure(
    page: Page, server: Server
) -> None:
    one = external(server, {"val_accuracy": [0.5]}, "one point")
    nans = external(server, {"val_accuracy": [0.5, math.nan, 0.6, math.inf, 0.7]}, SCRIPT_NAME)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    opened(page, [one, nans, server.seeded.queued])
    drawn = {line["meta"]["run"]: line for line in lines(page)}
    assert drawn[one]["y"] == [0.5]
    assert drawn[nans]["y"] == pytest.approx([0.5, math.nan, 0.6, math.nan, 0.7], nan_ok=True)
    expect(page.locator('[data-family="accuracy"] [data-note]')).to_contain_text("1 line has gaps")
    loss = page.locator('[data-family="loss"] [data-message]')
    expect(loss).to_have_text("No values yet; they appear as the runs report them.")
    expect(page.locator("#curves-legend")).to_contain_text(SCRIPT_NAME)
    page.locator('[data-family="accuracy"] summary').click()
    table = page.locator('[data-family="accuracy"] table')
    expect(table.locator("tbody tr")).to_have_count(2)
    expect(table).to_contain_text(SCRIPT_NAME)

    opened(page, [server.seeded.failed], "&metric=nobody_recorded_this&metric=loss", "loss")
    expect(page.locator('[data-family="nobody_recorded_this"] [data-message]')).to_have_text(
        "None of these runs recorded nobody recorded this."
    )


def test_curves_do_not_move_the_page_when_they_are_drawn(page: Page) -> None:
    page.route("**/api/v1/compare/curves?**", lambda route: None)  # never answered
    page.goto("/compare?run=1&run=2&run=3", wait_until="domcontentloaded")
    height = "document.getElementById('curves').getBoundingClientRect().height"
    expect(page.locator("#curves-legend button")).to_have_count(3)
    before = page.evaluate(height)
    page.unroute_all()
    page.reload()
    traces(page, "compare-loss")
    assert page.evaluate(height) == pytest.approx(before, abs=1)


def test_what_accuracy_costs_is_drawn_and_the_best_within_minutes_said(page: Page) -> None:
    page.goto("/compare?run=1&run=2&run=3")
    page.locator("#time").scroll_into_view_if_needed()
    traces(page, "compare-cost")
    page.get_by_role("spinbutton", name="Best within").fill("0.1")
    page.keyboard.press("Enter")
    expect(page.locator('#time [role="status"]')).to_contain_text("within 0.1 min")
    assert address(page)["minutes"] == ["0.1"]
    page.locator("#sweep").scroll_into_view_if_needed()
    traces(page, "compare-sweep")
    page.locator("#sweep summary").click()
    expect(page.locator("#sweep tbody tr")).to_have_count(3)
