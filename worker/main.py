"""A worker process: Celery listens, the rest of this package works.

SIGTERM drains it: running trainers checkpoint and their runs are handed back. When it is killed,
its trainers notice the end of their control sockets and end too.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, Literal, cast

from celery import signals
from celery.exceptions import CPendingDeprecationWarning
from celery.platforms import SecurityWarning

from store.database import Store, Unavailable, open_store
from store.rows import WorkerRow
from store.settings import Settings
from trainer.errors import TuneboardError
from worker.bell import Bell
from worker.celery import PREPARE_TASK, WAKE_TASK, make_app
from worker.forks import WarmLauncher
from worker.interactive import Interactive
from worker.liveness import Liveness, describe_worker, visible_gpus
from worker.processes import Launch
from worker.reconcile import Reconciler
from worker.runner import Runner

log = logging.getLogger(__name__)

PARENT_FD = "TUNEBOARD_PARENT_FD"
DATABASE_TIMEOUT_S = 60.0
"""How long a starting worker waits for the database."""
DRAIN_TIMEOUT_S = 30.0
"""A supervisor with a frozen database may need so long to give up."""
USAGE_ERROR = 2

Device = Literal["cpu", "cuda"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until it is told to end; return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    watch_parent()
    try:
        device = choose_device(options.device) if options.kind == "train" else "cpu"
        return serve(Settings(), options.kind, device=device, slots=options.slots)
    except TuneboardError as error:
        log.error("%s", error)
        return USAGE_ERROR


def serve(
    settings: Settings,
    kind: Literal["train", "interactive"],
    *,
    device: Device = "cpu",
    slots: int = 1,
    launch: Launch | None = None,
) -> int:
    """Work until SIGTERM; return the exit status.

    Args:
        settings: Where database, broker and files are.
        kind: train for runs, interactive for datasets and for jobs after training.
        device: What trainers may use.
        slots: Runs at a time.
        launch: Starts trainers; by default from a warm server.

    Raises:
        TuneboardError: If the database cannot be used.
    """
    store = open_store(settings)
    _migrate(store)
    row = describe_worker(kind, device, slots)
    bell = Bell(settings)
    warm = WarmLauncher() if launch is None and kind == "train" else None
    hand: Runner | Interactive
    if kind == "train":
        hand = Runner(
            store,
            settings,
            bell,
            launch or cast(Launch, warm),
            worker_id=row.id,
            device=device,
            slots=slots,
        )
    else:
        hand = Interactive(store, settings, bell)
    on_hard_stop(hand.kill)
    signal.signal(signal.SIGTERM, _leave)  # until Celery has its own
    liveness = Liveness(store, row, settings.heartbeat_s, hand.current, hand.draining, hand.hold)
    task = WAKE_TASK if kind == "train" else PREPARE_TASK
    reconciler = Reconciler(store, settings, bell, task, hand)
    liveness.start()
    try:
        if warm is not None:
            warm.warm_up().wait_until_ready()
        log.info("Worker %s (%s, %s, slots: %s) is ready", row.id, kind, device, slots)
        reconciler.start()
        return _listen(settings, task, hand, row)
    finally:
        hand.drain()
        reconciler.stop()
        if not hand.wait_until_idle(DRAIN_TIMEOUT_S):
            log.error("Worker %s leaves work to its lease", row.id)
            hand.kill()
        bell.close()
        if warm is not None:
            warm.close()
        liveness.stop()
        store.dispose()
        log.info("Worker %s has ended", row.id)


def _listen(settings: Settings, task: str, hand: Runner | Interactive, row: WorkerRow) -> int:
    """Let Celery call the hand for each message, until it is told to stop."""
    app = make_app(settings)
    app.task(name=task, ignore_result=True)(hand.wake)

    def begin_to_drain(**_: Any) -> None:
        hand.drain()

    def leave_logging_alone(**_: Any) -> None:
        return

    # Its warning is of pickled messages; ours are JSON, and a container has only its root.
    warnings.simplefilter("ignore", SecurityWarning)
    # Announces a changed default of a setting that ours gives.
    warnings.simplefilter("ignore", CPendingDeprecationWarning)
    signals.worker_shutting_down.connect(begin_to_drain, weak=False)
    signals.setup_logging.connect(leave_logging_alone, weak=False)
    queue = settings.train_queue if task == WAKE_TASK else settings.interactive_queue
    worker = app.Worker(
        pool="threads",
        concurrency=row.slots,
        queues=[queue],
        hostname=f"{row.kind}-{row.pid}@{row.hostname}",
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    celerys_own = worker.install_platform_tweaks

    def install_signals(instance: Any) -> None:
        """Make every signal to end a warm one: Celery's others restart us or break the pool."""
        celerys_own(instance)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.getsignal(signal.SIGTERM))

    worker.install_platform_tweaks = install_signals
    worker.start()
    return int(worker.exitcode or 0)


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device that trainers of this worker use; hide GPUs from a worker of the CPU.

    Raises:
        TuneboardError: If a GPU is wanted and torch cannot use one.
    """
    if wanted == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return "cpu"
    if visible_gpus() and _torch_sees_gpu():
        return "cuda"
    if wanted == "cuda":
        raise TuneboardError(
            "This worker was started with --device cuda, but torch cannot use a GPU here.",
            "Check nvidia-smi and CUDA_VISIBLE_DEVICES, or start it with --device cpu.",
        )
    return "cpu"


def watch_parent() -> None:
    """End hard when the process that started this one ends, if it left us a pipe to see that by."""
    number = os.environ.pop(PARENT_FD, "")
    if not number:
        return
    fd = int(number)
    os.set_inheritable(fd, False)
    threading.Thread(target=_wait_for_end, args=(fd,), name="parent-watch", daemon=True).start()


_HARD_STOPS: list[Any] = []


def on_hard_stop(call: Any) -> None:
    """Have `call` called when the parent has died, just before this process exits."""
    _HARD_STOPS.append(call)


def _wait_for_end(fd: int) -> None:
    while os.read(fd, 4096):
        pass
    log.error("The process that started this worker is gone")
    for call in _HARD_STOPS:
        call()
    os._exit(1)


def _torch_sees_gpu() -> bool:
    """Ask torch in a process of its own: a worker never imports it."""
    program = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _migrate(store: Store) -> None:
    """Bring the database up to date, waiting for one that is just starting."""
    deadline = time.monotonic() + DATABASE_TIMEOUT_S
    while True:
        try:
            store.migrate()
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise
            log.warning("Waiting for the database: %s", error)
            time.sleep(1)
        else:
            return


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--kind", choices=("train", "interactive"), required=True)
    parser.add_argument("--slots", type=_slots, default=1, help="runs at a time (default: 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return parser


def _slots(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError(f"expected 1 to 64, got {text}")
    return number
