"""A comparison as one HTML file: styles, scripts, Plotly and the data are all inside."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from typing import Any

from markupsafe import Markup

from app.exports.report import Report
from app.pages.assets import IMPORT, asset_text, imported, plotly_text
from app.pages.templating import environment, script_json

STYLES = ("css/tokens.css", "css/base.css", "css/parts.css", "css/share.css")
SCRIPT = "js/base.js"
_PLOTLY_PLACE = "<!-- plotly -->"  # what people typed holds no `<` any more


def export_page(report: Report) -> Iterator[str]:
    """Yield the file in parts; Plotly's four megabytes are one of them."""
    template = environment().get_template("export/comparison.html")
    head, _, tail = template.render(page=report, **_inside()).partition(_PLOTLY_PLACE)
    yield f"{head}<script>"
    yield plotly_text()
    yield f"</script>{tail}"


@cache
def _inside() -> dict[str, Any]:
    """Return what the template puts between its tags; all of it is ours."""
    return {
        "styles": Markup("\n".join(asset_text(path) for path in STYLES)),  # noqa: S704
        "early_script": Markup(asset_text("js/theme-early.js")),  # noqa: S704
        "plotly_place": Markup(_PLOTLY_PLACE),  # noqa: S704
        "import_map": script_json({"imports": import_map(SCRIPT)}),
        "script": SCRIPT,
    }


def import_map(entry: str) -> dict[str, str]:
    """Return an address that holds its own content for a module and for all that it imports.

    A page from a disk may not import files beside it, but it may import what it brings along.
    """
    found: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue

        def named(match: re.Match[str], path: str = path) -> str:
            target = imported(path, match)
            waiting.append(target)
            return f'{match[1]}"{target}"'

        text = IMPORT.sub(named, asset_text(path))
        found[path] = f"data:text/javascript;base64,{b64encode(text.encode()).decode()}"
    return found
