"""The main job as a person does it, with nothing faked: `tuneboard up`, a browser, two runs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import scroll_to_part, traces, wait_for_points
from tests.tuneboard.upped import Upped
from tuneboard.client import Client

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("whole"),
]

EPOCHS = 8
FINISHED_WITHIN_MS = 120_000
NOTE_POINTS = """() => {
    window.counts = [];
    setInterval(() => {
        const curve = document.getElementById("accuracy")?.data?.find(
            (trace) => trace.meta?.series === "val_accuracy");
        window.counts.push(curve?.x.length ?? 0);
    }, 20);
}"""


def launch(page: Page, name: str, rate: str) -> int:
    """Fill the form, launch, and return the run's number."""
    page.goto("/launch")
    page.get_by_text("Input size, resizing and normalization").click()
    for label, value in (
        ("Run name", name),
        ("Input size", "16"),
        ("Architecture", "tuneboard/small_cnn"),
        ("Weights", "none"),
        ("Learning rate", rate),
        ("Epochs", str(EPOCHS)),
        ("Batch size", "64"),
    ):
        page.get_by_label(label, exact=True).fill(value)
    page.locator("#f-dataset-name").select_option("digits")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    return int(page.url.rpartition("/")[2])


def test_two_runs_are_launched_from_the_form_watched_live_and_compared(
    visit: Page, upped: Upped
) -> None:
    first = launch(visit, "a quick one", "0.05")
    visit.evaluate(NOTE_POINTS)  # kept only as long as the page is not loaded anew
    wait_for_points(visit, "accuracy", "val_accuracy", EPOCHS)
    chip = visit.locator("#run-head .chip")
    expect(chip).to_have_text("Succeeded", timeout=FINISHED_WITHIN_MS)
    visit.wait_for_function("() => document.getElementById('confusion-val')?.data !== undefined")
    counts = visit.evaluate("window.counts")
    assert counts == sorted(counts)
    assert len(set(counts)) >= 3, "the curve did not grow before our eyes"

    second = launch(visit, "a slow one", "0.005")
    expect(chip).to_have_text("Succeeded", timeout=FINISHED_WITHIN_MS)

    visit.goto("/runs")
    for run in (first, second):
        visit.get_by_label(re.compile(f"Select run {run},")).check()
    visit.get_by_role("button", name=re.compile("Compare")).click()
    visit.wait_for_url(re.compile("/compare"))
    drawn = {
        (trace["meta"]["run"], trace["meta"]["series"]): trace
        for trace in traces(visit, "compare-accuracy")
    }
    with Client(upped.url) as client:
        for run in (first, second):
            expected = points_of(client, run, "val_accuracy")
            assert drawn[run, "val_accuracy"]["x"] == list(range(1, EPOCHS + 1))
            assert drawn[run, "val_accuracy"]["y"] == pytest.approx(expected)
            assert (run, "train_accuracy") in drawn
    assert drawn[first, "val_accuracy"]["colour"] != drawn[second, "val_accuracy"]["colour"]
    scroll_to_part(visit, "confusion")
    for run in (first, second):
        expect(visit.locator(f"#compare-confusion-{run} .heatmaplayer image")).to_have_count(1)
    expect(visit.locator("#compare-results .chip")).to_have_text(["Succeeded", "Succeeded"])
    every_part_shows_the_trained_runs(visit, first, second)


def every_part_shows_the_trained_runs(visit: Page, first: int, second: int) -> None:
    """Look at each part of the comparison of two runs that a worker has really trained."""
    scroll_to_part(visit, "verdict")
    expect(visit.locator("#verdict .verdict-sentence")).to_contain_text("images")
    expect(visit.locator("#verdict .counts td")).to_have_count(4)
    scroll_to_part(visit, "flips")
    expect(visit.locator("#flips")).to_contain_text(re.compile(r"[Oo]nly|[Bb]oth"))
    scroll_to_part(visit, "classes")
    expect(visit.locator("#classes")).to_contain_text("Recall")
    scroll_to_part(visit, "time")
    expect(visit.locator("#time")).to_contain_text("a quick one")
    scroll_to_part(visit, "sweep")
    expect(visit.locator("#sweep")).to_contain_text("optimizer.lr")
    scroll_to_part(visit, "vote")
    expect(visit.locator("#vote")).to_contain_text("a quick one")
    expect(visit.locator("#specs .spec-table")).to_contain_text("lr")
    with visit.expect_download() as download:
        visit.locator("[data-export]", has_text="HTML").first.click()
    assert download.value.suggested_filename == f"tuneboard-runs-{second}-{first}.html"


def points_of(client: Client, run: int, name: str) -> list[Any]:
    values: list[Any] = client.series(run, name)["series"][name]["value"]
    return values
