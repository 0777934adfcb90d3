"""A training worker like any other, but with the fake trainer: `fake_worker.py ACT PACE SLOTS`."""

from __future__ import annotations

import logging
import sys

from store.settings import Settings
from tests.worker.house import fake_launch
from worker.main import serve, watch_parent

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    watch_parent()
    launch = fake_launch(sys.argv[1], float(sys.argv[2]))
    sys.exit(serve(Settings(), "train", slots=int(sys.argv[3]), launch=launch))
