"""What a person changes of a dataset: its name, title and description; and what uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from store.database import Store
from store.datasets import check_name, get_dataset
from store.rows import DatasetRow
from store.states import TERMINAL
from store.tables import DATASETS, RUNS
from trainer.errors import Conflict, FieldError, InvalidInput

TITLE_LIMIT = 200
DESCRIPTION_LIMIT = 10_000
"""Characters."""
NAMED_RUNS = 10
"""Live runs that are named one by one."""


@dataclass(frozen=True)
class DatasetUse:
    """Which runs use a dataset."""

    runs: int
    """All of them, of whatever state."""
    live: tuple[int, ...]
    """Numbers of those that have not ended and that our workers train: at most the first ten."""
    live_total: int


def change_dataset(
    store: Store,
    name: str,
    *,
    new_name: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> DatasetRow:
    """Rename or describe a dataset, all or nothing, and return it; None leaves a part as it is.

    Its runs go with a new name, whatever their state; the old name goes on leading to it, as
    specs and people's files still say so, until another dataset takes that name.

    Raises:
        NotFound: If there is none of that name.
        InvalidInput: If the new name cannot be one, or a text is too long.
        Conflict: If the new name is taken, or the dataset is being prepared.
    """
    if new_name is not None:
        check_name(new_name)
    texts = _texts(title=title, description=description)
    found = get_dataset(store, name)
    is_renamed = new_name not in {None, found.name}
    values: dict[str, Any] = dict(texts)
    if is_renamed:
        former = [old for old in found.former_names if old not in {new_name, found.name}]
        values |= {"name": new_name, "former_names": [*former, found.name]}
    if not values:
        return found
    where = (DATASETS.c.id == found.id) & (DATASETS.c.name == found.name)
    if is_renamed:
        where &= DATASETS.c.status != "preparing"
    try:
        with store.write() as conn:
            row = conn.execute(
                update(DATASETS).where(where).values(**values).returning(*DATASETS.c)
            ).one_or_none()
            if row is None:
                raise Conflict(
                    f"Dataset `{found.name}` is being prepared, or was changed just now.",
                    "Wait for the end of its preparation, then rename it.",
                )
            if is_renamed:
                conn.execute(
                    update(RUNS)
                    .where(RUNS.c.dataset_name == found.name)
                    .values(dataset_name=new_name)
                )
    except IntegrityError as error:
        raise Conflict(
            f"There is a dataset `{new_name}` already.", "Choose another name."
        ) from error
    return DatasetRow(**row._mapping)


def _texts(**given: str | None) -> dict[str, str]:
    """Return the texts that are given, without space around them.

    Raises:
        InvalidInput: If one is too long.
    """
    limits = {"title": TITLE_LIMIT, "description": DESCRIPTION_LIMIT}
    errors = [
        FieldError(field, f"{len(text):,} characters", f"at most {limits[field]:,}", "Shorten it.")
        for field, text in given.items()
        if text is not None and len(text) > limits[field]
    ]
    if errors:
        raise InvalidInput.of(*errors)
    return {field: text.strip() for field, text in given.items() if text is not None}


def dataset_use(store: Store, name: str) -> DatasetUse:
    """Return which runs use the dataset of that (current) name."""
    ended = [str(status) for status in TERMINAL]
    is_live = RUNS.c.status.not_in(ended) & ~RUNS.c.external
    with store.read() as conn:
        count = select(func.count()).select_from(RUNS).where(RUNS.c.dataset_name == name)
        live = conn.scalars(
            select(RUNS.c.id)
            .where(RUNS.c.dataset_name == name, is_live)
            .order_by(RUNS.c.id)
            .limit(NAMED_RUNS)
        ).all()
        return DatasetUse(
            runs=conn.scalar(count) or 0,
            live=tuple(live),
            live_total=conn.scalar(count.where(is_live)) or 0,
        )


def finished_upload(store: Store, upload_id: str) -> DatasetRow | None:
    """Return the dataset that a finished upload became; None if there is none."""
    with store.read() as conn:
        row = conn.execute(
            select(DATASETS).where(
                DATASETS.c.kind == "upload",
                DATASETS.c.source.startswith(f"{upload_id}-", autoescape=True),
            )
        ).one_or_none()
    return None if row is None else DatasetRow(**row._mapping)
