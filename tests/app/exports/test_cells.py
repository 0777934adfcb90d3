from __future__ import annotations

import pytest

from app.exports.cells import markdown_table, markdown_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("**bold** _it_ `code` [a](b)", r"\*\*bold\*\* \_it\_ \`code\` \[a\](b)"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("12) no list", r"12\) no list"),
        ("a | b\nc", r"a \| b c"),
        ("&amp; :bug: 🐜", r"&amp;amp; \:bug: 🐜"),
        ("lr 0.1-0.2, fine-tuned.", "lr 0.1-0.2, fine-tuned."),
    ],
)
def test_markdown_shows_the_characters_themselves(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


def test_a_table_has_as_many_cells_as_columns() -> None:
    assert markdown_table(["a", "b"], [["x|y", "z"]]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        r"| x\|y | z |",
    ]
