"""The documents say what is there: the reference is fresh, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_is_what_the_code_says():
    code = "import runpy; print(runpy.run_path('docs/build_reference.py')['reference'](), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == (ROOT / "docs/reference.md").read_text()


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_links_and_pictures_lead_to_files_that_exist(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_files_named_in_the_architecture_exist():
    text = (ROOT / "docs/architecture.md").read_text()
    for name in re.findall(r"`((?:app|store|trainer|worker|tuneboard|tests)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name


def test_every_line_of_the_acceptance_page_names_something_that_exists():
    """A row is `| line | evidence |`; evidence is a test id, or a make target or command."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", (ROOT / "docs/acceptance.md").read_text(), re.M)
    rows = [row for row in rows if row[0] != "what must be shown" and not row[0].startswith("---")]
    assert rows
    makefile = (ROOT / "Makefile").read_text()
    for line, evidence in rows:
        named = re.findall(r"`([^`]+)`", evidence)
        assert named, f"no evidence for: {line}"
        for item in named:
            path, _, test = item.partition("::")
            if path.startswith("make "):
                assert re.search(rf"^{path.split()[1]}:", makefile, re.M), item
            elif path.startswith("tests/"):
                text = (ROOT / path).read_text()
                assert not test or re.search(rf"\bdef {test}\b", text), item
            elif "/" in path and " " not in path:
                assert (ROOT / path).exists(), item
