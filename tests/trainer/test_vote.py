from __future__ import annotations

import csv

import numpy as np
import pytest

from trainer import vote
from trainer.errors import Conflict


def chances(*chosen: tuple[float, ...]) -> np.ndarray:
    return np.array(chosen, dtype=np.float32)


A = chances((0.6, 0.3, 0.1), (0.6, 0.3, 0.1))
B = chances((0.1, 0.8, 0.1), (0.1, 0.8, 0.1))
C = chances((0.4, 0.3, 0.3), (0.1, 0.0, 0.9))


def test_the_majority_wins():
    assert vote.vote(np.stack([A, B, C]), "majority", 1).tolist()[0] == 0


@pytest.mark.parametrize(("preferred", "expected"), [(0, 0), (1, 1), (2, 2)])
def test_a_tie_goes_to_the_preferred_run(preferred, expected):
    assert vote.vote(np.stack([A, B, C]), "majority", preferred).tolist()[1] == expected


def test_a_tie_without_the_preferred_runs_class_goes_to_the_likeliest():
    one = [chances((0.9, 0.05, 0.05)), chances((0.8, 0.1, 0.1))]
    two = [chances((0.1, 0.6, 0.3)), chances((0.1, 0.5, 0.4))]
    preferred = chances((0.1, 0.1, 0.8))
    assert vote.vote(np.stack([*one, *two, preferred]), "majority", 4).tolist() == [0]


def test_the_mean_probability_may_differ_from_the_majority():
    sure, unsure = chances((0.0, 1.0)), chances((0.6, 0.4))
    stacked = np.stack([sure, unsure, unsure])
    assert vote.vote(stacked, "majority").tolist() == [0]
    assert vote.vote(stacked, "mean").tolist() == [1]


def test_without_ties_the_majority_is_the_most_frequent_class():
    random = np.random.default_rng(0)
    stacked = random.dirichlet(np.ones(4), size=(3, 50)).astype(np.float32)
    votes = stacked.argmax(axis=2).T
    clear = [len(set(one)) < 3 for one in votes]
    assert 0 < sum(clear) < 50
    for voted, one, untied in zip(vote.vote(stacked, "majority"), votes, clear, strict=True):
        assert voted == (np.bincount(one).argmax() if untied else one[0])


def write(folder, name: str, probabilities: np.ndarray, ids=("a", "b"), labels=(0, 1)):
    file = folder / f"{name}.npz"
    np.savez(file, ids=np.array(ids), labels=np.array(labels), probabilities=probabilities)
    return vote.load_recorded(name, file)


def test_a_vote_gives_accuracy_confusion_and_a_table(tmp_path):
    members = [write(tmp_path, name, p) for name, p in (("1", A), ("2", B), ("7", B))]
    said = vote.hold(members, ["ant", "bee", "cat"], "majority", 0, tmp_path / "votes.csv")
    assert said["accuracy"] == 0.5
    assert said["confusion"] == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert said["members"][0] == {"run": "1", "accuracy": 0.5}
    rows = list(csv.reader((tmp_path / "votes.csv").read_text().splitlines()))
    assert rows == [
        ["id", "true", "voted", "run 1", "run 2", "run 7"],
        ["a", "ant", "bee", "ant", "bee", "bee"],
        ["b", "bee", "bee", "ant", "bee", "bee"],
    ]


def test_names_in_the_table_are_no_formulas(tmp_path):
    members = [
        write(tmp_path, "1", A, ids=("=1+1", "b")),
        write(tmp_path, "2", B, ids=("=1+1", "b")),
    ]
    vote.hold(members, ["=cmd", "bee", "cat"], "majority", 0, tmp_path / "votes.csv")
    rows = list(csv.reader((tmp_path / "votes.csv").read_text().splitlines()))
    assert rows[1] == ["'=1+1", "'=cmd", "'=cmd", "'=cmd", "bee"]


@pytest.mark.parametrize("other", [{"ids": ("b", "a")}, {"labels": (1, 1)}])
def test_different_images_are_refused_by_name(tmp_path, other):
    members = [write(tmp_path, "3", A), write(tmp_path, "9", A, **other)]
    with pytest.raises(Conflict, match="Runs 3 and 9"):
        vote.hold(members, ["ant", "bee", "cat"], "mean", 0, tmp_path / "votes.csv")


def test_predictions_that_are_gone_name_the_run(tmp_path):
    with pytest.raises(Conflict, match="run 4"):
        vote.load_recorded("4", tmp_path / "none.npz")
