"""A run continued for more epochs is the run that its spec would be if it were trained afresh."""

from __future__ import annotations

import pytest

from tests.trainer.runs import numbers, of_kind, spec_with, train
from trainer.continuing import continued, is_continuation, needs_restart, reseeded
from trainer.errors import InvalidInput
from trainer.parsing import parse_spec


def spec(epochs=4, stop=None, **scheduler):
    training = {"epochs": epochs} | ({"stop_after_epochs": stop} if stop else {})
    changes = {f"scheduler__{key}": value for key, value in scheduler.items()}
    return parse_spec({**spec_with(**changes), "training": training, "name": "mine"})


@pytest.mark.parametrize(
    ("scheduler", "how"),
    [
        ({"name": "none"}, None),
        ({"name": "step", "step_epochs": 1}, "go_on"),
        ({"name": "cosine"}, "restart"),
        ({"name": "one_cycle", "max_lr": 0.01}, "restart"),
    ],
)
def test_a_continued_run_equals_one_of_its_spec(pictures, tmp_path, scheduler, how):
    asked = {**spec_with(training__epochs=2), "scheduler": scheduler}
    assert train(pictures, tmp_path / "parent", asked) == 0
    before = (tmp_path / "parent" / "events.jsonl").read_bytes()
    longer = continued(parse_spec(asked), 2, 2, how).model_dump(mode="json")
    child, afresh = tmp_path / "child", tmp_path / "afresh"
    assert train(pictures, child, longer, resume_from=tmp_path / "parent") == 0
    assert train(pictures, afresh, longer) == 0
    assert numbers(child) == numbers(afresh)
    assert of_kind(child, "run_started")[-1]["resumed_from_step"] == 8
    assert (tmp_path / "parent" / "events.jsonl").read_bytes() == before


def test_a_run_that_stopped_early_goes_on_without_early_stopping(pictures, tmp_path):
    asked = spec_with(training__epochs=6, training__stop_after_epochs=1, optimizer__lr=1e-6)
    asked["scheduler"] = {"name": "none"}
    assert train(pictures, tmp_path / "parent", asked) == 0
    done = len(of_kind(tmp_path / "parent", "epoch_finished"))
    assert done < 6, "the test needs a run that stops early"
    longer = continued(parse_spec(asked), done, 1).model_dump(mode="json")
    assert longer["training"]["stop_after_epochs"] is None
    assert train(pictures, tmp_path / "child", longer, resume_from=tmp_path / "parent") == 0
    assert len(of_kind(tmp_path / "child", "epoch_finished")) == done + 1


def test_schedules_planned_over_the_runs_length_have_ended():
    assert needs_restart(spec(name="cosine"), 4)
    assert needs_restart(spec(name="one_cycle", max_lr=0.1), 4)
    assert needs_restart(spec(name="cosine", t_max_epochs=4), 4)
    assert not needs_restart(spec(name="cosine", t_max_epochs=8), 4)
    for kind in ({"name": "none"}, {"name": "step"}, {"name": "exponential"}):
        assert not needs_restart(spec(**kind), 4)
    with pytest.raises(InvalidInput, match="restart: the cosine schedule has ended") as refused:
        continued(spec(name="cosine"), 4, 3)
    assert refused.value.errors[0].field == "schedule"
    again = continued(spec(name="cosine"), 4, 3, "restart")
    assert again.scheduler.restarts_after == (4,)
    assert (again.training.epochs, again.name) == (7, "mine, 7 epochs")
    once_more = continued(again, 7, 2, "restart")
    assert once_more.scheduler.restarts_after == (4, 7)
    assert once_more.name == "mine, 9 epochs"


def test_a_schedule_that_stopped_early_is_followed_to_its_end_and_no_further():
    stopped = spec(epochs=10, stop=2, name="cosine")
    followed = continued(stopped, 6, 4)
    assert (followed.training.epochs, followed.scheduler.restarts_after) == (10, ())
    for more, how in ((3, None), (5, None), (4, "restart")):
        with pytest.raises(InvalidInput):
            continued(stopped, 6, more, how)


def test_a_constant_rate_has_nothing_to_restart():
    with pytest.raises(InvalidInput, match="constant"):
        continued(spec(name="none"), 4, 2, "restart")


def test_time_limits_do_not_come_along():
    limited = spec_with(training__epochs=2, training__time_limit_minutes=5)
    limited["scheduler"] = {"name": "none"}
    assert continued(parse_spec(limited), 2, 1).training.time_limit_minutes is None


def test_only_what_continues_is_a_continuation():
    first = spec(name="none")
    longer = continued(first, 4, 2)
    assert is_continuation(first, longer, 4)
    assert not is_continuation(first, first, 4)
    changed = longer.model_dump(mode="json")
    changed["optimizer"]["lr"] = 0.5
    assert not is_continuation(first, parse_spec(changed), 4)


def test_other_seeds_are_named():
    one = reseeded(spec(), 7)
    assert (one.training.seed, one.name) == (7, "mine, seed 7")
    assert reseeded(one, 8).name == "mine, seed 8"
