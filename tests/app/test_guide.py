from __future__ import annotations

from itertools import product

import pytest

from app.forms import default_values, spec_data
from app.guide import ANSWERS, advise, package_is_here, paths
from trainer.errors import InvalidInput
from trainer.parameters import count_parameters
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec


def advised(*answers: str) -> ExperimentSpec:
    values = {**default_values(), "dataset.name": "digits", **advise(*answers).values}
    return parse_spec(spec_data(values))


@pytest.mark.parametrize("answers", list(product(*ANSWERS.values())))
def test_every_advice_is_a_spec_with_reasons(answers: tuple[str, ...]) -> None:
    advice = advise(*answers)
    spec = advised(*answers)
    assert spec.model.weights == {"package": "package", "download": "default"}[answers[2]]
    assert count_parameters(spec, 10) is not None
    assert advice.title
    assert all(len(reason.why) > 30 and reason.values for reason in advice.reasons)
    assert set(advice.values) <= set(paths()) <= set(default_values())


def test_the_table_is_that_of_the_study() -> None:
    linear = advised("small", "similar", "package")
    assert linear.freeze.backbone_never_moves
    assert linear.model.head.tap is None
    assert linear.augmentation.finite_versions == 2  # so that features are kept
    tuned = advised("large", "similar", "package")
    assert tuned.freeze.layers == "none"
    earlier = advised("small", "different", "download")
    assert (earlier.model.head.tap, earlier.loss.name) == ("layer3", "hinge")
    assert earlier.freeze.backbone_never_moves
    far = advised("large", "different", "download")
    assert far.model.weights == "default"
    assert far.freeze.layers == "none"
    assert far.optimizer.lr > tuned.optimizer.lr


def test_an_answer_that_it_does_not_know_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        advise("huge", "similar", "shop")
    assert [error.field for error in refused.value.errors] == ["size", "weights"]
    assert "small, large" in refused.value.errors[0].expected


def test_the_package_with_weights_is_found() -> None:
    assert package_is_here()
