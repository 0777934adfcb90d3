"""Specs of every kind, drawn from the fields of the spec itself; what is wrong with one, mended.

A field that is added to the spec is drawn as its annotation and its bounds say.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trainer import catalogue
from trainer.augmentations import TABLE, Choice, Either, Number, Pair
from trainer.errors import FieldError
from trainer.spec import ExperimentSpec

ARCHITECTURES = (
    *(name for name in catalogue.names() if name.startswith(("timm/test_", "tuneboard/"))),
    "resnet18",
)
LARGEST_PX = 48
EPOCHS = 6

Draw = Callable[[st.SearchStrategy[Any]], Any]


def specs(datasets: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of specs, right and wrong, of networks that a test can afford."""

    @st.composite
    def any_spec(draw: Draw) -> dict[str, Any]:
        architecture = draw(st.sampled_from(ARCHITECTURES))
        known = {
            "dataset.name": st.sampled_from(datasets),
            "model.architecture": st.just(architecture),
            "model.weights": _mostly(st.just("none"), st.just("/nowhere/weights.pt")),
            **_affordable(_module_names(architecture)),
        }
        spec = draw(_section(ExperimentSpec, "", known))
        spec.setdefault("dataset", {})["name"] = draw(known["dataset.name"])
        spec.setdefault("model", {}).update(architecture=architecture)
        spec["model"]["weights"] = draw(known["model.weights"])
        # The architecture's own size, where none is given, is more than a test can afford.
        spec["dataset"].setdefault("input_size_px", draw(known["dataset.input_size_px"]))
        return spec

    return any_spec()


def mended(spec: dict[str, Any], problem: FieldError) -> dict[str, Any]:
    """Return the spec without what the error names; without its section where that was left out."""
    spec = copy.deepcopy(spec)
    *way, last = problem.field.split(".")
    holder: Any = spec
    above: list[tuple[Any, Any]] = []
    for part in way:
        key = _key(holder, part)
        if not _holds(holder, key):
            break
        above.append((holder, key))
        holder = holder[key]
    else:
        if _holds(holder, _key(holder, last)):
            del holder[_key(holder, last)]
            return spec
    assert above, f"no part of the spec is called {problem.field}"
    outer, key = above[-1]
    if outer is spec and key in ("dataset", "model"):
        kept = {"name", "architecture", "weights", "input_size_px"}
        others = set(outer[key]) - kept
        assert others, f"nothing is left to mend: {problem}"
        outer[key] = {name: value for name, value in outer[key].items() if name in kept}
    else:
        del outer[key]
    return spec


def _affordable(modules: tuple[str, ...]) -> dict[str, st.SearchStrategy[Any]]:
    """Return strategies of the fields whose type says too little or whose bounds are too wide."""
    names = _mostly(st.sampled_from(modules), st.sampled_from(["*", "layer9", "", "*.0", "[a-m]*"]))
    few = st.lists(names, min_size=1, max_size=3)
    group = st.fixed_dictionaries({"modules": few, "lr": st.floats(1e-6, 0.01)})
    groups = st.lists(group, max_size=2)
    stage = st.fixed_dictionaries(
        {"epoch": st.integers(2, EPOCHS), "unfreeze": st.just("all") | few},
        optional={
            "lr": st.floats(1e-5, 0.1),
            "groups": groups,
            "scheduler": st.sampled_from(["continue", "restart"]),
        },
    )
    epochs = st.integers(1, EPOCHS)
    return {
        "name": st.text(max_size=20),
        "dataset.input_size_px": st.integers(8, LARGEST_PX) | st.just(32),
        "dataset.resize_px": st.integers(8, 2 * LARGEST_PX),
        "dataset.train_count": st.integers(1, 40),
        "dataset.validation_count": st.integers(1, 20),
        "dataset.test_count": st.integers(1, 20),
        "model.head.hidden": st.lists(st.integers(0, 20), max_size=3),
        "model.head.tap": names,
        "freeze.first_children": st.integers(0, 8),
        "freeze.up_to": names,
        "freeze.patterns": few,
        "freeze.schedule": st.lists(stage, max_size=3).map(
            lambda stages: sorted(stages, key=lambda one: one["epoch"])
        ),
        "optimizer.groups": groups,
        "optimizer.lr": st.floats(1e-6, 0.01) | st.floats(1e-6, 10),
        "scheduler.warmup_epochs": st.integers(0, EPOCHS),
        "scheduler.step_epochs": epochs,
        "scheduler.milestones": st.lists(epochs, max_size=3).map(sorted),
        "scheduler.restarts_after": st.lists(epochs, max_size=2, unique=True).map(sorted),
        "scheduler.t_max_epochs": epochs,
        "scheduler.t_0_epochs": epochs,
        "scheduler.patience_epochs": epochs,
        "loss.class_weights": st.just("balanced") | st.lists(st.floats(0, 10), max_size=4),
        "augmentation.transforms": st.lists(_transforms(), max_size=3),
        "training.epochs": epochs,
        "training.batch_size": st.integers(1, 40),
        "training.accumulate_steps": st.integers(1, 4),
        "training.stop_after_epochs": epochs,
        "training.device": st.sampled_from(["auto", "cpu"]),
    }


def _module_names(architecture: str) -> tuple[str, ...]:
    return catalogue.modules(architecture) or ()


def _mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda roll: odd if roll == 9 else usual)


def _section(
    model: type[BaseModel], prefix: str, known: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of a section with any of its fields, most of them left out."""

    @st.composite
    def section(draw: Draw) -> dict[str, Any]:
        found = {}
        for name, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                if draw(st.booleans()):
                    found[name] = draw(_section(inner, f"{prefix}{name}.", known))
            elif draw(st.integers(0, 9)) >= 7:
                path = f"{prefix}{name}"
                found[name] = draw(known[path] if path in known else _value(inner, field))
        return found

    return section()


def _value(annotation: Any, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Return a strategy of a field's values, within its bounds but for a few."""
    if get_origin(annotation) in (Union, types.UnionType):
        return st.one_of(*(_value(one, field) for one in get_args(annotation)))
    if get_origin(annotation) is Literal:
        return _mostly(st.sampled_from(get_args(annotation)), st.just("something else"))
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation in (int, float):
        return _mostly(_within(annotation, field), st.sampled_from([-1, 0, 1e9, "12", True]))
    raise AssertionError(f"say how to draw a {annotation}")


def _within(annotation: Any, field: FieldInfo) -> st.SearchStrategy[Any]:
    low, high, without = -1000, 1000, {}
    for bound in field.metadata:
        match bound:
            case Ge(ge=value):
                low = value
            case Gt(gt=value):
                low, without["exclude_min"] = value, True
            case Le(le=value):
                high = value
            case Lt(lt=value):
                high, without["exclude_max"] = value, True
    if annotation is int:
        assert not without, "no whole number has an open bound so far"
        return st.integers(low, high)
    return st.floats(low, high, **without)


def _transforms() -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of transforms of the table with any of their parameters."""

    def one(name: str) -> st.SearchStrategy[dict[str, Any]]:
        allowed = TABLE[name]
        strategies = {key: _parameter(kind) for key, kind in allowed.parameters.items()}
        return st.fixed_dictionaries(
            {"name": st.just(name), **{key: strategies[key] for key in allowed.required}},
            optional={k: v for k, v in strategies.items() if k not in allowed.required},
        )

    return st.sampled_from(sorted(TABLE)).flatmap(one)


def _parameter(kind: Number | Pair | Either | Choice) -> st.SearchStrategy[Any]:
    match kind:
        case Number(low, high, whole, odd):
            whole_numbers = st.integers(int(low), int(high)).map(lambda n: n | 1 if odd else n)
            return whole_numbers if whole else st.floats(low, high)
        case Pair(of):
            return st.tuples(_parameter(of), _parameter(of)).map(sorted)
        case Either(one, other):
            return _parameter(one) | _parameter(other)
        case Choice(words):
            return st.sampled_from(words)


def _key(holder: Any, part: str) -> Any:
    return int(part) if isinstance(holder, list) and part.isdigit() else part


def _holds(holder: Any, key: Any) -> bool:
    if isinstance(holder, dict):
        return key in holder
    return isinstance(holder, list) and isinstance(key, int) and key < len(holder)
