from __future__ import annotations

from typing import Any

import pytest

from app.forms import default_values, launch_form, spec_data, spec_sections, typed_values
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec, flat_fields

FULL = {
    "name": "everything",
    "dataset": {"name": "digits", "validation_fraction": 0.3, "input_size_px": 64},
    "model": {
        "architecture": "timm/tf_efficientnet_lite0",
        "weights": "package",
        "head": {"hidden": [256, 64], "dropout": 0.2},
    },
    "freeze": {"layers": "backbone", "mode": "train"},
    "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.8, "weight_decay": 1e-4},
    "scheduler": {"name": "step", "step_epochs": 3, "gamma": 0.5},
    "augmentation": {"preset": "flip"},
    "training": {"epochs": 4, "batch_size": 16, "seed": 7, "precision": "fp32", "device": "cpu"},
}


def schemas() -> dict[str, Any]:
    return {field.path: field for section in spec_sections() for field in section.fields}


def test_the_form_has_every_field_of_the_spec_once() -> None:
    spec = parse_spec({"dataset": {"name": "digits"}})
    assert set(schemas()) == set(flat_fields(spec.model_dump(mode="json")))


def test_labels_help_bounds_units_and_choices_come_from_the_spec() -> None:
    found = schemas()
    rate = found["optimizer.lr"]
    assert (rate.label, rate.control, rate.minimum, rate.maximum) == (
        "Learning rate",
        "number",
        0,
        10,
    )
    assert rate.help == "Size of the first steps."
    size = found["dataset.input_size_px"]
    assert (size.control, size.unit, size.minimum, size.default) == ("integer", "px", 8, "")
    assert found["optimizer.name"].choices == ("sgd", "adam", "adamw", "rmsprop")
    assert found["optimizer.momentum"].applies_when == {"optimizer.name": ["sgd", "rmsprop"]}
    assert found["dataset.name"].required
    assert found["model.head.hidden"].control == "list"
    assert "256" in found["model.head.hidden"].placeholder


def test_every_section_of_the_spec_is_a_titled_section_of_the_form() -> None:
    titles = {section.path: section.title for section in spec_sections()}
    nested = {
        name: field.title for name, field in ExperimentSpec.model_fields.items() if name != "name"
    }
    assert titles == {"": "", **nested}


def test_a_full_spec_survives_the_form() -> None:
    spec = parse_spec(FULL)
    values = typed_values(spec.model_dump(mode="json"))
    assert values["model.head.hidden"] == "256, 64"
    assert parse_spec(spec_data(values)) == spec


def test_the_defaults_in_the_form_are_the_specs_own() -> None:
    values = {**default_values(), "dataset.name": "digits"}
    assert parse_spec(spec_data(values)) == parse_spec({"dataset": {"name": "digits"}})


def test_empty_controls_are_left_out_and_unknown_ones_ignored() -> None:
    data = spec_data({"dataset.name": " digits ", "optimizer.momentum": "  ", "csrf_token": "x"})
    assert data == {"dataset": {"name": "digits"}}


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("optimizer.lr", "fast"),
        ("optimizer.lr", "30"),
        ("optimizer.lr", "nan"),
        ("training.epochs", "2.5"),
        ("training.epochs", "0"),
        ("optimizer.name", "sdg"),
        ("model.architecture", "resnet19"),
        ("model.head.hidden", "256, wide"),
        ("dataset.name", ""),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_is_kept(path: str, typed: str) -> None:
    values = {**default_values(), "dataset.name": "digits", path: typed}
    with pytest.raises(InvalidInput) as refused:
        parse_spec(spec_data(values))
    form = launch_form(values, refused.value.errors)
    field = form.field(path)
    assert field is not None
    assert field.value == typed
    assert field.error is not None
    assert form.field(field.error.field) is field
    assert field.error.expected
    assert form.unplaced == ()
    others = [one for section in form.sections for one in section.fields if one is not field]
    assert not any(one.error for one in others)


def test_an_error_of_no_field_is_not_lost() -> None:
    error = FieldError("", None, "something else")
    assert launch_form({}, [error]).unplaced == (error,)


def test_a_field_says_whether_it_applies() -> None:
    form = launch_form({**default_values(), "optimizer.name": "adam"})
    momentum = form.field("optimizer.momentum")
    assert momentum is not None
    assert not momentum.applies


def test_a_list_of_sections_is_typed_as_yaml() -> None:
    transforms = [{"name": "RandomRotation", "degrees": 30}, {"name": "ColorJitter", "hue": 0.1}]
    spec = parse_spec({"dataset": {"name": "digits"}, "augmentation": {"transforms": transforms}})
    assert schemas()["augmentation.transforms"].control == "yaml"
    values = typed_values(spec.model_dump(mode="json"))
    assert values["augmentation.transforms"] == (
        "[{name: RandomRotation, degrees: 30}, {name: ColorJitter, hue: 0.1}]"
    )
    assert parse_spec(spec_data(values)) == spec


@pytest.mark.parametrize(
    "typed", ["[{name: Rotation}", "[{name: RandomRotatio}]", "[{name: RandomRotation}]", "rotate"]
)
def test_transforms_that_cannot_be_read_or_used_are_refused_beside_their_field(typed: str) -> None:
    values = {**default_values(), "dataset.name": "digits", "augmentation.transforms": typed}
    with pytest.raises(InvalidInput) as refused:
        parse_spec(spec_data(values))
    form = launch_form(values, refused.value.errors)
    field = form.field("augmentation.transforms")
    assert field is not None
    assert field.error is not None
    assert form.unplaced == ()


def test_training_options_survive_the_form_as_typed() -> None:
    spec = parse_spec(
        {
            "dataset": {"name": "digits"},
            "optimizer": {"nesterov": True, "weight_decay": 1e-4, "weight_decay_on": "weights"},
            "scheduler": {"name": "multi_step", "milestones": [3, 6], "warmup_epochs": 1},
            "loss": {"class_weights": "balanced", "label_smoothing": 0.1},
            "training": {"accumulate_steps": 4, "ema_decay": 0.99, "stop_after_epochs": 3},
        }
    )
    values = typed_values(spec.model_dump(mode="json"))
    assert values["optimizer.nesterov"] == "yes"
    assert values["scheduler.milestones"] == "3, 6"
    assert values["loss.class_weights"] == "balanced"
    assert parse_spec(spec_data(values)) == spec
    weights = {**default_values(), "dataset.name": "digits", "loss.class_weights": "1, 2.5"}
    assert parse_spec(spec_data(weights)).loss.class_weights == (1.0, 2.5)


def test_options_of_a_choice_apply_with_it_alone() -> None:
    found = schemas()
    assert found["optimizer.nesterov"].choices == ("no", "yes")
    assert found["scheduler.watch"].choices == ("", "val_loss", "val_accuracy")
    for name, wanted in {
        "none": set(),
        "plateau": {"gamma", "patience_epochs", "watch"},
        "one_cycle": {"max_lr", "rise_share"},
        "cosine_restarts": {"t_0_epochs", "t_mult"},
        "multi_step": {"milestones", "gamma"},
    }.items():
        form = launch_form({**default_values(), "scheduler.name": name})
        (section,) = [one for one in form.sections if one.schema.path == "scheduler"]
        applying = {
            field.schema.path.partition(".")[2] for field in section.fields if field.applies
        }
        always = {"name", "warmup_epochs"} | ({"restarts_after"} if name != "none" else set())
        assert applying == wanted | always
