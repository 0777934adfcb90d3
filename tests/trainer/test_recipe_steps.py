"""Steps of a recipe: what is refused, which specs a later run may have, how they are launched."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.errors import InvalidInput
from trainer.planning import launchable, plan
from trainer.recipes import Recipe, as_recipe, load_recipe

COMMON: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 20},
}
SWEEP: dict[str, Any] = {
    "name": "sweep",
    "runs": [
        {"name": f"dropout {share}", "model": {"head": {"dropout": share}}} for share in (0.1, 0.3)
    ],
}
BEST = "best_of(sweep, best_val_accuracy)"
WINNER: dict[str, Any] = {"name": "winner", "runs": [{"from": BEST, "training": {"epochs": 50}}]}


def recipe(*steps: dict[str, Any], **more: Any) -> Recipe:
    return as_recipe({"common": COMMON, "steps": list(steps), **more})


def test_a_later_run_has_a_spec_for_each_run_that_may_be_chosen() -> None:
    [_, winner] = plan(recipe(SWEEP, WINNER))
    assert winner.after == ("sweep",)
    [run] = winner.runs
    found = [
        (one.spec.name, one.spec.model.head.dropout, one.spec.training.epochs)
        for one in run.options
    ]
    assert found == [("dropout 0.1, winner", 0.1, 50), ("dropout 0.3, winner", 0.3, 50)]
    assert [one.parent for one in run.options] == [0, 1]
    assert run.changes == ("training.epochs 50",)


def test_the_common_sections_are_not_put_over_what_was_chosen() -> None:
    sweep = {"name": "sweep", "runs": [{"optimizer": {"lr": 0.5}}]}
    winner = {"name": "winner", "runs": [{"from": BEST, "optimizer": {"momentum": 0.1}}]}
    made = recipe(sweep, winner, common={**COMMON, "optimizer": {"lr": 0.01, "name": "sgd"}})
    [option] = plan(made)[1].runs[0].options
    assert (option.spec.optimizer.lr, option.spec.optimizer.momentum) == (0.5, 0.1)


def test_what_is_changed_at_launch_is_passed_on() -> None:
    made = recipe(SWEEP, WINNER)
    [_, winner] = plan(made, epochs=4, dataset="cifar10")
    for option in winner.runs[0].options:
        assert option.spec.training.epochs == 10  # two and a half times as long, as in the file
        assert option.spec.dataset.name == "cifar10"
    [sweep, winner] = plan(made, small=True)
    specs = [option.spec for option in (*sweep.options, *winner.options)]
    assert {spec.training.epochs for spec in specs} == {2}
    assert all(spec.dataset.train_count == 128 for spec in specs)
    assert all("small scale" in spec.name for spec in specs)


def test_a_substitute_is_passed_on_and_so_is_that_it_is_one() -> None:
    sweep = {
        "name": "sweep",
        "runs": [{"model": {"architecture": "resnet18"}, "freeze": {"layers": "backbone"}}],
    }
    reported = [{"metric": "accuracy", "value": 0.5, "kind": "measured"}]
    winner = {"name": "winner", "runs": [{"from": BEST, "reported": reported}]}
    made = recipe(
        sweep,
        winner,
        common={"dataset": {"name": "digits"}},
        substitute={"resnet18": "timm/tf_efficientnet_lite0"},
    )
    [option] = plan(made, substitute=True)[1].runs[0].options
    assert option.spec.model.architecture == "timm/tf_efficientnet_lite0"
    assert option.published is not None
    assert option.published.substitute


def test_each_seed_goes_through_the_steps_by_itself() -> None:
    steps = plan(recipe(SWEEP, WINNER), seeds=2)
    assert [(step.name, step.after) for step in steps] == [
        ("sweep, repetition 1", ()),
        ("winner, repetition 1", ("sweep, repetition 1",)),
        ("sweep, repetition 2", ()),
        ("winner, repetition 2", ("sweep, repetition 2",)),
    ]
    assert {run.spec.training.seed for run in steps[3].options} == {1}
    origin = steps[3].runs[0].origin
    assert origin is not None
    assert origin.step == "sweep, repetition 2"


def test_the_fifth_studys_numbers_compare_only_if_its_winner_won() -> None:
    [_, _, winner] = plan(load_recipe("s5-cifar10"))
    by_dropout = {
        option.spec.model.head.dropout: option.published for option in winner.runs[0].options
    }
    assert {share: one.comparable for share, one in by_dropout.items() if one} == {
        0.1: False,
        0.2: False,
        0.3: True,
        0.4: False,
    }
    assert by_dropout[0.1].lines() == (
        "not comparable with what was reported: model.head.dropout 0.1 in place of 0.3.",
    )
    assert {(o.spec.training.epochs, o.spec.training.batch_size) for o in winner.options} == {
        (50, 128)
    }


def test_the_third_study_votes_at_last() -> None:
    made = load_recipe("s3-scratch-or-transfer")
    vote = plan(made)[-1].vote
    assert vote is not None
    names = [made.steps[0].runs[number].name for _, number in vote.voters]
    assert names[vote.preferred] == "ResNet-50 at 224 px in two stages"
    assert vote.published is not None
    assert vote.published.reported[0].value == 0.9188
    assert not vote.published.comparable  # its photos cannot be had
    small = plan(made, small=True, substitute=True)[-1].vote
    assert small is not None
    assert small.published is not None
    assert small.published.substitute
    assert "small scale" in small.published.differences


VOTE: dict[str, Any] = {"name": "vote", "vote": {"of": ["sweep"]}}


@pytest.mark.parametrize(
    ("steps", "field", "words"),
    [
        ([SWEEP, {**SWEEP}], "steps.1.name", "no other step"),
        ([{"name": "x"}], "steps.0.runs", "vote"),
        ([{**SWEEP, **VOTE}], "steps.0.runs", "one of the two"),
        ([{**SWEEP, "after": ["winner"]}, WINNER], "steps.0.after.0", "before"),
        ([{**SWEEP, "after": ["sweep"]}], "steps.0.after.0", "before"),
        ([SWEEP, {**WINNER, "after": ["swep"]}], "steps.1.after.0", "`sweep`"),
        ([SWEEP, {**WINNER, "after": []}], "steps.1.runs.0.from", "Add `sweep`"),
        ([WINNER], "steps.0.runs.0.from", "earlier step"),
        ([SWEEP, {**SWEEP, "name": "b", "runs": [{"from": 3}]}], "steps.1.runs.0.from", "string"),
        (
            [SWEEP, {"name": "b", "runs": [{"from": "the best"}]}],
            "steps.1.runs.0.from",
            "best_of(STEP, METRIC)",
        ),
        (
            [SWEEP, {"name": "b", "runs": [{"from": "best_of(sweep, best_val_acuracy)"}]}],
            "steps.1.runs.0.from",
            "`best_val_accuracy`",
        ),
        (
            [SWEEP, {"name": "b", "runs": [{"from": "best_of(swep, test_loss)"}]}],
            "steps.1.runs.0.from",
            "`sweep`",
        ),
        (
            [SWEEP, {"name": "b", "runs": [{"from": BEST, "optimizer": {"lr": 3000}}]}],
            "steps.1.runs.0.optimizer.lr",
            "dropout 0.1",
        ),
        (
            [SWEEP, {"name": "b", "runs": [{"from": BEST, "colour": 1}]}],
            "steps.1.runs.0.colour",
            "known key",
        ),
        (
            [SWEEP, {"name": "b", "runs": [{"from": BEST, "reported_with": {"model": {"x": 1}}}]}],
            "steps.1.runs.0.reported_with.model.x",
            "a field of the spec",
        ),
        ([SWEEP, {**VOTE, "vote": {"of": ["dropout 0.2"]}}], "steps.1.vote.of.0", "dropout 0.1"),
        ([SWEEP, {**VOTE, "vote": {"of": ["dropout 0.1"]}}], "steps.1.vote.of", "2 to 50"),
        (
            [SWEEP, {**VOTE, "vote": {"of": ["sweep"], "preferred": "x"}}],
            "steps.1.vote.preferred",
            "votes",
        ),
        (
            [
                {"name": "twins", "runs": [{"name": "a"}, {"name": "a"}]},
                {**VOTE, "vote": {"of": ["a"]}},
            ],
            "steps.1.vote.of.0",
            "Several runs",
        ),
        ([SWEEP, VOTE, {"name": "b", "runs": [{"from": "best_of(vote, test_loss)"}]}], None, ""),
        ([{**SWEEP, "when_failed": "pause"}], "steps.0.when_failed", "continue"),
    ],
)
def test_what_is_wrong_with_a_step_is_named(
    steps: list[dict[str, Any]], field: str | None, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        recipe(*steps)
    assert [error.field for error in caught.value.errors] == [field or "steps.2.runs.0.from"]
    assert words in str(caught.value)


def test_a_step_that_is_wrong_is_not_held_against_those_that_refer_to_it() -> None:
    wrong = {**SWEEP, "runs": [{"optimizer": {"lr": 3000}}]}
    with pytest.raises(InvalidInput) as caught:
        recipe(wrong, WINNER, VOTE)
    assert [error.field for error in caught.value.errors] == ["steps.0.runs.0.optimizer.lr"]


def test_runs_and_steps_exclude_each_other_and_flat_runs_begin_with_none() -> None:
    with pytest.raises(InvalidInput, match="left out beside `runs`"):
        recipe(SWEEP, runs=[{}])
    with pytest.raises(InvalidInput) as caught:
        as_recipe({"common": COMMON, "runs": [{"from": BEST}]})
    assert [error.field for error in caught.value.errors] == ["runs.0.from"]


def test_choices_upon_choices_are_bounded() -> None:
    many = {"name": "s0", "runs": [{"training": {"seed": seed}} for seed in range(12)]}
    steps = [many]
    for number in (1, 2):
        origin = f"best_of(s{number - 1}, test_loss)"
        runs = [{"from": origin, "training": {"batch_size": size}} for size in range(1, 11)]
        steps.append({"name": f"s{number}", "runs": runs})
    with pytest.raises(InvalidInput) as caught:
        recipe(*steps)
    assert [error.field for error in caught.value.errors] == ["steps.2.runs"]


def test_repetitions_are_bounded_as_well() -> None:
    many = {"name": "s", "runs": [{"training": {"seed": seed}} for seed in range(101)]}
    with pytest.raises(InvalidInput) as caught:
        plan(recipe(many), seeds=10)
    assert [error.field for error in caught.value.errors] == ["seeds"]


def test_more_differences_than_can_be_told_are_cut() -> None:
    runs = [
        {"name": f"{epochs}", "training": {"epochs": epochs}, "augmentation": {"preset": "none"}}
        for epochs in range(3, 33)
    ]
    reported = [{"metric": "accuracy", "value": 0.5, "kind": "measured"}]
    vote = {"name": "vote", "vote": {"of": ["s"], "reported": reported}}
    planned = plan(recipe({"name": "s", "runs": runs}, vote), epochs=2)[-1].vote
    assert planned is not None
    assert planned.published is not None
    assert len(planned.published.differences) == 20


def test_a_vote_may_name_a_run_that_begins_with_a_choice() -> None:
    named = {**WINNER, "runs": [{**WINNER["runs"][0], "name": "the winner"}]}
    vote = {"name": "vote", "vote": {"of": ["dropout 0.1", "the winner"], "method": "mean"}}
    planned = plan(recipe(SWEEP, named, vote))[-1].vote
    assert planned is not None
    assert planned.voters == (("sweep", 0), ("winner", 0))
    assert len(launchable(plan(recipe(SWEEP, named, vote)))) == 4
