from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from store import jobs, steps, studies
from tests.browser.conftest import Server
from tests.seeding import Teller, claim
from trainer.planning import plan
from trainer.recipes import as_recipe

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

COMMON = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2},
}
STEPS = [
    {"name": "sweep", "runs": [{"name": f"rate {lr}", "optimizer": {"lr": lr}} for lr in (1, 2)]},
    {
        "name": "winner",
        "runs": [{"from": "best_of(sweep, best_val_accuracy)", "training": {"epochs": 3}}],
    },
    {"name": "vote", "vote": {"of": ["sweep"]}},
]


def train(server: Server, run_id: int, top: float, told_first: Locator | None = None) -> None:
    """Let a run succeed, and the study go on after that, or after the page shows its success."""
    epochs = 2
    attempt = claim(server.store, run_id)
    Teller(server.store, run_id, attempt, epochs=epochs, top=top).whole()
    if told_first is not None:
        expect(told_first).to_have_text("Succeeded")
    steps.advance(server.store)


def test_a_study_shows_its_next_step_without_a_reload(page: Page, server: Server) -> None:
    recipe = as_recipe({"common": COMMON, "steps": STEPS})
    study = studies.create_study(
        server.store, "A sweep, its winner, a vote", "local", steps=plan(recipe), priority=990
    )
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"/studies/{study.id}")
    cards = page.locator("#study-steps > ol > li")
    expect(cards.nth(0)).to_contain_text("Running")
    expect(cards.nth(1)).to_contain_text("Waiting")
    page.evaluate("window.stayed = true")
    first, second = study.run_ids
    train(server, first, 0.5)
    train(server, second, 0.9)
    expect(cards.nth(0)).to_contain_text("Ended")
    expect(cards.nth(1)).to_contain_text(f"run {second}, rate 2")
    chosen_from = cards.nth(1).locator("summary")
    chosen_from.focus()
    page.keyboard.press("Enter")
    expect(cards.nth(1)).to_contain_text("(chosen)")
    [winner] = studies.get_study(server.store, study.id).steps[1].run_ids
    expect(page.locator(f'tr[data-run="{winner}"]')).to_be_visible()
    train(server, winner, 0.95, told_first=page.locator(f'tr[data-run="{winner}"] .chip'))
    expect(cards.nth(1)).to_contain_text("Ended")
    expect(cards.nth(1).locator("details")).to_have_attribute("open", "")
    job = jobs.claim_job(server.store, 60)
    assert job is not None
    result = {"accuracy": 0.875, "samples": 360, "members": []}
    assert jobs.job_succeeded(server.store, job, result)
    steps.advance(server.store)
    expect(cards.nth(2)).to_contain_text("Accuracy 87.50% on 360 images", timeout=10_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("window.stayed") is True
