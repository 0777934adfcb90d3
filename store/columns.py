"""What the tables are made with: a type for texts, and the defaults of a new row."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Text, TypeDecorator
from sqlmodel import SQLModel

from store.values import plain_text


class PlainText(TypeDecorator[str]):
    """Text that every database accepts: PostgreSQL refuses NUL, neither takes lone surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return `value` with the characters replaced that cannot be stored."""
        return None if value is None else plain_text(value)


def fresh(model: type[SQLModel], **values: Any) -> dict[str, Any]:
    """Return the columns of a new row: the model's defaults under `values`."""
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if name != "id" and not field.is_required()
    }
    return {**defaults, **values}
