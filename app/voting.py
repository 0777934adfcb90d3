"""Lets runs vote by what they said of every image; agrees with `trainer.vote` to the last image.

It runs in the web process on recorded predictions, a few hundred images at a time, without numpy.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Literal

from app.predictions import Opinion, opinions
from app.splits import Split
from store.rows import EvaluationRow
from store.settings import Settings
from store.votes import check_same_images
from trainer.errors import Conflict, FieldError, InvalidInput
from trainer.steps import VOTERS_LIMIT

if TYPE_CHECKING:
    from app.verdict.view import Line

Method = Literal["majority", "mean"]
METHODS: tuple[Method, ...] = ("majority", "mean")
READ_IMAGES = 512
VALUES_LIMIT = 10_000_000
"""Probabilities that one request looks at: ten seconds or so. Beyond, a vote is a job."""
VOTE_ID = 0
"""Stands for the vote among the numbers of runs."""


@dataclass(frozen=True)
class Ballot:
    """What is voted on, and how."""

    rows: tuple[EvaluationRow, ...]
    """The members' evaluations on one split, of the same images."""
    method: Method
    preferred: int
    """Place of the member that decides ties."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(one["name"] for one in self.rows[0].classes)


@dataclass(frozen=True)
class Votes:
    """What came of a vote."""

    right: tuple[bytes, ...]
    """Of each member: 1 for each image whose class it found, else 0."""
    vote_right: bytes
    confusion: tuple[tuple[int, ...], ...]
    """[C][C]; the row is the true class, the column the voted one."""

    @property
    def accuracy(self) -> float:
        """Share of the images whose class was voted."""
        return sum(self.vote_right) / max(1, len(self.vote_right))

    @property
    def best(self) -> int:
        """Place of the member with the most images right; of equals the first."""
        return max(range(len(self.right)), key=lambda place: (sum(self.right[place]), -place))


def ballot(
    evaluated: Mapping[int, EvaluationRow],
    members: Sequence[int],
    split: Split,
    method: Method,
    preferred: int | None,
) -> Ballot:
    """Return the ballot of those runs.

    Args:
        evaluated: Evaluations on the split by run.
        preferred: A run; where left out, the first member.

    Raises:
        InvalidInput: If there are too few or too many members, or the preferred run is none.
        Conflict: If one was not evaluated, or on other images.
    """
    if not 2 <= len(members) <= VOTERS_LIMIT:
        raise InvalidInput.of(
            FieldError("vote", len(members), f"2 to {VOTERS_LIMIT} runs", "Tick more or fewer.")
        )
    if preferred is not None and preferred not in members:
        raise InvalidInput.of(FieldError("vote_prefer", preferred, "one of the runs that vote"))
    check_same_images(list(evaluated.values()), members, split)
    first = evaluated[members[0]]
    if first.samples * len(first.classes) * len(members) > VALUES_LIMIT:
        raise Conflict(
            f"{len(members)} runs on {first.samples} images of {len(first.classes)} classes are "
            "too many for a page.",
            "Let fewer vote, or use `tuneboard vote`, which leaves it to a worker.",
        )
    return Ballot(
        tuple(evaluated[run_id] for run_id in members),
        method,
        members.index(preferred) if preferred is not None else 0,
    )


def voted_class(shares: Sequence[Sequence[float]], method: Method, preferred: int = 0) -> int:
    """Return the class voted for one image.

    Args:
        shares: Of each member the probabilities, one a class.
        method: majority: the class that most find likeliest; of classes with as many votes the
            preferred member's, or where its own has fewer, the one with the highest mean
            probability. mean: the highest mean probability.
    """
    totals = list(shares[0])
    for other in shares[1:]:
        totals = list(map(add, totals, other))
    means = [total / len(shares) for total in totals]
    if method == "mean":
        return means.index(max(means))
    choices = [one.index(max(one)) for one in shares]
    counts = Counter(choices)
    most = max(counts.values())
    if counts[choices[preferred]] == most:
        return choices[preferred]
    tied = [place for place, votes in sorted(counts.items()) if votes == most]
    return max(tied, key=lambda place: (means[place], -place))


def each_image(settings: Settings, asked: Ballot) -> Iterator[tuple[list[Opinion], int]]:
    """Yield what the members said of each image and the class they voted.

    Raises:
        PredictionsGone: If the predictions of a member are not here.
        Conflict: If the members' files hold different images.
    """
    samples = asked.rows[0].samples
    for start in range(0, samples, READ_IMAGES):
        places = range(start, min(start + READ_IMAGES, samples))
        columns = [opinions(settings, row, places) for row in asked.rows]
        for said in zip(*columns, strict=True):
            if len({(one.id, one.label) for one in said}) > 1:
                numbers = ", ".join(str(row.run_id) for row in asked.rows)
                raise Conflict(
                    f"The files of runs {numbers} hold different images at place {said[0].index}.",
                    "Let only runs vote that share dataset, split shares and split seed.",
                )
            shares = [one.probabilities for one in said]
            yield list(said), voted_class(shares, asked.method, asked.preferred)


def hold(settings: Settings, asked: Ballot) -> Votes:
    """Count the votes; see `each_image` for the errors."""
    size = len(asked.classes)
    right = [bytearray() for _ in asked.rows]
    vote_right = bytearray()
    cells = [array("l", bytes(array("l").itemsize * size)) for _ in range(size)]
    for said, voted in each_image(settings, asked):
        for own, one in zip(right, said, strict=True):
            own.append(one.predicted == one.label)
        label = said[0].label
        vote_right.append(voted == label)
        cells[label][voted] += 1
    return Votes(tuple(map(bytes, right)), bytes(vote_right), tuple(tuple(row) for row in cells))


def against_best(asked: Ballot, votes: Votes, labels: Mapping[int, str], split: Split) -> Line:
    """Return the verdict on the vote against its best single member, in words.

    Args:
        labels: Of the members, by run.
    """
    from app.verdict.evidence import Candidate, Evidence  # the statistics come with them
    from app.verdict.view import described

    best = asked.rows[votes.best]
    evidence = Evidence(
        split=split,
        samples=len(votes.vote_right),
        split_chose_epoch=split == "val",
        split_reason="",
        baseline=Candidate(
            best.run_id, labels[best.run_id], 0, votes.right[votes.best], can_launch=False
        ),
        others=(Candidate(VOTE_ID, "the vote", 1, votes.vote_right, can_launch=False),),
        refusals={},
    )
    return described(evidence).lines[0]


def vote_table(settings: Settings, asked: Ballot) -> Iterator[list[str]]:
    """Yield the rows of a table: each image with its class, the vote, and every member's."""
    classes = asked.classes
    yield ["id", "true", "voted", *(f"run {row.run_id}" for row in asked.rows)]
    for said, voted in each_image(settings, asked):
        found = (said[0].label, voted, *(one.predicted for one in said))
        yield [said[0].id, *(classes[place] for place in found)]
