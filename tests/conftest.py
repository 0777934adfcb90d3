"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side on few cores

pytest_plugins = ["tests.databases"]

# A shell that starts the tests in the background lets them ignore Ctrl-C, and their children too.
signal.signal(signal.SIGINT, signal.default_int_handler)
