"""`python -m worker`: one worker process; see `worker.main`."""

import sys

from worker.main import main

if __name__ == "__main__":
    sys.exit(main())
