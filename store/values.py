"""What every database can hold: text without NUL, JSON without NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

ID_LIMIT = 2**31 - 1
"""Largest row id of PostgreSQL's integer; a greater one cannot exist."""


def plain_text(text: str) -> str:
    """Return `text` with NUL and lone surrogates replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def plain_json(value: Any) -> Any:
    """Return `value` as JSON can hold it: NaN and infinities become None, text is made plain."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, Mapping):
        return {plain_text(str(key)): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        kinds = set(map(type, value))
        if kinds == {int} or (kinds == {float} and all(map(math.isfinite, value))):
            return value  # the long columns of a batch
        return [plain_json(item) for item in value]
    return value


def dump_json(value: Any) -> str:
    """Return the JSON text of a column's value."""
    return json.dumps(plain_json(value), ensure_ascii=False, separators=(",", ":"))


def is_id(value: int) -> bool:
    """Return whether a row of that id could exist."""
    return 0 < value <= ID_LIMIT
