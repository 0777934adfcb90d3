"""Progress on the console: plain lines where it is no terminal, bars where it is one."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from tuneboard.watch import ProgressBars

STARTED = {"epochs": 2, "steps_per_epoch": 10}
PROGRESS = {"epoch": 1, "epochs": 2, "step": 5, "steps": 20, "eta_s": 75.0}
EPOCH = {"epoch": 1, "step": 10, "val_accuracy": 0.875}
WARNING = {"title": "Slow disk", "detail": "Reading takes [half] the time.", "remedy": "Move it."}


def shown(events: list[tuple[str, dict[str, Any]]], *, terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160, color_system=None)
    with ProgressBars({7: "frozen [lite0]"}, console=console) as bars:
        for kind, payload in events:
            bars.event(7, kind, payload)
    return text.getvalue()


def test_a_line_is_said_at_every_change_of_state_and_epoch() -> None:
    text = shown(
        [
            ("state", {"status": "queued"}),
            ("state", {"status": "running"}),
            ("run_started", STARTED),
            ("progress", PROGRESS),
            ("progress", PROGRESS),
            ("epoch_finished", EPOCH),
            ("progress", {**PROGRESS, "epoch": 2, "step": 11}),
            ("state", {"status": "succeeded"}),
        ],
        terminal=False,
    )
    assert text.splitlines() == [
        "frozen [lite0]: queued",
        "frozen [lite0]: running",
        "frozen [lite0]: running, epoch 1/2, 1 min 15 s left",
        "frozen [lite0]: running, epoch 2/2, best validation accuracy 87.5 %, 1 min 15 s left",
        "frozen [lite0]: succeeded, epoch 2/2, best validation accuracy 87.5 %",
    ]


def test_the_best_accuracy_is_kept_when_a_later_one_is_lower() -> None:
    events = [
        ("run_started", STARTED),
        ("epoch_finished", EPOCH),
        ("epoch_finished", {"epoch": 2, "step": 20, "val_accuracy": 0.5}),
        ("run_finished", {}),
    ]
    assert "succeeded, epoch 2/2, best validation accuracy 87.5 %" in shown(events, terminal=False)


def test_warnings_are_said_as_they_are() -> None:
    assert "frozen [lite0]: Slow disk: Reading takes [half] the time. Move it." in shown(
        [("warning", WARNING)], terminal=False
    )


def test_a_terminal_gets_a_bar_with_the_share_that_is_done() -> None:
    text = shown([("run_started", STARTED), ("progress", PROGRESS)], terminal=True)
    assert "frozen [lite0]" in text
    assert "25 %" in text


def test_a_run_taken_back_to_its_checkpoint_goes_back_on_the_bar() -> None:
    text = shown(
        [
            ("run_started", STARTED),
            ("progress", {**PROGRESS, "step": 15}),
            ("rewound", {"step": 10}),
        ],
        terminal=True,
    )
    last_frame = text[text.rindex("frozen") :]
    assert "50 %" in last_frame
