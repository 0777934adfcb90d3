"""The names and notes that people give to what is saved: without space around, within limits."""

from __future__ import annotations

from trainer.errors import FieldError, InvalidInput

NAME_LIMIT = 200  # characters
NOTE_LIMIT = 20_000


def checked_name(text: str) -> str:
    """Return a name in one line.

    Raises:
        InvalidInput: If it is empty or too long.
    """
    name = " ".join(text.split())
    if not 1 <= len(name) <= NAME_LIMIT:
        raise InvalidInput.of(FieldError("name", name[:80], f"1 to {NAME_LIMIT} characters"))
    return name


def checked_note(text: str) -> str:
    """Return a note with plain ends of lines.

    Raises:
        InvalidInput: If it is too long.
    """
    note = text.replace("\r\n", "\n").strip()
    if len(note) > NOTE_LIMIT:
        raise InvalidInput.of(
            FieldError("note", f"{note[:80]}…", f"at most {NOTE_LIMIT} characters")
        )
    return note
