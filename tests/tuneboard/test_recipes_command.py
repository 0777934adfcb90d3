"""`tuneboard recipes`: what it lists, shows and launches."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tuneboard.conftest import Served
from tests.tuneboard.test_cli import tuneboard
from trainer.recipes import load_recipe, recipe_names

S1 = "s1-ants-and-bees"


def test_recipes_are_listed_without_a_server() -> None:
    result = tuneboard("recipes")
    assert result.exit_code == 0
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines[1:]] == recipe_names()
    assert ["s1-ants-and-bees", "11", "hymenoptera"] in [
        [line[0], line[2], line[3]] for line in lines
    ]


def test_a_recipe_is_shown_with_its_reported_numbers() -> None:
    result = tuneboard("recipes", "show", S1)
    assert "- 6 frozen, other decay\n" in result.stdout
    assert "best validation accuracy 96.08% (measured, Colab GPU)" in result.stdout
    shown = json.loads(tuneboard("recipes", "show", S1, "--json").stdout)
    assert len(shown["runs"]) == len(load_recipe(S1).runs)


def test_an_unknown_recipe_exits_2_and_names_a_near_one() -> None:
    result = tuneboard("recipes", "show", "s1-ants-and-bee")
    assert result.exit_code == 2
    assert S1 in result.stderr


def test_a_recipe_is_launched_and_compared(served: Served) -> None:
    result = tuneboard("recipes", "run", S1, "--dataset", "digits", "--scale", "small")
    assert result.exit_code == 0, result.stderr
    numbers = [line.split("\t")[0] for line in result.stdout.splitlines()]
    assert len(numbers) == len(load_recipe(S1).runs)
    compared = tuneboard("compare", numbers[0], numbers[5])
    [titles, first, _] = [line.split("\t") for line in compared.stdout.splitlines()]
    assert titles[-1] == "reported"
    assert "dataset digits in place of hymenoptera" in first[-1]
    wrong = tuneboard("recipes", "run", S1, "--scale", "tiny")
    assert wrong.exit_code == 2
    assert "scale" in wrong.stderr


def test_a_recipe_of_ones_own_keeps_its_numbers(served: Served, tmp_path: Path) -> None:
    run = {
        "dataset": {"name": "digits"},
        "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
        "reported": [{"metric": "test_accuracy", "value": 0.9, "kind": "forecast"}],
    }
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps({"name": "mine", "runs": [run]}))
    number = tuneboard("submit", file).stdout.split("\t")[0]
    assert "test accuracy 90.00% (forecast, device not told)" in tuneboard("compare", number).stdout
