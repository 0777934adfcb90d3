"""Recipes are studies of valid specs, and what is wrong with one is said by its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.catalogue import SMALL_CNN
from trainer.datasets.catalogue import catalogue_entries
from trainer.errors import InvalidInput, NotFound
from trainer.parsing import parse_spec
from trainer.recipes import RECIPES, as_recipe, load_recipe
from tuneboard.demo import DATASETS
from tuneboard.recipe import load_yaml

RUN = {"dataset": {"name": "digits"}}


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_recipe_that_comes_with_tuneboard_is_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name
    assert len({parse_spec(run).display_name() for run in recipe.specs}) == len(recipe.runs)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_demos_have_three_runs_on_their_dataset(dataset: str) -> None:
    specs = [parse_spec(run) for run in load_recipe(f"demo-{dataset}").specs]
    assert [spec.dataset.name for spec in specs] == [dataset] * 3
    assert dataset in {entry.name for entry in catalogue_entries()}


def test_the_demo_compares_scratch_frozen_and_fine_tuned_without_a_download() -> None:
    specs = [parse_spec(run) for run in load_recipe("demo-digits").specs]
    assert [(s.model.architecture, s.model.weights, s.freeze.layers) for s in specs] == [
        (SMALL_CNN, "none", "none"),
        ("timm/tf_efficientnet_lite0", "package", "backbone"),
        ("timm/tf_efficientnet_lite0", "package", "none"),
    ]


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(NotFound, match="demo-digits"):
        load_recipe("demo-digit")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": "x"}, "runs"),
        ({"runs": []}, "runs"),
        ({"runs": {"a": RUN}}, "runs"),
        ({"runs": [RUN], "steps": 3}, "steps"),
        ({"runs": [RUN], "name": 3}, "name"),
        ({"runs": [RUN, {**RUN, "optimizer": {"lr": 30}}]}, "runs.1.optimizer.lr"),
        ({"runs": ["digits"]}, "runs.0"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(data: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        as_recipe(data)
    assert [error.field for error in caught.value.errors] == [field]


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "ants.yaml").write_text("dataset: {name: digits}")
    with pytest.raises(NotFound, match=r"ants\.yaml"):
        load_yaml(tmp_path / "ant.yaml")


@pytest.mark.parametrize("text", ["- 1", "just words", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput):
        load_yaml(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InvalidInput, match="readable text"):
        load_yaml(path)
