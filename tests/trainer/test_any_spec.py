"""Whatever a spec says, it trains or is refused at the fields that are wrong with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.pictures import write_pictures
from tests.trainer.any_spec import mended, specs
from trainer.attempt import Attempt
from trainer.checkpoint import CheckpointFolder
from trainer.datasets.folder import scan_folder
from trainer.errors import InvalidInput, RunFailure
from trainer.eventlog import EventLog
from trainer.parsing import parse_spec, parse_spec_text
from trainer.spec import spec_yaml
from trainer.stepper import Stepper
from trainer.watch import Interrupted, StopRequest

EXAMPLES = int(os.environ.get("TUNEBOARD_SPECS", "40"))  # thousands find more, in an hour
MENDED_AT_MOST = 60
STEPS = 2
SHORT_RUN_STEPS = 6  # ends by itself, so that evaluations are seen too
# What only the network or the numbers can tell.
EXPLAINED = {
    "The loss is no longer a number",
    "The batch is too small for this network",
    "The network cannot take this input size",
    "The module cannot be tapped",
    "The weights are missing",
    "fp16 needs a GPU",
}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    plain = scan_folder(write_pictures(folder / "plain", 12), "plain")
    write_pictures(folder / "split" / "train", 6)
    write_pictures(folder / "split" / "val", 3)
    write_pictures(folder / "split" / "test", 3)
    return {"plain": plain, "split": scan_folder(folder / "split", "split")}


@pytest.fixture(scope="module")
def outcomes():
    """Count how examples end; a test that only ever refuses would show nothing."""
    counted = Counter()
    yield counted
    if EXAMPLES >= 40:
        assert counted["trained"] >= EXAMPLES / 2, counted
        assert counted["mended"] >= EXAMPLES / 4, counted


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="TUNEBOARD_SPECS" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(asked=specs(("plain", "split")))
def test_any_spec_trains_or_is_refused_at_a_field(asked, manifests, outcomes):
    for _ in range(MENDED_AT_MOST):
        try:
            spec = parse_spec(asked)
            assert parse_spec_text(spec_yaml(spec)) == spec
            outcomes[train_a_little(spec, manifests[spec.dataset.name])] += 1
            return
        except InvalidInput as error:
            problems = error.errors
        assert problems
        assert all(problem.field and problem.expected for problem in problems), problems
        asked = mended(asked, problems[0])
        outcomes["mended"] += 1
    raise AssertionError("what the errors name, left out, should end in a spec that trains")


def train_a_little(spec, manifest):
    """Train two steps, or the whole of a short run; return how it ended."""
    folder = Path(tempfile.mkdtemp(prefix="any-spec-"))
    stop, taken = StopRequest(), []
    log = EventLog(folder, 0)
    real = Stepper.take
    images = sum(len(items) for items in manifest.splits.values())
    short = spec.training.epochs * images <= SHORT_RUN_STEPS * spec.training.step_images
    failure = None

    def take(self, inputs, labels, seed):
        outcome = real(self, inputs, labels, seed)
        taken.append(len(labels))
        stop.requested = len(taken) >= STEPS and not short
        return outcome

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Stepper, "take", take)
            Attempt(spec, manifest, CheckpointFolder(folder), None, log, stop).run()
    except Interrupted:
        assert len(taken) == STEPS
    except RunFailure as error:
        failure = error
    finally:
        log.close()
        shutil.rmtree(folder)
    if failure is None:
        assert taken
        return "trained"
    assert failure.title in EXPLAINED, failure
    assert failure.detail
    assert failure.remedy
    return failure.title
