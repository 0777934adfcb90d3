from __future__ import annotations

import pytest

from store import comparisons
from store.database import Store
from trainer.errors import NotFound


def test_a_comparison_is_saved_changed_and_forgotten(store: Store) -> None:
    saved = comparisons.save_comparison(store, "frozen 🐜", "run=1&run=2", "ann", "why\x00")
    assert comparisons.get_comparison(store, saved.id) == saved
    assert (saved.name, saved.note, saved.query) == ("frozen 🐜", "why\ufffd", "run=1&run=2")
    changed = comparisons.change_comparison(store, saved.id, name="tuned", note="")
    assert (changed.name, changed.note, changed.query) == ("tuned", "", "run=1&run=2")
    assert changed.created_at == saved.created_at
    assert changed.updated_at >= saved.updated_at
    comparisons.delete_comparison(store, saved.id)
    assert comparisons.list_comparisons(store) == []


def test_the_one_changed_last_comes_first(store: Store) -> None:
    first = comparisons.save_comparison(store, "first", "run=1", "ann")
    second = comparisons.save_comparison(store, "second", "run=2", "ann")
    assert [row.id for row in comparisons.list_comparisons(store)] == [second.id, first.id]
    store.clock = lambda: second.updated_at + 5
    comparisons.change_comparison(store, first.id, query="run=3")
    assert [row.id for row in comparisons.list_comparisons(store)] == [first.id, second.id]


@pytest.mark.parametrize("comparison_id", [0, 4, 2**40])
def test_an_unknown_comparison_says_so(store: Store, comparison_id: int) -> None:
    with pytest.raises(NotFound, match="no saved comparison"):
        comparisons.get_comparison(store, comparison_id)
    with pytest.raises(NotFound):
        comparisons.change_comparison(store, comparison_id, name="x")
    with pytest.raises(NotFound):
        comparisons.delete_comparison(store, comparison_id)
