from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def test_the_pages_pure_functions_in_node() -> None:
    node = shutil.which("node")
    assert node, "Node.js is not installed; on Debian and Ubuntu: apt-get install nodejs"
    files = sorted(str(path) for path in HERE.glob("*.test.js"))
    done = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
