"""Filters, orders and pages of the run list, on both databases."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from operator import eq, ge, lt
from typing import Any

import pytest
from sqlalchemy import update

from store import runs
from store.database import Store
from store.labels import archive, change_tags, pin
from store.lifecycle import finish, record
from store.query_language import FilterError, parse_filter
from store.run_fields import RunFields, run_fields
from store.run_list import count_runs, list_runs, matching_ids, order_of, wanted_runs
from store.studies import create_study
from store.tables import RUNS
from tests.store.helpers import claimed, epoch, evaluated, ready_dataset, started
from trainer.errors import InvalidInput
from trainer.parsing import parse_spec


def _spec(name: str, **sections: object) -> object:
    return parse_spec(
        {
            "name": name,
            "dataset": {"name": "digits"},
            "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
            **sections,
        }
    )


@pytest.fixture
def listed(store: Store) -> Store:
    """Five runs: a succeeded, b failed, c queued and in a study, d archived, e queued."""
    ready_dataset(store)
    a, _ = runs.create_run(store, _spec("a", optimizer={"lr": 0.1}), owner="ann", note="50% là")
    claim = claimed(store)
    events = [started(), epoch(1, val_accuracy=0.5), epoch(2, val_accuracy=0.9), evaluated()]
    record(store, a.id, claim.attempt, lease_s=60, events=events)
    finish(store, a.id, claim.attempt, "succeeded")
    b, _ = runs.create_run(
        store,
        _spec("b", optimizer={"name": "sgd", "momentum": 0.5}, training={"deterministic": False}),
        owner="bob",
    )
    claim = claimed(store)
    record(store, b.id, claim.attempt, lease_s=60, events=[epoch(1, val_accuracy=0.4)])
    finish(store, b.id, claim.attempt, "failed", {"title": "No memory", "detail": "", "remedy": ""})
    create_study(store, "Ladder 1", "ann", [_spec("c", model=_HEAD)])
    d, _ = runs.create_run(store, _spec("d"), owner="ann")
    runs.create_run(store, _spec("e"), owner='o"brien')
    with store.write() as conn:
        conn.execute(update(RUNS).where(RUNS.c.id == d.id).values(status="cancelled"))
    assert archive(store, [a.id, d.id, 99]) == [a.id, d.id]
    archive(store, [a.id], shelved=False)
    change_tags(store, [a.id, b.id], add=["paper", "week 48"])
    change_tags(store, [b.id], remove=["paper"])
    pin(store, a.id)
    return store


_HEAD = {"architecture": "resnet18", "weights": "none", "head": {"hidden": [256, 64]}}

FOUND = {
    "": "abce",
    "status = failed": "b",
    "STATUS = Failed": None,  # names are as they are written
    "status in (failed, queued)": "bce",
    "not status = failed": "ace",
    "status != failed": "ace",
    "tag = paper": "a",
    "tag ~ week": "ab",
    "tag != paper": "bce",
    "tag = unset": "ce",
    "owner = ann": "ac",
    'owner = "o\\"brien"': "e",
    "dataset = digits and owner = bob": "b",
    "architecture = resnet18": "c",
    "architecture ~ CNN": "abe",
    "name = a": "a",
    'note ~ "50% L"': "a",
    "note contains 50%": "a",
    "note ~ 5%": "",
    '"week 48"': "ab",
    '"#1"': "a",
    "study = unset": "abe",
    'study ~ ladder or study = "Ladder 1"': "c",
    "study = 1": "c",
    "study != 1": "abe",
    "optimizer.lr < 0.01": "bce",
    "lr >= 1e-1": "a",
    "optimizer.lr = 10%": "a",
    "optimizer.momentum = 0.5": "b",
    "optimizer.momentum = unset": "ace",
    "optimizer.momentum != 0.5": "ace",
    "not optimizer.momentum < 1": "ace",
    "optimizer.momentum in (unset, 0.5)": "abce",
    "training.deterministic = no": "b",
    "training.deterministic": "ace",
    "not training.deterministic": "b",
    "model.weights = none": "abce",
    "model.head.hidden ~ 256": "c",
    "model.head.hidden = unset": "abe",
    "model.head.hidden ~ l": "",  # what is kept of an unset one is no text
    "val_accuracy > 0.8": "a",
    "best_val_accuracy = 90%": "a",
    "last_val_accuracy <= 0.9": "ab",
    "min_val_accuracy < 45%": "b",
    "best_epoch_val_accuracy = 2": "a",
    "best_val_accuracy = unset": "ce",
    "not best_val_accuracy > 0.8": "bce",
    "val.accuracy = 0.75 and val.loss < 1": "a",
    "test.accuracy > 0": "",
    "parameters = 100": "a",
    "device = cpu": "a",
    "error ~ memory": "b",
    "epoch > 1": "a",
    "attempts = 0": "ce",
    "id > 2.5 and id < 1e30": "ce",
    "created > 1h and created < 2100-01-01": "abce",
    "created < 2020-01-01T10:30": "",
    "finished > 1d": "ab",
    "elapsed < 10min or elapsed = unset": "abce",
    "pinned": "a",
    "not pinned": "bce",
    "archived": "d",
    "archived = no": "abce",
    "archived or pinned": "ad",
    "external = no": "abce",
    "lr > 0.01 or (status = failed and (tag = paper or tag = 'week 48'))": "ab",
    "not (status = failed or status = queued)": "a",
    "not not status = failed": "b",
    "status = failed or status = queued and name = e": "be",
}


def test_filters_find_what_they_say(listed: Store) -> None:
    fields = run_fields(listed)
    for text, names in FOUND.items():
        if names is None:
            with pytest.raises(FilterError):
                parse_filter(text, fields)
            continue
        wanted = wanted_runs(fields, filter=text)
        page = list_runs(listed, wanted)
        assert "".join(sorted(run.name for run in page.rows)) == names, text
        assert count_runs(listed, wanted) == len(names), text
        assert len(matching_ids(listed, wanted, 10)) == len(names), text


RUN_FACTS: dict[str, dict[str, object]] = {
    "a": {"optimizer.lr": 0.1, "val_accuracy": 0.9, "tag": {"paper", "week 48"}, "owner": "ann"},
    "b": {"optimizer.momentum": 0.5, "val_accuracy": 0.4, "tag": {"week 48"}, "owner": "bob"},
    "c": {"model.architecture": "resnet18", "owner": "ann"},
    "e": {"owner": 'o"brien'},
}
"""What the runs of `listed` differ in; d is archived."""
SAME: dict[str, object] = {
    "optimizer.lr": 0.001,
    "optimizer.momentum": None,
    "model.architecture": "tuneboard/small_cnn",
    "val_accuracy": None,
    "val.accuracy": None,
    "epochs": 3,
    "tag": frozenset(),
}
NUMBERS = ("0.001", "0.1", "0.4", "0.5", "0.75", "0.9", "3")
TEXTS = ("paper", "week", "ann", "resnet18", "cnn")


def _made_up(chance: random.Random, depth: int) -> tuple[str, Callable[[dict[str, Any]], bool]]:
    """Return a filter, and whether a run of such facts matches it."""
    if depth:
        parts = [_made_up(chance, depth - 1) for _ in range(chance.randint(1, 3))]
        word, join = chance.choice((("and", all), ("or", any)))
        texts, tests = zip(*parts, strict=True)
        text = f"({f' {word} '.join(texts)})"
        if chance.random() < 0.3:
            return f"not {text}", lambda facts: not join(test(facts) for test in tests)
        return text, lambda facts: join(test(facts) for test in tests)
    name = chance.choice([*SAME, "owner"])
    if name in {"tag", "owner", "model.architecture"}:
        word = chance.choice(TEXTS)
        if chance.random() < 0.5:
            return f"{name} ~ {word}", lambda facts: any(word in one for one in _texts(facts[name]))
        return f"{name} != {word}", lambda facts: word not in _texts(facts[name])
    if chance.random() < 0.2:
        return f"{name} = unset", lambda facts: facts[name] is None
    number = chance.choice(NUMBERS)
    sign, compare = chance.choice((("<", lt), (">=", ge), ("=", eq)))
    return (
        f"{name} {sign} {number}",
        lambda facts: facts[name] is not None and compare(facts[name], float(number)),
    )


def _texts(value: Any) -> Collection[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_made_up_filters_find_what_python_finds(listed: Store, depth: int) -> None:
    fields = run_fields(listed)
    facts = {name: {**SAME, **own} for name, own in RUN_FACTS.items()}
    facts["a"]["val.accuracy"] = 0.75
    chance = random.Random(depth)  # noqa: S311 - filters, not secrets
    for _ in range(40):
        text, matches = _made_up(chance, depth)
        names = [name for name in "ecba" if matches(facts[name])]
        page = list_runs(listed, wanted_runs(fields, filter=text), limit=2, count=True)
        assert ([run.name for run in page.rows], page.total) == (names[:2], len(names)), text


def test_a_filter_of_more_fields_than_sqlite_joins_is_answered(listed: Store) -> None:
    fields = run_fields(listed)
    spec = {short: fields.by_name[name] for short, name in fields.short.items()}
    names = sorted((name for name, one in spec.items() if one.kind != "flag"), key=len)
    measured = [name for name, one in fields.by_name.items() if one.source == "metric"]
    unset = " or ".join(f"{name}=unset" for name in [*names[:55], *measured[:15]])
    found = list_runs(listed, wanted_runs(fields, filter=f"name=b and ({unset})"), count=True)
    assert ([run.name for run in found.rows], found.total) == (["b"], 1)


def test_the_number_that_match_is_the_same_on_every_page(listed: Store) -> None:
    wanted = wanted_runs(run_fields(listed), filter="owner != bob")
    first = list_runs(listed, wanted, limit=2, count=True)
    last = list_runs(listed, wanted, limit=2, cursor=first.next_cursor, count=True)
    beyond = list_runs(listed, wanted, limit=2, cursor="1", count=True)
    assert [len(page.rows) for page in (first, last, beyond)] == [2, 1, 0]
    assert [page.total for page in (first, last, beyond)] == [3, 3, 3]
    assert list_runs(listed, wanted).total is None
    assert list_runs(listed, limit=1, count=True).total == 4


def test_other_arguments_narrow_a_filter(listed: Store) -> None:
    fields = run_fields(listed)
    wanted = wanted_runs(fields, filter="owner = ann", status="succeeded", text="PAPER")
    assert [run.name for run in list_runs(listed, wanted).rows] == ["a"]
    shelves = {"no": 4, "yes": 1, "all": 5}
    for archived, count in shelves.items():
        assert len(list_runs(listed, archived=archived).rows) == count


SORTS = [
    "id",
    "-id",
    "name",
    "-name",
    "status",
    "-owner",
    "created",
    "-elapsed",
    "optimizer.lr",
    "-optimizer.momentum",
    "architecture",
    "training.deterministic",
    "-best_val_accuracy",
    "best_val_accuracy",
    "val.accuracy",
    "study",
    "-parameters",
    "-pinned",
    "device",
    "model.head.hidden",
]


def test_pages_of_every_order_hold_each_run_once(listed: Store) -> None:
    fields = run_fields(listed)
    for sort in SORTS:
        order = order_of(sort, fields)
        whole = [run.id for run in list_runs(listed, None, order).rows]
        assert sorted(whole) == [1, 2, 3, 5], sort
        for limit in (1, 3):
            seen: list[int] = []
            cursor = None
            while True:
                page = list_runs(listed, None, order, limit=limit, cursor=cursor)
                seen += [run.id for run in page.rows]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert seen == whole, (sort, limit)


def test_orders_put_the_missing_last_and_ties_newest_first(listed: Store) -> None:
    def names(sort: str) -> str:
        order = order_of(sort, run_fields(listed))
        return "".join(run.name for run in list_runs(listed, None, order).rows)

    assert names("-best_val_accuracy") == "abec"
    assert names("best_val_accuracy") == "baec"
    assert names("-lr") == "aecb"
    assert names("-optimizer.momentum") == "beca"
    assert names("architecture") == "ceba"
    assert names("name") == "abce"


def test_a_cursor_of_another_order_is_refused(listed: Store) -> None:
    fields = run_fields(listed)
    by_name = list_runs(listed, None, order_of("name", fields), limit=1).next_cursor
    for order, cursor in [("-name", by_name), ("id", by_name), ("name", "3"), ("name", "é=")]:
        with pytest.raises(InvalidInput, match="cursor"):
            list_runs(listed, None, order_of(order, fields), cursor=cursor)


@pytest.mark.parametrize("sort", ["", "speed", "tag", "curve_val_accuracy", "--name"])
def test_what_cannot_be_sorted_by_is_refused(sqlite_store: Store, sort: str) -> None:
    with pytest.raises(InvalidInput, match="sort"):
        order_of(sort, run_fields(sqlite_store))


MISTAKES = [
    ("optimizer.lrr < 1", "optimizer.lrr", "Did you mean `optimizer.lr`"),
    ("best_val_acuracy > 1", "best_val_acuracy", "Did you mean `best_val_accuracy`"),
    ("status = faild", "faild", "failed"),
    ("status < failed", "<", "= != ~ in"),
    ("optimizer.lr ~ 1", "~", "= != < <= > >= in"),
    ("optimizer.lr < small", "small", "For example 0.01, 1e-3 or 90%"),
    ("optimizer.lr <", "", "a number"),
    ("optimizer.lr", "", "a comparison after"),
    ("lr < 1 adn tag = x", "adn", "`and`, `or` or the end"),
    ("lr < 1 and", "", "a comparison"),
    ("(lr < 1", "", "`)`"),
    ("lr < 1)", ")", "There is no ("),
    ("tag = 'paper", "'paper", "closed quotation"),
    ("tag in paper", "paper", "`(`"),
    ("tag in (a b)", "b", "`,` or `)`"),
    ("tag in ()", ")", "a text"),
    ("created > yesterday", "yesterday", "2026-11-20"),
    ("archived = maybe", "maybe", "yes or no"),
    ("lr ! 1", "!", "Not equal is written !="),
    ("curve_val_accuracy > 1", "curve_val_accuracy", "a field or a metric"),
    ("and", "and", "a comparison"),
    ("not", "", "a comparison"),
    ("(" * 60 + "pinned" + ")" * 60, "(", "at most 40 levels"),
]


@pytest.fixture(scope="module")
def fields(sqlite_template: object, tmp_path_factory: pytest.TempPathFactory) -> RunFields:
    from store.database import open_store

    store = open_store(f"sqlite:///{sqlite_template}")
    found = run_fields(store)
    store.dispose()
    return found


@pytest.mark.parametrize(("text", "wrong", "told"), MISTAKES)
def test_a_mistake_is_pointed_at_and_told(
    fields: RunFields, text: str, wrong: str, told: str
) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text, fields)
    error = caught.value
    assert text[error.start : error.end].rstrip() == wrong
    assert told in f"{error.problem.expected} {error.problem.remedy}"
    assert error.detail.splitlines()[-1].index("^") == error.start
    (problem,) = error.errors
    assert problem.field == "filter"


def test_a_filter_may_not_be_endless(fields: RunFields) -> None:
    with pytest.raises(FilterError, match="2000 characters"):
        parse_filter("x" * 2001, fields)
    assert parse_filter("  ", fields) is None
