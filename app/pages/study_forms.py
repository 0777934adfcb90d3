"""The forms of a study's page: what is refused comes back filled in, with what to do."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.pages.study import Typed, study_context
from app.pages.study_steps import StudyId
from app.pages.templating import render
from app.security import CheckedForm
from app.studies import add_seeds, stop
from app.texts import checked_name, checked_note
from store.database import Store
from store.deliveries import try_webhook
from store.studies import add_members, change_study, get_study
from store.values import ID_LIMIT
from store.webhooks import checked_webhook
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

router = APIRouter(include_in_schema=False)


@router.post("/studies/{study_id}/note", name="study_note")
def note(request: Request, store: StoreDep, study_id: StudyId, form: CheckedForm) -> Response:
    """Keep a study's name and note."""

    def keep() -> None:
        name, text = checked_name(_text(form, "name")), checked_note(_text(form, "note"))
        change_study(store, study_id, name=name, note=text)

    return _done(request, store, study_id, form, "note", keep)


@router.post("/studies/{study_id}/stop", name="study_stop")
def stop_runs(
    request: Request,
    store: StoreDep,
    bell: BellDep,
    owner: Owner,
    study_id: StudyId,
    form: CheckedForm,
) -> Response:
    """Stop what waits, or everything."""
    stop(store, bell, study_id, "waiting" if form.get("what") == "waiting" else "all", owner)
    return RedirectResponse(_address(request, study_id), 303)


@router.post("/studies/{study_id}/members", name="study_members")
def join(request: Request, store: StoreDep, study_id: StudyId, form: CheckedForm) -> Response:
    """Take runs into the study."""
    return _done(
        request,
        store,
        study_id,
        form,
        "members",
        lambda: add_members(store, study_id, _run_ids(_text(form, "runs"))),
    )


@router.post("/studies/{study_id}/seeds", name="study_seeds")
def more_seeds(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    study_id: StudyId,
    form: CheckedForm,
) -> Response:
    """Repeat each setting with further seeds."""

    def repeat() -> None:
        text = _text(form, "count").strip()
        count = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0
        add_seeds(store, settings, bell, study_id, count, owner=owner)

    return _done(request, store, study_id, form, "seeds", repeat)


@router.post("/studies/{study_id}/webhook", name="study_webhook")
def keep_webhook(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    study_id: StudyId,
    form: CheckedForm,
) -> Response:
    """Keep whom the study tells."""

    def keep() -> None:
        webhook = checked_webhook(
            _text(form, "webhook"), each_run="each_run" in form, hosts=settings.webhook_hosts
        )
        change_study(store, study_id, webhook=webhook)

    return _done(request, store, study_id, form, "webhook", keep)


@router.post("/studies/{study_id}/webhook/test", name="study_webhook_test")
def send_test(
    request: Request,
    store: StoreDep,
    bell: BellDep,
    owner: Owner,
    study_id: StudyId,
    _form: CheckedForm,
) -> Response:
    """Queue a test for the webhook."""
    try_webhook(store, study_id, owner)
    bell.ring_interactive()
    return RedirectResponse(_address(request, study_id, "webhook"), 303)


def _done(
    request: Request,
    store: Store,
    study_id: int,
    form: FormData,
    name: str,
    act: Callable[[], object],
) -> Response:
    """Do what a form asks for and show the study, or show the form again with what is wrong."""
    found = get_study(store, study_id)
    try:
        act()
    except (InvalidInput, Conflict, NotFound) as error:
        errors = getattr(error, "errors", ()) or (
            FieldError(name, None, error.detail.rstrip("."), error.remedy),
        )
        values = tuple((key, value) for key, value in form.items() if isinstance(value, str))
        typed = Typed(name, values, tuple(errors))
        context = study_context(store, found, typed=typed)
        return render(request, "pages/study.html", context, 422)
    return RedirectResponse(_address(request, study_id, name), 303)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _run_ids(text: str) -> list[int]:
    """Return the numbers of runs that were typed, with commas or spaces between.

    Raises:
        InvalidInput: If there is none, or something else.
    """
    words = text.replace(",", " ").replace("#", " ").split()
    for word in words:
        if not (word.isascii() and word.isdecimal() and 1 <= int(word[:11]) <= ID_LIMIT):
            raise InvalidInput.of(FieldError("runs", word[:80], "numbers of runs, such as 12, 13"))
    if not words:
        raise InvalidInput.of(FieldError("runs", "", "numbers of runs, such as 12, 13"))
    return [int(word) for word in words]


def _address(request: Request, study_id: int, anchor: str = "") -> str:
    path = request.app.url_path_for("study_page", study_id=study_id)
    return f"{path}#{anchor}" if anchor else str(path)
