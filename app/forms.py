"""The launch form: made from the spec's schema, and read back into a spec's data.

A form control is named by its field's dotted path, so what a browser sends back is flat; empty
controls mean "not given" and leave the spec's own default. Values stay the text that was typed:
the one judge of them is `trainer.parsing.parse_spec`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import yaml

from trainer.errors import FieldError, InvalidInput
from trainer.parsing import yaml_data
from trainer.spec import ExperimentSpec, flat_fields

ALWAYS_WRITTEN = frozenset(
    {
        "dataset.name",
        "model.architecture",
        "model.weights",
        "freeze.layers",
        "optimizer.name",
        "optimizer.lr",
        "training.epochs",
        "training.batch_size",
    }
)
"""What the short YAML says even where it is the default."""

Control = Literal["text", "integer", "number", "select", "list", "yaml"]


@dataclass(frozen=True)
class FieldSchema:
    """What the schema says about one field of the spec."""

    path: str
    label: str
    help: str
    control: Control
    required: bool = False
    default: str = ""
    """As it would be typed; empty where there is none."""
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    placeholder: str = ""
    choices: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    """Values to suggest in a free text field."""
    max_length: int | None = None
    applies_when: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Path of another field → its values under which this one has a meaning."""

    @property
    def element_id(self) -> str:
        """The control's id in the page."""
        return "f-" + self.path.replace(".", "-")

    @property
    def step(self) -> str:
        """The HTML `step` of a number control."""
        return "1" if self.control == "integer" else "any"


@dataclass(frozen=True)
class SectionSchema:
    """Fields that stand together."""

    path: str
    title: str
    help: str
    fields: tuple[FieldSchema, ...]


@dataclass(frozen=True)
class FormField:
    """A field with what was typed into it and what is wrong with that."""

    schema: FieldSchema
    value: str
    error: FieldError | None
    applies: bool
    """Whether the field has a meaning beside the other values in the form."""
    was: str | None = None
    """What it held where the form was started from; None where that is what it holds now."""


@dataclass(frozen=True)
class FormSection:
    """A section with its fields as filled in."""

    schema: SectionSchema
    fields: tuple[FormField, ...]


@dataclass(frozen=True)
class LaunchForm:
    """The whole form, and the errors that belong to no field of it."""

    sections: tuple[FormSection, ...]
    errors: tuple[FieldError, ...]
    unplaced: tuple[FieldError, ...]

    def field(self, path: str) -> FormField | None:
        """Return the field at `path`, or that holds it (an item of a list); None without one."""
        for section in self.sections:
            for found in section.fields:
                if path == found.schema.path or path.startswith(f"{found.schema.path}."):
                    return found
        return None


@cache
def spec_sections() -> tuple[SectionSchema, ...]:
    """Return the sections of the spec's form; its own top-level fields come first, untitled."""
    schema = ExperimentSpec.model_json_schema()
    definitions = schema["$defs"]
    own: list[FieldSchema] = []
    sections: list[SectionSchema] = []
    for key, part in schema["properties"].items():
        section = _definition(part, definitions)
        if section is None:
            own.append(_field_schema(key, key, part, schema.get("required", ())))
        else:
            sections.append(
                SectionSchema(
                    key,
                    part.get("title", key),
                    section.get("description", ""),
                    tuple(_fields(section, f"{key}.", definitions)),
                )
            )
    return (SectionSchema("", "", "", tuple(own)), *sections)


def launch_form(
    values: Mapping[str, str] | None = None,
    errors: Iterable[FieldError] = (),
    base: Mapping[str, str] | None = None,
) -> LaunchForm:
    """Return the form with `values` (path → text typed) and `errors` beside their fields.

    Without values every control holds its default. An error of an item in a list, such as
    `model.head.hidden.1`, stands beside the list. Fields that differ from `base` say so.
    """
    given = tuple(errors)
    filled = default_values() if values is None else values
    placed: set[int] = set()
    sections = []
    for section in spec_sections():
        fields = []
        for schema in section.fields:
            own = [
                index
                for index, error in enumerate(given)
                if error.field == schema.path or error.field.startswith(f"{schema.path}.")
            ]
            placed.update(own)
            value = filled.get(schema.path, "")
            before = value if base is None else base.get(schema.path, "")
            fields.append(
                FormField(
                    schema,
                    value,
                    given[own[0]] if own else None,
                    all(
                        filled.get(path, "") in allowed
                        for path, allowed in schema.applies_when.items()
                    ),
                    None if value.strip() == before.strip() else before,
                )
            )
        sections.append(FormSection(section, tuple(fields)))
    unplaced = tuple(error for index, error in enumerate(given) if index not in placed)
    return LaunchForm(tuple(sections), given, unplaced)


def default_values() -> dict[str, str]:
    """Return each field's default as it would be typed."""
    return {schema.path: schema.default for section in spec_sections() for schema in section.fields}


def typed_values(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return a spec's JSON as it would be typed into the form; absent fields get defaults."""
    return default_values() | {path: _typed(value) for path, value in flat_fields(spec).items()}


def spec_data(values: Mapping[str, str]) -> dict[str, Any]:
    """Return what was typed as nested data for `parse_spec`; empty controls are left out."""
    data: dict[str, Any] = {}
    for section in spec_sections():
        for schema in section.fields:
            text = values.get(schema.path, "").strip()
            if not text:
                continue
            *parents, leaf = schema.path.split(".")
            place = data
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = _read(text, schema.control)
    data.setdefault("dataset", {})  # so that an empty form misses its name, not its section
    return data


def short_yaml(values: Mapping[str, str]) -> str:
    """Return what was typed as YAML: what differs from the defaults, and what is always asked.

    Numbers are written as numbers; what is none stays text, so that the spec refuses it by name.
    """
    data: dict[str, Any] = {}
    for section in spec_sections():
        for schema in section.fields:
            text = values.get(schema.path, "").strip()
            if not text or (text == schema.default and schema.path not in ALWAYS_WRITTEN):
                continue
            *parents, leaf = schema.path.split(".")
            place = data
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = _plain(_read(text, schema.control), schema)
    if not data:
        return ""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=88)


def _plain(value: object, schema: FieldSchema) -> object:
    """Return a typed value as YAML would hold it."""
    if isinstance(value, list) and schema.control == "list":
        read = [_number(item) for item in value]
        return read[0] if read == ["balanced"] else read
    if schema.choices[:2] == ("no", "yes") and value in ("no", "yes"):
        return value == "yes"
    return _number(value) if schema.control in ("integer", "number") else value


def _number(value: object) -> object:
    for kind in (int, float):
        try:
            number = kind(str(value))
        except ValueError:
            continue
        return number if abs(number) < float("inf") else value
    return value


def _fields(
    section: Mapping[str, Any], prefix: str, definitions: Mapping[str, Any]
) -> Iterable[FieldSchema]:
    for key, part in section["properties"].items():
        nested = _definition(part, definitions)
        if nested is None:
            yield _field_schema(f"{prefix}{key}", key, part, section.get("required", ()))
        else:
            yield from _fields(nested, f"{prefix}{key}.", definitions)


def _definition(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the section that `part` refers to, or None for a plain field."""
    if "$ref" not in part:
        return None
    found: dict[str, Any] = definitions[part["$ref"].rpartition("/")[2]]
    return found


def _field_schema(
    path: str, key: str, part: Mapping[str, Any], required: Sequence[str]
) -> FieldSchema:
    variants = [option for option in part.get("anyOf", ()) if option.get("type") != "null"]
    facts = {**part, **(variants[0] if variants else {})}
    default = _typed(part.get("default"))
    examples = tuple(_typed(example) for example in part.get("examples", ()))
    return FieldSchema(
        path=path,
        label=part.get("title", key),
        help=part.get("description", ""),
        control=_control(facts),
        required=key in required,
        default=default,
        minimum=facts.get("minimum", facts.get("exclusiveMinimum")),
        maximum=facts.get("maximum", facts.get("exclusiveMaximum")),
        unit=part.get("unit", ""),
        placeholder=f"for example {', '.join(examples[:3])}" if examples else "",
        examples=examples,
        choices=_choices(facts, required=default != ""),
        max_length=facts.get("maxLength"),
        applies_when=part.get("applies_when", {}),
    )


def _choices(facts: Mapping[str, Any], *, required: bool) -> tuple[str, ...]:
    """Return what a select offers; one that may be left empty offers that too."""
    if facts.get("type") == "boolean":
        return ("no", "yes")
    choices = tuple(facts.get("enum", ()))
    return choices if required or not choices else ("", *choices)


def _control(facts: Mapping[str, Any]) -> Control:
    if "enum" in facts or facts.get("type") == "boolean":
        return "select"
    item = facts.get("items", {})
    if "$ref" in item or item.get("type") == "object":
        return "yaml"
    kinds: dict[str, Control] = {"integer": "integer", "number": "number", "array": "list"}
    return kinds.get(facts.get("type", ""), "text")


def _typed(value: Any) -> str:
    """Return a JSON value as a person would type it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        flow = yaml.safe_dump(
            list(value), default_flow_style=True, sort_keys=False, allow_unicode=True, width=88
        )
        return flow.strip()
    if isinstance(value, list | tuple):
        return ", ".join(_typed(item) for item in value)
    return str(value)


def _read(text: str, control: Control) -> object:
    """Return what was typed into a control of a list as a list, other text as it is.

    YAML that cannot be read stays text too, which the spec then refuses at its field.
    """
    if control == "list":
        return text.replace(",", " ").split()
    if control == "yaml":
        try:
            return yaml_data(text)
        except InvalidInput:
            return text
    return text
