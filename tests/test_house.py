"""The rules of the house: who may import whom, and what stays out of the light processes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("trainer", "store", "worker", "app", "tuneboard")
TORCH_FREE_TRAINER = {
    "trainer",
    "trainer.cells",
    "trainer.continuing",
    "trainer.parsing",
    "trainer.spec",
    "trainer.data_sections",
    "trainer.events",
    "trainer.planning",
    "trainer.published",
    "trainer.recipes",
    "trainer.steps",
    "trainer.sweeps",
    "trainer.errors",
    "trainer.catalogue",
    "trainer.datasets",
    "trainer.parameters",
}
MAY_IMPORT = {
    "trainer": set(),
    "store": {"trainer"},
    "worker": {"trainer", "store"},
    "app": {"trainer", "store", "worker"},
    "tuneboard": {"trainer", "store", "worker", "app"},
}
HEAVY = ("torch", "torchvision", "timm", "sklearn", "scipy", "numpy", "optuna", "plotly")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room):
    for path in sorted((ROOT / room).rglob("*.py")):
        ours = {name.split(".")[0] for name in imports_of(path)} & set(ROOMS)
        assert ours <= MAY_IMPORT[room] | {room}, path


@pytest.mark.parametrize("room", ["app", "store"])
def test_app_and_store_use_only_the_torch_free_trainer_and_the_bell(room):
    for path in sorted((ROOT / room).rglob("*.py")):
        for name in imports_of(path):
            if name.startswith("worker"):
                assert name == "worker.bell" or name.startswith("worker.bell."), (path, name)
            if name.startswith("trainer."):
                assert any(
                    name == ok or name.startswith(ok + ".")
                    for ok in TORCH_FREE_TRAINER
                    if ok != "trainer"
                ), (path, name)


@pytest.mark.parametrize(
    "module",
    [
        "app.main",
        "worker.supervise",
        "worker.celery",
        "worker.bell",
        "store.runs",
        "trainer.parsing",
        "trainer.spec",
        "trainer.events",
        "trainer.recipes",
        "trainer.sweeps.expand",
        "trainer.catalogue",
        "trainer.parameters",
        "trainer.datasets.folder",
        "tuneboard.cli",
    ],
)
def test_light_modules_leave_heavy_libraries_alone(module):
    code = f"import {module}, sys; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_file_names_a_registry_or_an_outside_script():
    for pattern in ("templates/**/*.html", "app/static/**/*.js", "app/static/**/*.css"):
        for path in ROOT.glob(pattern):
            text = path.read_text()
            for opening in ('src="http', "src='http", 'href="//', 'src="//', "@import url(http"):
                assert opening not in text, (path, opening)
