from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.predictions import PredictionsGone
from app.splits import by_split
from app.voting import METHODS, against_best, ballot, hold, vote_table, voted_class
from store.database import Store
from store.evaluations import evaluations
from store.settings import Settings
from tests.app.pages import page, text_of, texts
from tests.compared import answers, digits, finished_run
from tests.seeding import SCRIPT_NAME, Seeded
from trainer import vote as trained
from trainer.errors import Conflict, InvalidInput


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("members", [2, 3, 4, 7])
def test_every_image_gets_the_class_that_the_trainers_vote_gives_it(
    method: trained.Method, members: int
) -> None:
    random = np.random.default_rng(members)
    # Few distinct shares, so that ties of votes and of means come up often.
    shares = random.integers(0, 4, size=(members, 400, 3)).astype(np.float32) / np.float32(7)
    for preferred in range(members):
        expected = trained.vote(shares, method, preferred).tolist()
        columns = shares.tolist()
        found = [
            voted_class([member[image] for member in columns], method, preferred)
            for image in range(400)
        ]
        assert found == expected


@pytest.fixture
def three(seeded: Seeded, store: Store, settings: Settings) -> tuple[int, int, int]:
    """Three runs that are wrong on 8, 10 and 12 images, never two of them on the same one."""
    items = digits(settings, store)
    wrong = (range(8), range(20, 30), range(40, 52))
    names = ("first", SCRIPT_NAME, "=third")
    made = [
        finished_run(store, settings, name, answers(items, places), seed=seed)
        for seed, (name, places) in enumerate(zip(names, wrong, strict=True))
    ]
    first, second, third = (run.id for run in made)
    return first, second, third


def test_a_vote_of_three_corrects_the_faults_of_each(
    three: tuple[int, int, int], store: Store, settings: Settings
) -> None:
    evaluated = by_split(evaluations(store, three))["val"]
    asked = ballot(evaluated, three, "val", "majority", None)
    votes = hold(settings, asked)
    assert votes.accuracy == 1.0
    assert [90 - sum(right) for right in votes.right] == [8, 10, 12]
    assert votes.best == 0
    assert [row[index] for index, row in enumerate(votes.confusion)] == [9] * 10
    line = against_best(asked, votes, dict.fromkeys(three, "a run"), "val")
    assert line.found.counts is not None
    assert (line.found.counts.fixed, line.found.counts.broken) == (8, 0)
    assert line.found.p_value == pytest.approx(2 * 0.5**8)
    assert "8 fixed, 0 broken" in line.sentence
    pair = ballot(evaluated, three[:2], "val", "majority", three[1])
    assert sum(hold(settings, pair).vote_right) == 80  # every tie goes to the second


def test_the_table_is_the_one_that_the_trainers_vote_writes(
    three: tuple[int, int, int], store: Store, settings: Settings, tmp_path: Path
) -> None:
    evaluated = by_split(evaluations(store, three))["val"]
    members = [
        trained.load_recorded(
            str(run_id), settings.run_dir(run_id) / evaluated[run_id].predictions_file
        )
        for run_id in three
    ]
    asked = ballot(evaluated, three, "val", "mean", three[1])
    trained.hold(members, asked.classes, "mean", 1, tmp_path / "votes.csv")
    with (tmp_path / "votes.csv").open(newline="") as file:
        assert list(csv.reader(file)) == list(vote_table(settings, asked))


def test_who_cannot_vote_is_told_why(
    three: tuple[int, int, int],
    seeded: Seeded,
    store: Store,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluated = by_split(evaluations(store, [*three, seeded.script, seeded.tuned]))["val"]
    with pytest.raises(InvalidInput, match="2 to 50"):
        ballot(evaluated, three[:1], "val", "mean", None)
    with pytest.raises(InvalidInput, match="vote_prefer"):
        ballot(evaluated, three[:2], "val", "majority", three[2])
    with pytest.raises(Conflict, match="other val images"):
        ballot(evaluated, [three[0], seeded.script], "val", "mean", None)
    with pytest.raises(Conflict, match="not evaluated"):
        ballot(evaluated, [three[0], seeded.queued], "val", "mean", None)
    with monkeypatch.context() as patched:
        patched.setattr("app.voting.VALUES_LIMIT", 2699)  # three runs, 90 images, ten classes
        with pytest.raises(Conflict, match="tuneboard vote"):
            ballot(evaluated, three, "val", "mean", None)
    (settings.run_dir(three[0]) / evaluated[three[0]].predictions_file).unlink()
    with pytest.raises(PredictionsGone):
        hold(settings, ballot(evaluated, three, "val", "mean", None))


def asked(three: tuple[int, ...], extra: str = "") -> str:
    return "&".join(f"run={run_id}" for run_id in three) + extra


def test_the_part_shows_the_form_then_the_result(
    client: TestClient, three: tuple[int, int, int]
) -> None:
    part = page(client, f"/parts/compare/vote?{asked(three)}")
    boxes = part.select('[name="vote"]')
    assert [(int(box["value"]), box.has_attr("checked")) for box in boxes] == [
        (run_id, True) for run_id in three
    ]
    assert not part.select(".plot")
    members = f"{three[0]},{three[1]},{three[2]}"
    part = page(client, f"/parts/compare/vote?{asked(three)}&vote={members}&vote_by=mean")
    shown = text_of(part)
    assert "100.00 %" in shown
    assert "the best alone, first, 91.11 %" in shown
    assert "8 fixed, 0 broken" in shown
    assert len(part.select(".plot")) == 2
    assert part.select_one("#vote-by [selected]")["value"] == "mean"
    rows = [texts(row.find_all(["th", "td"])) for row in part.select(".counts tr")]
    assert [row[1] for row in rows[:4]] == ["82", "8", "0", "0"]


def test_a_vote_that_cannot_be_held_is_explained_in_its_place(
    client: TestClient, three: tuple[int, int, int], seeded: Seeded
) -> None:
    runs = (three[0], three[1], seeded.script)
    part = page(client, f"/parts/compare/vote?{asked(runs)}&vote={runs[0]},{runs[2]}")
    assert "These runs cannot vote" in text_of(part)
    assert "evaluated on other val images" in text_of(part)
    part = page(client, f"/parts/compare/vote?{asked(runs)}&vote={runs[0]}")
    assert "2 to 50 runs" in text_of(part)
    part = page(client, f"/parts/compare/vote?run={seeded.queued}&run={three[0]}")
    assert "needs two runs that have ended" in text_of(part)
    page(client, f"/parts/compare/vote?{asked(runs)}&vote=x", 422)
    page(client, f"/parts/compare/vote?{asked(runs)}&vote_by=dice", 422)
    assert "None" not in text_of(page(client, "/parts/compare/vote?run=99"))


def test_the_votes_can_be_downloaded(client: TestClient, three: tuple[int, int, int]) -> None:
    members = ",".join(map(str, three))
    answer = client.get(f"/compare/vote.csv?{asked(three)}&vote={members}")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["id", "true", "voted", *(f"run {run_id}" for run_id in three)]
    assert len(rows) == 91
    assert all(row[1] == row[2] for row in rows[1:])
    assert client.get(f"/compare/vote.csv?{asked(three)}&vote={three[0]}").status_code == 422
