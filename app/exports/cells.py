"""Tables as Markdown that shows every text as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# What Markdown reads as marks anywhere, at the start of a text, and between the colons of an emoji.
_MARKED = re.compile(r"([\\`*_\[\]|~$]|^[#+=-]|:(?=\w+:)|^\d{1,9}(?=[.)](?:\s|$)))")


def markdown_text(text: str) -> str:
    """Return `text` on one line so that Markdown shows its characters as they are."""
    flat = " ".join(text.split())
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(character, name)
    return _MARKED.sub(_escaped, flat)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    return f"{found}\\" if found.isdigit() else f"\\{found}"  # `1.` begins a list, `1\.` does not


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are shown as they are."""
    shown = [[markdown_text(cell) for cell in row] for row in (columns, *rows)]
    shown.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(row)} |" for row in shown)
