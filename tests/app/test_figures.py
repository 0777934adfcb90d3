from __future__ import annotations

import json
import math
from array import array
from typing import Any

import pytest

from app.figures.bars import (
    class_counts_figure,
    short_sides_figure,
    wall_clock_figure,
    wall_clock_info,
)
from app.figures.confusion import confusion_figure, confusion_infos
from app.figures.curves import (
    ACCURACY,
    BATCH,
    LOSS,
    curve_figure,
    curve_info,
    thinned,
)
from app.figures.style import (
    COLOURS,
    CONFUSION_SCALE,
    SYMBOLS,
    distinct_labels,
    empty_figure,
    run_style,
    shortened,
)
from store.rows import SeriesPoints

LIGHT, DARK = "#ffffff", "#161b22"


def points(*values: float, per_epoch: int = 10) -> SeriesPoints:
    numbers = range(1, len(values) + 1)
    return SeriesPoints(
        array("i", [number * per_epoch for number in numbers]),
        array("f", numbers),
        array("f", [number * 0.5 for number in numbers]),
        array("d", values),
    )


def check_schema(figure: dict[str, Any]) -> None:
    """Plotly's own classes refuse unknown attributes and values; JSON refuses NaN."""
    import plotly.graph_objects as graph_objects

    graph_objects.Figure(figure, skip_invalid=False)
    json.dumps(figure, allow_nan=False)


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", COLOURS)
def test_every_run_colour_stands_out_on_both_pages(colour: str) -> None:
    assert contrast(colour, LIGHT) >= 3
    assert contrast(colour, DARK) >= 3


@pytest.mark.parametrize(("page", "ink"), [(LIGHT, "#171c24"), (DARK, "#e7ebf1")])
def test_ink_is_readable_in_every_cell_of_a_matrix(page: str, ink: str) -> None:
    for _, colour in CONFUSION_SCALE:
        *parts, alpha = (float(part) for part in colour[5:-1].split(","))
        mixed = (
            round(part * alpha + int(page[index : index + 2], 16) * (1 - alpha))
            for part, index in zip(parts, (1, 3, 5), strict=True)
        )
        assert contrast("#" + "".join(f"{part:02x}" for part in mixed), ink) >= 4.5


def test_a_runs_look_depends_on_its_number_alone_and_repeats_late() -> None:
    looks = [run_style(run_id) for run_id in range(1, 73)]
    assert len(set(looks)) == 72 == math.lcm(len(COLOURS), len(SYMBOLS))
    assert run_style(5) == run_style(5 + 72)


def test_curves_have_the_points_and_say_where_live_ones_go() -> None:
    series = {
        (3, "train_accuracy"): points(0.4, 0.6),
        (3, "val_accuracy"): points(0.5, 0.7),
    }
    info = curve_info("Accuracy", "Accuracy", ACCURACY, [(3, "mine")], series, percent=True)
    assert [curve.xs for curve in info.curves] == [(1, 2), (1, 2)]
    figure = curve_figure(info)
    train, validation = figure["data"]
    assert validation["y"] == [0.5, 0.7]
    assert validation["customdata"] == [10, 20]
    assert validation["meta"] == {"run": 3, "series": "val_accuracy", "x": "epoch"}
    assert (train["line"]["dash"], validation["line"]["dash"]) == ("dash", "solid")
    assert train["line"]["color"] == validation["line"]["color"] == run_style(3).colour
    check_schema(figure)


@pytest.mark.parametrize(
    ("x", "expected"), [("epoch", [1, 2]), ("step", [10, 20]), ("seconds", [0.5, 1.0])]
)
def test_curves_can_be_drawn_against_epochs_steps_and_seconds(
    x: Any, expected: list[float]
) -> None:
    series = {(1, "val_loss"): points(2.0, 1.0)}
    figure = curve_figure(curve_info("Loss", "Loss", LOSS, [(1, "a")], series, x))
    assert figure["data"][1]["x"] == expected
    check_schema(figure)


def test_values_that_are_not_finite_become_gaps() -> None:
    series = {(1, "val_loss"): points(math.nan, math.inf, -math.inf, 1.0)}
    figure = curve_figure(curve_info("Loss", "Loss", LOSS, [(1, "a")], series))
    assert figure["data"][1]["y"] == [None, None, None, 1.0]
    check_schema(figure)


def test_a_run_without_points_keeps_its_lines_and_says_so() -> None:
    figure = curve_figure(curve_info("Loss", "Loss", LOSS, [(1, "a")], {}))
    assert [trace["x"] for trace in figure["data"]] == [[], []]
    assert figure["layout"]["annotations"][0]["text"] == "No points recorded."
    check_schema(figure)


def test_no_run_gives_a_titled_empty_figure() -> None:
    figure = curve_figure(curve_info("Loss", "Loss", LOSS, [], {}))
    assert figure["data"] == []
    assert figure["layout"]["title"]["text"] == "Loss"
    assert figure["layout"]["annotations"][0]["text"]
    check_schema(figure)


def test_several_runs_have_one_legend_entry_each() -> None:
    series = {(run, name): points(0.1) for run in (1, 2) for name in ("train_loss", "val_loss")}
    figure = curve_figure(curve_info("Loss", "Loss", LOSS, [(1, "a"), (2, "b")], series))
    shown = [trace["name"] for trace in figure["data"] if trace["showlegend"]]
    assert shown == ["a", "b"]
    check_schema(figure)


def test_the_learning_rate_has_an_axis_of_its_own() -> None:
    series = {(1, "batch_loss"): points(2.0), (1, "batch_learning_rate"): points(0.1)}
    figure = curve_figure(
        curve_info("Batch", "Loss", BATCH, [(1, "a")], series, "step", second_y_title="Rate")
    )
    assert figure["data"][1]["yaxis"] == "y2"
    assert figure["layout"]["yaxis2"]["overlaying"] == "y"
    check_schema(figure)


def test_long_series_are_thinned_with_their_spike_and_the_title_says_so() -> None:
    values = [0.0] * 5000
    values[2345] = 99.0
    series = {(1, "batch_loss"): points(*values)}
    shown, sampled_from = thinned(series, 200)
    assert sampled_from == 5000
    assert len(shown[1, "batch_loss"]) <= 200
    assert max(shown[1, "batch_loss"].values) == 99.0
    figure = curve_figure(
        curve_info("Batch", "Loss", BATCH, [(1, "a")], shown, "step", sampled_from=sampled_from)
    )
    assert "5,000" in figure["layout"]["title"]["text"]


def test_short_series_are_left_alone() -> None:
    series = {(1, "val_loss"): points(1.0, 2.0)}
    assert thinned(series, 200) == (series, None)
    assert thinned({}, 200) == ({}, None)


def test_names_cannot_become_markup() -> None:
    name = "<script>alert(1)</script>"
    series = {(1, "val_loss"): points(1.0), (2, "val_loss"): points(1.0)}
    figure = curve_figure(curve_info(name, "Loss", LOSS, [(1, name), (2, "b")], series))
    assert "<script>" not in json.dumps(figure)


def test_confusion_matrices_side_by_side_share_one_scale() -> None:
    matrices = [("a", ["x", "y"], [[3, 1], [0, 4]]), ("b", ["x", "y"], [[9, 0], [2, 2]])]
    infos = confusion_infos(matrices, "counts")
    assert [info.maximum for info in infos] == [9, 9]
    figure = confusion_figure(infos[0])
    heat = figure["data"][0]
    assert heat["z"] == [[3, 1], [0, 4]]
    assert heat["text"] == [["3", "1"], ["", "4"]]
    assert heat["customdata"][0][1] == [1, 0.25, "x", "y"]
    assert figure["layout"]["yaxis"]["range"] == [1.5, -0.5]  # true classes from the top down
    check_schema(figure)


def test_confusion_rows_are_shares_and_an_empty_row_stays_empty() -> None:
    (info,) = confusion_infos([("a", ["x", "y"], [[3, 1], [0, 0]])], "rows")
    figure = confusion_figure(info)
    assert figure["data"][0]["z"] == [[0.75, 0.25], [0, 0]]
    assert figure["data"][0]["zmax"] == 1
    check_schema(figure)


def test_confusion_of_many_classes_leaves_the_cells_unlabelled() -> None:
    names = [f"a class with a very long name, number {number}" for number in range(40)]
    (info,) = confusion_infos([("a", names, [[1] * 40 for _ in range(40)])], "counts")
    figure = confusion_figure(info)
    assert figure["data"][0]["texttemplate"] == ""
    assert len(figure["layout"]["xaxis"]["ticktext"]) == 40
    check_schema(figure)


def test_an_empty_confusion_matrix_is_a_titled_empty_figure() -> None:
    (info,) = confusion_infos([("nothing", [], [])], "counts")
    check_schema(confusion_figure(info))
    assert confusion_figure(info)["layout"]["title"]["text"] == "nothing"


def test_wall_clock_bars_stack_phases_and_name_the_rest() -> None:
    info = wall_clock_info([("a", {"compute": 6.0, "data": 2.0}, 9.0), ("b", {}, None)])
    assert info.seconds["other"] == (1.0, 0.0)
    figure = wall_clock_figure(info)
    assert {trace["name"]: trace["x"] for trace in figure["data"]} == {
        "reading data": [2.0, 0.0],
        "computing": [6.0, 0.0],
        "everything else": [1.0, 0.0],
    }
    assert figure["layout"]["barmode"] == "stack"
    check_schema(figure)
    check_schema(wall_clock_figure(wall_clock_info([("a", {}, None)])))


def test_class_counts_have_a_bar_per_split_and_class() -> None:
    figure = class_counts_figure(["ants", "bees"], {"training": [3, 4], "validation": [1, 2]})
    assert [trace["y"] for trace in figure["data"]] == [[3, 4], [1, 2]]
    assert figure["layout"]["xaxis"]["ticktext"] == ["ants", "bees"]
    check_schema(figure)
    check_schema(class_counts_figure([], {}))


def test_equal_labels_get_their_runs_number() -> None:
    labels = distinct_labels([(1, "same"), (2, "same"), (3, "other")])
    assert labels == {1: "same #1", 2: "same #2", 3: "other"}
    long = ["x" * 40 + "end", "x" * 41 + "end"]
    assert len(set(distinct_labels(list(enumerate(long))).values())) == 2
    assert len(shortened("y" * 100)) == 32


def test_an_empty_figure_is_valid() -> None:
    check_schema(empty_figure("A & B", "Nothing <here>."))


def test_the_shorter_sides_are_counted_in_bins() -> None:
    figure = short_sides_figure([(192, 224, 3), (224, 256, 0), (4096, 0, 1)])
    check_schema(figure)
    assert figure["data"][0]["y"] == [3, 0, 1]
    assert figure["data"][0]["text"] == ["192 to 223 px", "224 to 255 px", "4096 px and more"]
    check_schema(short_sides_figure([]))
