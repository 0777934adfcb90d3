"""The filter language of the run list: text becomes a typed tree, or an error with a place.

    optimizer.lr < 0.01 and best_val_accuracy > 90% and (tag = paper or not status = failed)

Which names there are comes from the caller (`store.run_fields`); what the tree means in SQL is
said in `store.filters`. Nothing here knows a database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from store.run_fields import RunField, RunFields
from trainer.errors import FieldError, InvalidInput, nearest

LENGTH_LIMIT = 2_000  # characters
DEPTH_LIMIT = 40  # of parentheses and `not`: far beyond reading, far below Python's own stack
LIST_LIMIT = 200  # values in one `in (…)`

Op = Literal["=", "<", "<=", ">", ">=", "~", "in"]


@dataclass(frozen=True)
class Ago:
    """A moment, so many seconds before the question is asked."""

    seconds: float


Value = float | str | bool | Ago | None
"""None is `unset`: the field has no value."""


@dataclass(frozen=True)
class Comparison:
    """One field held against one value, or several of `in`."""

    field: RunField
    op: Op
    values: tuple[Value, ...]


@dataclass(frozen=True)
class TextSearch:
    """A quoted text alone: part of the name, the note or a tag."""

    text: str


@dataclass(frozen=True)
class Not:
    """What `part` leaves out."""

    part: Filter


@dataclass(frozen=True)
class Both:
    """All of `parts`."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Either:
    """Any of `parts`."""

    parts: tuple[Filter, ...]


Filter = Comparison | TextSearch | Not | Both | Either


class FilterError(InvalidInput):
    """A filter that cannot be read; `start` and `end` are characters of its text."""

    title = "The filter cannot be read"

    def __init__(self, text: str, start: int, end: int, expected: str, remedy: str = "") -> None:
        self.text, self.start, self.end = text, start, max(end, start + 1)
        found = text[start:end]
        self.problem = FieldError(
            "filter",
            found or "the end",
            f"{expected} at character {start + 1}",
            remedy,
        )
        arrow = " " * start + "^" * (self.end - start)
        super().__init__(f"{self.problem}\n{text}\n{arrow}", errors=[self.problem])


@dataclass(frozen=True)
class _Token:
    kind: Literal["word", "text", "op", "(", ")", ",", "end"]
    value: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The word in lower case; empty for all else, a quoted one too."""
        return self.value.lower() if self.kind == "word" else ""


_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<op>==|!=|<>|!~|<=|>=|=|<|>|~)|(?P<mark>[(),])"""
    r"""|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[^\s()<>=!~,"']+)""",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(%?)", re.IGNORECASE)
_SPAN = re.compile(r"(\d+\.?\d*)(s|min|h|d|w)", re.IGNORECASE)
_SPAN_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_SAME = {"==": "=", "<>": "!="}
_RESERVED = frozenset({"and", "or", "not", "in", "contains"})
_OPS = {
    "number": ("=", "!=", "<", "<=", ">", ">=", "in"),
    "time": ("<", "<=", ">", ">="),
    "text": ("=", "!=", "~", "in"),
    "choice": ("=", "!=", "~", "in"),
    "tags": ("=", "!=", "~", "in"),
    "flag": ("=", "!="),
    "mixed": ("=", "!=", "<", "<=", ">", ">=", "~", "in"),
}
"""What each kind of field can be asked."""


def parse_filter(text: str, fields: RunFields) -> Filter | None:
    """Return what `text` asks for; None where it asks for nothing.

    Raises:
        FilterError: With the place of the first mistake.
    """
    if len(text) > LENGTH_LIMIT:
        raise FilterError(
            text[:LENGTH_LIMIT] + "…",
            LENGTH_LIMIT,
            LENGTH_LIMIT + 1,
            f"the end of a filter of at most {LENGTH_LIMIT} characters",
        )
    if not text.strip():
        return None
    return _Parser(text, fields).whole()


def comparisons(wanted: Filter) -> Iterator[Comparison]:
    """Yield a filter's comparisons, in the order of its text."""
    match wanted:
        case Comparison():
            yield wanted
        case Not(part):
            yield from comparisons(part)
        case Both(parts) | Either(parts):
            for part in parts:
                yield from comparisons(part)


class _Parser:
    """Reads the tokens of one text from left to right."""

    def __init__(self, text: str, fields: RunFields) -> None:
        self._text = text
        self._fields = fields
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def whole(self) -> Filter:
        found = self._either()
        token = self._next
        if token.kind == ")":
            raise self._error(token, "no closing parenthesis", "There is no ( before it.")
        if token.kind != "end":
            raise self._error(
                token,
                "`and`, `or` or the end",
                'Text to search for stands in quotes, such as "small cnn".',
            )
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._tokens[self._place]
        if token.kind != "end":
            self._place += 1
        return token

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._next.word == "or":
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._next.word == "and":
            self._take()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _one(self) -> Filter:
        token = self._next
        if token.word == "not":
            self._take()
            return Not(self._deeper(self._one, token))
        if token.kind == "(":
            self._take()
            found = self._deeper(self._either, token)
            if self._next.kind != ")":
                raise self._error(self._next, "`)`, `and` or `or`")
            self._take()
            return found
        if token.kind == "text":
            self._take()
            return TextSearch(_unquoted(token.value))
        if token.kind == "word" and token.word not in _RESERVED:
            return self._comparison()
        raise self._error(
            token,
            "a comparison",
            "For example best_val_accuracy > 0.9, or a text to search for in quotes.",
        )

    def _deeper(self, read: object, token: _Token) -> Filter:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self._error(token, f"at most {DEPTH_LIMIT} levels of parentheses and `not`")
        found: Filter = read()  # type: ignore[operator]  # one of this class's methods
        self._depth -= 1
        return found

    def _comparison(self) -> Filter:
        name = self._take()
        field = self._fields.find(name.value)
        if field is None or not field.filters:
            raise self._error(
                name,
                "the name of a field or a metric",
                nearest(name.value, self._fields.names)
                or "Such as status, tag, best_val_accuracy or, of the spec, optimizer.lr.",
            )
        token = self._take()
        op = _SAME.get(token.value, token.value) if token.kind == "op" else token.word
        if op == "not" and self._next.word in {"in", "contains"}:
            op = f"not {self._take().word}"
        allowed = _OPS[field.kind]
        plain = {"contains": "~", "not contains": "!~"}.get(op, op)
        positive = {"!=": "=", "!~": "~", "not in": "in"}.get(plain, plain)
        if positive not in allowed:
            if field.kind == "flag" and (token.kind in {"end", ")"} or op in {"and", "or"}):
                self._place -= token.kind != "end"
                return Comparison(field, "=", (True,))
            raise self._error(
                token,
                f"a comparison after `{name.value}`: " + " ".join(allowed),
                _about(field),
            )
        values = self._list(field) if positive == "in" else (self._value(field, positive),)
        found = Comparison(field, positive, values)  # type: ignore[arg-type]  # one of `allowed`
        return Not(found) if plain in {"!=", "!~", "not in"} else found

    def _list(self, field: RunField) -> tuple[Value, ...]:
        if self._next.kind != "(":
            raise self._error(self._next, "`(` and values with commas between", "Such as (a, b).")
        self._take()
        values: list[Value] = []
        while True:
            values.append(self._value(field, "in"))
            token = self._take()
            if token.kind == ")":
                break
            if token.kind != ",":
                raise self._error(token, "`,` or `)`")
        if len(values) > LIST_LIMIT:
            raise self._error(self._tokens[self._place - 1], f"at most {LIST_LIMIT} values")
        return tuple(values)

    def _value(self, field: RunField, op: str) -> Value:
        token = self._take()
        if token.kind not in {"word", "text"}:
            raise self._error(token, _wanted(field), _about(field))
        word = token.value if token.kind == "word" else ""
        if word.lower() in {"unset", "null"} and op in {"=", "in"} and field.kind != "flag":
            return None
        if op == "~":
            return word or _unquoted(token.value)
        return self._typed(field, token, word or _unquoted(token.value), op)

    def _typed(self, field: RunField, token: _Token, text: str, op: str) -> Value:
        if field.kind == "flag":
            known = {"true": True, "yes": True, "false": False, "no": False}
            if text.lower() in known:
                return known[text.lower()]
        elif field.kind == "choice":
            for choice in field.choices:
                if text.lower() == choice.lower():
                    return choice
        elif field.kind == "time":
            if (when := _moment(text)) is not None:
                return when
        elif field.kind == "number" or (field.kind == "mixed" and op not in {"=", "in"}):
            if (number := _number(text, seconds=field.unit == "s")) is not None:
                return number
        elif field.kind == "mixed":
            number = _number(text, seconds=False) if token.kind == "word" else None
            return text if number is None else number
        else:
            return text
        remedy = nearest(text, field.choices) if field.choices else ""
        raise self._error(token, _wanted(field), remedy or _about(field))

    def _error(self, token: _Token, expected: str, remedy: str = "") -> FilterError:
        return FilterError(self._text, token.start, token.end, expected, remedy)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            quote = text[place] in "\"'"
            raise FilterError(
                text,
                place,
                len(text) if quote else place + 1,
                "a closed quotation" if quote else "a word, a comparison or a parenthesis",
                f"Its end needs a {text[place]} too." if quote else "Not equal is written !=.",
            )
        kind, value = str(match.lastgroup), match.group()
        if kind != "space":
            found.append(
                _Token(value if kind == "mark" else kind, value, place, match.end())  # type: ignore[arg-type]
            )
        place = match.end()
    end = len(text.rstrip())
    return [*found, _Token("end", "", end, end)]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _number(text: str, *, seconds: bool) -> float | None:
    """Return the number that a word is: `0.9`, `90%`, and of seconds `10min`."""
    if (match := _NUMBER.fullmatch(text)) is not None:
        number = float(text.removesuffix("%"))
        return number / 100 if match[3] else number
    if seconds and (match := _SPAN.fullmatch(text)) is not None:
        return float(match[1]) * _SPAN_S[match[2].lower()]
    return None


def _moment(text: str) -> float | Ago | None:
    """Return the moment that `2026-11-20`, `2026-11-20T10:30` or `7d` (that long ago) names."""
    if (match := _SPAN.fullmatch(text)) is not None:
        return Ago(float(match[1]) * _SPAN_S[match[2].lower()])
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _wanted(field: RunField) -> str:
    kinds: Mapping[str, str] = {
        "number": "a number",
        "time": "a date or a time ago",
        "flag": "yes or no",
        "choice": "one of " + ", ".join(field.choices),
        "mixed": "a number or a text",
    }
    return kinds.get(field.kind, "a text")


def _about(field: RunField) -> str:
    """Return what can be asked of a field, as a remedy."""
    if field.kind == "time":
        return "For example 2026-11-20, 2026-11-20T10:30 (UTC), or 7d for seven days ago."
    if field.kind == "number" and field.unit == "s":
        return "In seconds, or such as 10min and 2h."
    if field.kind == "number":
        return "For example 0.01, 1e-3 or 90%."
    if field.kind in {"text", "tags"}:
        return f"`{field.name}` is text: = for the whole of it, ~ for a part."
    if field.kind == "choice":
        return f"`{field.name}` is one of " + ", ".join(field.choices) + "."
    return ""
