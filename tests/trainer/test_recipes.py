"""The published studies are valid, and what is launched of them says how far it is theirs."""

from __future__ import annotations

import re

import pytest

from trainer.errors import InvalidInput
from trainer.parsing import parse_spec, yaml_data
from trainer.planning import launchable, plan
from trainer.recipes import RECIPES, as_recipe, load_recipe, recipe_names

STUDIES = (
    "s1-ants-and-bees",
    "s2-inception-scenes",
    "s3-scratch-or-transfer",
    "s4-dogs-and-cats",
    "s5-cifar10",
)
WAYS = ({}, {"substitute": True}, {"small": True}, {"epochs": 2}, {"dataset": "digits"})
RUN = {"dataset": {"name": "digits"}, "training": {"epochs": 4}}


def test_every_study_has_a_recipe() -> None:
    assert set(STUDIES) <= set(recipe_names())
    assert len({load_recipe(name).name for name in recipe_names()}) == len(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_recipe_can_be_launched_in_every_way(name: str, way: dict) -> None:
    steps = plan(load_recipe(name), **way)
    names = [run.name for step in steps for run in step.runs]
    assert all(names)
    assert len(set(names)) == len(names)
    runs = launchable(steps)
    if way.get("small"):
        assert all("small scale" in name for name in names)
        assert all(run.spec.training.epochs <= 2 for run in runs)
    if way.get("substitute"):
        assert {run.spec.model.weights for run in runs} <= {"none", "package"}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_keeps_its_authors_numbers(name: str) -> None:
    recipe = load_recipe(name)
    numbers = [one for run in recipe.runs for one in run.reported]
    assert numbers
    assert {one.kind for one in numbers} <= {"measured", "approximate", "forecast"}
    assert all(0 < one.value <= 1 for one in numbers if one.metric.endswith("accuracy"))


def test_the_numbers_of_ants_and_bees_stand_beside_runs_done_as_the_authors_did() -> None:
    runs = {run.spec.name: run for run in launchable(plan(load_recipe("s1-ants-and-bees")))}
    frozen = runs["6 frozen, other decay"]
    assert frozen.published is not None
    assert frozen.published.comparable
    assert frozen.published.lines() == (
        "best validation accuracy 96.08% (measured, Colab GPU)",
        "wall clock in seconds 171 (measured, Colab GPU)",
    )
    spec = frozen.spec
    assert (spec.scheduler.step_epochs, spec.scheduler.gamma, spec.optimizer.lr) == (5, 0.07, 0.001)
    assert (spec.freeze.layers, spec.freeze.mode) == ("backbone", "train")
    really = runs["6 frozen, other decay, eval"]
    assert really.spec.freeze.mode == "eval"
    assert really.published is None


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ({"substitute": True}, "timm/tf_efficientnet_lite1 in place of resnet50"),
        ({"dataset": "digits"}, "dataset digits in place of hymenoptera"),
        ({"epochs": 3}, "3 epochs in place of 25"),
        ({"small": True}, "small scale"),
    ],
)
def test_a_run_done_otherwise_says_why_its_numbers_are_not_comparable(way: dict, why: str) -> None:
    runs = launchable(plan(load_recipe("s1-ants-and-bees"), **way))
    [found] = [run for run in runs if run.spec.name.startswith("7 frozen ResNet-50")][:1]
    assert found.published is not None
    assert not found.published.comparable
    assert why in found.published.differences
    [line] = found.published.lines()
    assert why in line
    assert "95.42" not in line
    assert line.startswith("Substitute: ") == bool(way.get("substitute"))


def test_data_that_stand_for_the_studys_make_its_numbers_incomparable() -> None:
    for run in launchable(plan(load_recipe("s2-inception-scenes"))):
        assert run.published is None or not run.published.comparable


def test_two_stages_keep_their_proportion_in_a_shorter_run() -> None:
    recipe = load_recipe("s3-scratch-or-transfer")
    name = "MobileNetV2 at 64 px in two stages"
    [whole] = [run.spec for run in launchable(plan(recipe)) if run.spec.name == name]
    shorter = launchable(plan(recipe, epochs=10))
    [short] = [run.spec for run in shorter if run.spec.name == name]
    assert (whole.freeze.schedule[0].epoch, whole.training.epochs) == (31, 60)
    assert (short.freeze.schedule[0].epoch, short.training.epochs) == (6, 10)
    with pytest.raises(InvalidInput, match="freeze"):
        plan(recipe, epochs=1)


def test_sections_of_all_runs_are_filled_in_and_a_runs_own_keys_win() -> None:
    common = {"optimizer": {"name": "adam", "lr": 0.01}, "training": {"epochs": 4}}
    recipe = as_recipe(
        {"dataset": "digits", "common": common, "runs": [{"optimizer": {"lr": 0.1}}]}
    )
    spec = parse_spec(recipe.specs[0])
    assert (spec.optimizer.name, spec.optimizer.lr) == ("adam", 0.1)
    assert (spec.dataset.name, spec.training.epochs) == ("digits", 4)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (
            {"runs": [{**RUN, "reported": [{"metric": "x", "value": 1, "kind": "measured"}]}]},
            "runs.0.reported.0.metric",
        ),
        (
            {"runs": [{**RUN, "reported": [{"metric": "accuracy", "value": 1, "kind": "x"}]}]},
            "runs.0.reported.0.kind",
        ),
        ({"runs": [RUN], "common": {"optimizer": {"lr": 30}}}, "runs.0.optimizer.lr"),
        ({"runs": [RUN], "substitute": {"resnet18": "resnet19"}}, "runs.0.model.architecture"),
        (
            {"runs": [{**RUN, "substitute": {"freeze": {"layers": "none"}}}]},
            "runs.0.substitute",
        ),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(data: dict, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        as_recipe(data)
    assert [error.field for error in caught.value.errors] == [field]


def test_the_recipes_in_the_documents_are_valid() -> None:
    text = (RECIPES.parent / "docs" / "recipes.md").read_text()
    [at_once, in_steps] = map(yaml_data, re.findall(r"```yaml\n(.*?)```", text, re.S))
    [run] = as_recipe(at_once).runs
    assert run.reported[0].value == 0.791
    assert [step.name for step in as_recipe(in_steps).steps] == ["sweep", "winner", "together"]
