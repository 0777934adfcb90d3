"""A compose file without a container engine: read it, and run its services as processes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<text>[^}]*))?\}")


class MissingVariable(Exception):
    """A variable that the file insists on is not set."""


def read_compose(variables: Mapping[str, str], *files: str, root: Path = ROOT) -> dict[str, Any]:
    """Return the configuration in the compose files, later ones laid over earlier ones.

    Knows `${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as our files use them.

    Raises:
        MissingVariable: With the file's own message.
    """
    config: dict[str, Any] = {}
    for name in files or ("docker-compose.yml",):
        config = _over(config, yaml.safe_load((root / name).read_text()))
    config = {key: value for key, value in config.items() if not key.startswith("x-")}
    filled = _filled(config, variables)
    assert isinstance(filled, dict)
    return filled


@dataclass
class Service:
    """One service of the file, and how this machine stands in for its container."""

    config: dict[str, Any]
    replace: Mapping[str, str]
    """What the container's addresses and folders are here, applied in this order."""

    def environment(self) -> dict[str, str]:
        """Return the environment the file gives, mapped, and of ours only what Python needs."""
        given = {name: self._here(str(value)) for name, value in self.config["environment"].items()}
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, "OMP_NUM_THREADS": "1", **given}

    def command(self) -> list[str]:
        """Return the service's command, mapped."""
        return self._python([self._here(str(part)) for part in self.config["command"]])

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own."""
        with log.open("wb") as output:
            return subprocess.Popen(
                self.command(),
                env=self.environment(),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def healthy(self) -> bool:
        """Run the file's health check for the service and return whether it passes."""
        kind, *test = self.config["healthcheck"]["test"]
        command = shlex.split(test[0]) if kind == "CMD-SHELL" else test
        ran = subprocess.run(
            self._python(command),
            env=self.environment(),
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        return ran.returncode == 0

    def _here(self, text: str) -> str:
        for theirs, ours in self.replace.items():
            text = text.replace(theirs, ours)
        return text

    @staticmethod
    def _python(command: list[str]) -> list[str]:
        return [sys.executable if part == "python" else part for part in command]


def _over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: _over(below.get(key), above[key]) if key in above else below[key]
            for key in [*below, *(key for key in above if key not in below)]
        }
    return above


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, how, text = match["name"], match["how"], match["text"] or ""
        if variables.get(name):
            return variables[name]
        if how == ":?":
            raise MissingVariable(f"{name}: {text}")
        return text if how == ":-" else ""

    return _VARIABLE.sub(fill, value)
