from __future__ import annotations

from collections import Counter

from app.forms import default_values, launch_form, short_yaml, spec_data, spec_sections
from app.launch_groups import GROUPS, form_groups
from trainer.errors import FieldError
from trainer.parsing import parse_spec, parse_spec_text


def test_every_field_of_the_spec_stands_in_exactly_one_place() -> None:
    placed: Counter[str] = Counter()
    for group in form_groups(launch_form()):
        placed.update(field.schema.path for field in group.essentials)
        placed.update(field.schema.path for part in group.parts for field in part.fields)
    known = [field.path for section in spec_sections() for field in section.fields]
    assert placed == Counter(known)


def test_nothing_falls_to_the_part_for_what_nobody_placed() -> None:
    assert [part.schema.key for group in form_groups(launch_form()) for part in group.parts].count(
        "other"
    ) == 0


def test_essentials_are_fields_that_exist_and_few() -> None:
    known = {field.path for section in spec_sections() for field in section.fields}
    for group in GROUPS:
        assert set(group.essentials) <= known
    shown = [
        field for group in form_groups(launch_form()) for field in group.essentials if field.applies
    ]
    assert len(shown) <= 15


def test_a_part_is_open_where_something_is_wrong_or_changed() -> None:
    values = default_values()
    wrong = launch_form(values, [FieldError("optimizer.momentum", "x", "a number")])
    parts = {part.schema.key: part for group in form_groups(wrong) for part in group.parts}
    assert parts["optimizer"].is_open
    assert not parts["schedule"].is_open
    changed = launch_form({**values, "loss.name": "hinge"}, base=values)
    parts = {part.schema.key: part for group in form_groups(changed) for part in group.parts}
    assert parts["loss"].is_open
    assert parts["loss"].given == 1
    assert changed.field("loss.name").was == "cross_entropy"


def test_the_short_yaml_is_the_same_spec() -> None:
    values = {
        **default_values(),
        "dataset.name": "digits",
        "name": "a: b",
        "optimizer.lr": "1e-4",
        "model.head.hidden": "64, 32",
        "optimizer.nesterov": "yes",
        "loss.class_weights": "balanced",
        "scheduler.name": "multi_step",
        "scheduler.milestones": "3, 6",
        "optimizer.groups": "[{modules: [fc], lr: 0.1}]",
    }
    text = short_yaml(values)
    assert parse_spec_text(text) == parse_spec(spec_data(values))
    assert "validation_fraction" not in text  # what has its default is left out
    assert "epochs: 10" in text  # but for what is always asked


def test_what_is_no_number_stays_as_it_was_typed() -> None:
    assert "epochs: many" in short_yaml({"training.epochs": "many"})
    assert short_yaml({}) == ""
    assert "lr: inf" in short_yaml({"optimizer.lr": "inf"})
