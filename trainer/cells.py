"""Cells of CSV files that no spreadsheet takes for formulas."""

from __future__ import annotations

from typing import Any

_STARTS = tuple("=+-@\t\r\n＝＋－＠")


def harmless(value: Any) -> Any:
    """Return a cell's value so that no spreadsheet takes it for a formula.

    Text that begins like one gets an apostrophe before it, as spreadsheets hide it themselves;
    numbers stay numbers, also those that came as text.
    """
    if not isinstance(value, str) or not value.lstrip(" ").startswith(_STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
