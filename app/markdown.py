"""Notes in Markdown as HTML that is safe to put into a page.

HTML in a note stays text, addresses that would run something are no links (markdown-it refuses
`javascript:` and its like), and pictures become links: pages load nothing from outside.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


def markdown(text: str) -> Markup:
    """Return a note as HTML; its headings begin at the third level, below a page's own."""
    return Markup(_renderer().render(text))  # noqa: S704 - the renderer escapes


@cache
def _renderer() -> MarkdownIt:
    """Return the renderer, imported when the first note is shown."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(
        ["table", "strikethrough"]
    )
    made.disable("image")
    made.core.ruler.push("house", _house_rules)
    return made


def _house_rules(state: object) -> None:
    """Lower headings, mark links that lead outside, give tables a caption-less class."""
    for token in state.tokens:  # type: ignore[attr-defined]  # markdown-it's state
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        for child in token.children or ():
            if child.type == "link_open" and "//" in str(child.attrGet("href")):
                child.attrSet("rel", "noopener noreferrer nofollow")
