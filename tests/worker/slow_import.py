"""A library that takes long to import, like torch on a cold disk."""

from __future__ import annotations

import time

time.sleep(30)
