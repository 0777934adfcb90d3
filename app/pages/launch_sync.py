"""Keeps form and YAML in step: what a browser typed into one, told as the other.

Whatever reads or writes a spec's text is here on the server, where the one judge of it is.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.responses import JSONResponse

from app.forms import launch_form, short_yaml, spec_data, typed_values
from app.launch_checks import check_launch
from app.pages.launch_context import Typed
from app.pages.templating import templates
from app.spec_summary import SpecSummary, summarize
from store.database import Store
from store.settings import Settings
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec, parse_spec_text


def synced(
    request: Request, store: Store, settings: Settings, typed: Typed, *, is_yaml: bool
) -> JSONResponse:
    """Answer what `launch-sync.js` asks after each change.

    `values` (path → text) come only where the YAML was edited and describes a spec, `yaml` only
    where the form was; `spec` is the whole spec where there is one.
    """
    answer: dict[str, Any] = {"values": None, "yaml": None, "spec": None}
    errors: tuple[FieldError, ...] = ()
    summary = None
    values = typed.values
    try:
        spec = parse_spec_text(typed.yaml or "") if is_yaml else parse_spec(spec_data(values))
        answer["spec"] = spec.model_dump(mode="json")
        if is_yaml:
            values = answer["values"] = typed_values(answer["spec"])
        summary = summarize(store, settings, spec, typed.priority_number)
        check_launch(store, settings, spec, may_leak=typed.acknowledge_leaks)
    except InvalidInput as error:
        errors = error.errors
    if not is_yaml:
        answer["yaml"] = short_yaml(values)
    return JSONResponse(
        {
            **answer,
            "errors": [error.as_dict() for error in errors],
            "notes": {} if is_yaml and answer["values"] is None else _notes(values, errors),
            "summary": _summary(request, summary, errors, is_yaml=is_yaml),
        },
        headers={"Cache-Control": "no-store"},
    )


def _notes(values: Any, errors: tuple[FieldError, ...]) -> dict[str, str]:
    """Return what is wrong beside each field that has something wrong, as markup."""
    form = launch_form(values, errors)
    macros = templates().env.get_template("partials/parts.html").module
    return {
        field.schema.path: str(macros.field_error(field.schema.element_id, field.error))  # type: ignore[attr-defined]
        for section in form.sections
        for field in section.fields
        if field.error is not None
    }


def _summary(
    request: Request,
    summary: SpecSummary | None,
    errors: tuple[FieldError, ...],
    *,
    is_yaml: bool,
) -> str:
    context = {"summary": summary, "errors": errors, "form": launch_form({}), "is_yaml": is_yaml}
    rendered = templates().TemplateResponse(request, "partials/launch_summary.html", context)
    return bytes(rendered.body).decode()
