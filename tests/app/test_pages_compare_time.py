from __future__ import annotations

import math

import pytest
from fastapi.testclient import TestClient

from app.figures.parallel import parallel_figure, parallel_info
from app.figures.time import Cost, Reached, best_within, cost_figure, pareto_front
from tests.app.pages import figure_of, page, text_of, texts
from tests.app.test_figures import check_schema
from tests.seeding import Seeded


def cost(run_id: int, seconds: float, accuracy: float) -> Cost:
    return Cost(run_id, f"run {run_id}", seconds, accuracy)


def test_the_front_holds_the_runs_that_no_other_beats() -> None:
    costs = [
        cost(1, 10, 0.9),
        cost(2, 5, 0.8),
        cost(3, 7, 0.8),  # slower than 2 and no better
        cost(4, 20, 0.9),  # slower than 1 and no better
        cost(5, 30, 0.95),
        cost(6, 5, 0.7),  # as fast as 2 and worse
    ]
    assert [one.run_id for one in pareto_front(costs)] == [2, 1, 5]
    assert pareto_front([]) == ()
    assert [one.run_id for one in pareto_front([cost(1, 3, 0.5), cost(2, 3, 0.5)])] == [1]


def test_the_best_within_a_time_is_what_was_reached_by_then() -> None:
    seconds, accuracy = [10, 20, 30, 40], [0.5, 0.8, 0.8, 0.9]
    assert best_within(1, seconds, accuracy, 35) == Reached(1, 0.8, 20)
    assert best_within(1, seconds, accuracy, 40) == Reached(1, 0.9, 40)
    assert best_within(1, seconds, accuracy, 9) is None
    assert best_within(1, [10, 20], [math.nan, 0.4], 30) == Reached(1, 0.4, 20)
    assert best_within(1, [], [], 30) is None


def test_costs_are_drawn_with_the_runs_looks_and_names() -> None:
    figure = cost_figure([cost(1, 10, 0.9), cost(2, 5, 0.8)], "Accuracy")
    check_schema(figure)
    steps, runs = figure["data"]
    assert (steps["x"], steps["y"]) == ([5, 10, 10], [0.8, 0.9, 0.9])
    assert runs["marker"]["color"][0] != runs["marker"]["color"][1]
    many = cost_figure([cost(number, number, 0.5) for number in range(1, 40)], "Accuracy")
    assert many["data"][1]["mode"] == "markers"
    check_schema(cost_figure([], "Accuracy"))
    script = cost_figure([Cost(1, "<script>", 1, 0.5)], "Accuracy")
    assert "<script>" not in str(script)


def test_numbers_that_differ_become_axes_and_what_is_left_out_is_named() -> None:
    specs = {
        1: {"optimizer.lr": 0.001, "training.seed": 1, "training.epochs": 5, "name": "a"},
        2: {"optimizer.lr": 0.1, "training.seed": 2, "training.epochs": 5, "name": "b"},
        3: {"optimizer.lr": 0.01, "training.seed": 3, "training.epochs": 5, "head.dropout": 0.5},
        4: {"optimizer.lr": None, "training.seed": 4, "training.epochs": 5},
        5: {"optimizer.lr": 0.5, "training.seed": 5, "training.epochs": 9},
    }
    info = parallel_info("Accuracy", specs, {1: 0.5, 2: 0.6, 3: 0.7, 4: 0.8, 5: None})
    assert [dimension.path for dimension in info.dimensions] == ["optimizer.lr"]
    assert info.dimensions[0].is_log
    assert info.run_ids == (1, 2, 3)
    assert info.left_out == (4, 5)
    figure = parallel_figure(info, {1: "a", 2: "b", 3: "<script>"})
    check_schema(figure)
    worst, middle, best = figure["data"]
    assert [line["y"] for line in figure["data"]] == [[0, 0], [1, 0.5], [0.5, 1]]
    assert best["text"] == ["optimizer.lr = 0.01", "Accuracy = 70.0%"]
    assert [line["line"]["color"] for line in (worst, middle, best)] == [
        "rgb(201,90,156)",
        "rgb(133,102,224)",
        "rgb(11,154,109)",
    ]
    assert "<script>" not in str(figure)
    marks = [(mark["x"], mark["y"], mark["text"]) for mark in figure["layout"]["annotations"]]
    assert marks[:3] == [(0, 0, "0.001"), (0, 0.5, "0.01"), (0, 1, "0.1")]
    nothing = parallel_info("Accuracy", {1: {"a": 1}, 2: {"a": 1}}, {1: 0.5, 2: 0.6})
    check_schema(parallel_figure(nothing, {}))
    assert parallel_figure(nothing, {})["data"] == []
    assert parallel_info("Accuracy", {}, {}).run_ids == ()


def test_an_axis_of_many_values_is_marked_at_even_steps() -> None:
    specs = {run: {"a": run, "b": 10.0 ** (run / 5)} for run in range(21)}
    info = parallel_info("Accuracy", specs, dict.fromkeys(specs, 0.5))
    figure = parallel_figure(info, {run: str(run) for run in specs})
    check_schema(figure)
    marks = [(mark["x"], mark["y"], mark["text"]) for mark in figure["layout"]["annotations"]]
    assert marks == [
        *((0, share / 4, f"{5 * share}") for share in range(5)),
        *((1, share / 4, f"{10**share}") for share in range(5)),
        (2, 0, "50.0%"),
    ]


def test_truths_and_words_are_no_numbers() -> None:
    specs = {
        1: {"a": True, "b": "x", "c": 1},
        2: {"a": False, "b": "y", "c": 2},
    }
    info = parallel_info("Accuracy", specs, {1: 0.5, 2: 0.6})
    assert [dimension.path for dimension in info.dimensions] == ["c"]


def test_the_part_shows_costs_front_and_wall_clock(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/parts/compare/time?run=1&run=2&run=3")
    runs = figure_of(soup, "compare-cost")["data"][1]
    assert runs["x"] == pytest.approx([13.0, 7.0, 39.4])  # standalone seconds
    assert len(figure_of(soup, "compare-clock")["data"]) >= 4
    assert "Not beaten by any other in both:" in text_of(soup)
    rows = texts(soup.select("#clock-details tbody th"))
    assert rows == ["small CNN from scratch", "tf_efficientnet_lite0 frozen", rows[2]]


def test_the_best_within_some_minutes_is_said(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/parts/compare/time?run=1&run=2&run=3&minutes=0.1")
    said = text_of(soup.select_one('[role="status"]'))
    assert "within 0.1 min" in said
    assert "2 of the runs had no accuracy by then" not in text_of(soup)
    early = page(client, "/parts/compare/time?run=1&run=2&run=3&minutes=0.01")
    assert "give more minutes" in text_of(early)
    assert soup.select_one("#minutes")["value"] == "0.1"


@pytest.mark.parametrize("query", ["minutes=3", "run=1&minutes=0", "run=1&minutes=x", "run=0"])
def test_a_bad_question_is_refused(client: TestClient, seeded: Seeded, query: str) -> None:
    page(client, f"/parts/compare/time?{query}", 422)


def test_runs_without_results_say_what_to_do(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/parts/compare/time?run={seeded.queued}&run={seeded.failed}")
    assert figure_of(soup, "compare-cost")["data"] == []
    sweep = page(client, f"/parts/compare/sweep?run={seeded.queued}&run=77")
    assert "Launch a study" in text_of(sweep)


def test_settings_that_differ_are_drawn_beside_a_table(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/parts/compare/sweep?run=1&run=2&run=3&run=6")
    figure = figure_of(soup, "compare-sweep")
    assert figure["layout"]["xaxis"]["ticktext"] == [
        "optimizer.<br>lr",
        "training.<br>epochs",
        "Best<br>validation<br>accuracy",
    ]
    assert len(soup.select("#compare-sweep-details tbody tr")) == 4
    assert "<script>alert(1)</script>" in text_of(soup)
