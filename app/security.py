"""Who may ask what: bind rule, Host and Origin checks, tokens and logins, CSRF, safe headers.

Everything here is decided before a route runs, from the request's head alone. The rules:

* Host must be a name of this machine, of the settings, or (beyond loopback) an IP address: a
  name that an attacker points at us is none of these.
* Beyond loopback, and wherever access tokens are set, a request needs a token: `Authorization:
  Bearer` for scripts, a signed cookie after /login for browsers.
* A request that changes something and comes from a browser (it has Origin or Sec-Fetch-Site)
  must come from our own pages, and carry the CSRF token: below /api in `X-CSRF-Token`, elsewhere
  in the form, where `CheckedForm` looks. Scripts send neither header and need no CSRF token.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData, Headers, MutableHeaders, UploadFile
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.body_limits import limited
from app.errors import HttpProblem, problem_of, problem_response
from app.signing import Signer, matches
from store.settings import Settings
from trainer.errors import FieldError, InvalidInput

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_S = 30 * 24 * 3600
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "x-csrf-token"
LOCAL_OWNER = "local"

HEADERS = {
    # Plotly writes style elements and attributes while it draws; nothing else is inline.
    "content-security-policy": "default-src 'self'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
}

_OPEN_PATHS = frozenset({"/healthz", "/login"})
_OPEN_PREFIX = "/static/"


def check_bind(settings: Settings) -> None:
    """Refuse to listen beyond this machine without an access token.

    Raises:
        InvalidInput: On TUNEBOARD_HOST.
    """
    if settings.access_tokens or _is_loopback(settings.host):
        return
    raise InvalidInput.of(
        FieldError(
            "TUNEBOARD_HOST",
            settings.host,
            "127.0.0.1, ::1 or localhost while no access token is set",
            "Set TUNEBOARD_ACCESS_TOKENS=name:token first, with a long random token.",
        )
    )


def access_tokens(settings: Settings) -> dict[str, str]:
    """Return `{name: token}` of the settings.

    Raises:
        InvalidInput: If an entry is no name:token pair, or a token is too short to be safe.
    """
    tokens: dict[str, str] = {}
    for number, pair in enumerate(settings.access_tokens, start=1):
        name, colon, token = pair.partition(":")
        if not colon or not name.strip() or len(token) < 8 or not token.isascii():
            raise InvalidInput.of(
                FieldError(
                    "TUNEBOARD_ACCESS_TOKENS",
                    f"entry {number}",
                    "name:token with a token of at least 8 ASCII characters",
                    "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
                )
            )
        tokens[name.strip()] = token
    return tokens


def csrf_token(request: Request) -> str:
    """Return the token that this browser's forms and scripts must send back."""
    token: str = request.scope["tuneboard.security"].csrf()
    return token


async def _checked_form(request: Request) -> FormData:
    form = await request.form()
    token = form.get(CSRF_FIELD)
    check_form_token(request, None if isinstance(token, UploadFile) else token)
    return form


CheckedForm = Annotated[FormData, Depends(_checked_form)]
"""The fields of a posted form whose CSRF token was right."""


def check_form_token(request: Request, token: str | None) -> None:
    """Check the CSRF token that came in a form.

    Raises:
        HttpProblem: With 403.
    """
    if not request.scope["tuneboard.security"].csrf_matches(token or ""):
        raise _csrf_problem()


def login(request: Request, response: Response, token: str) -> bool:
    """Set the session cookie if `token` is an access token; return whether it is."""
    visit: _Visit = request.scope["tuneboard.security"]
    owner = visit.guard.owner_of_token(token)
    if owner is None:
        return False
    value = visit.guard.signer.sign("session", SESSION_S, owner, visit.guard.tokens[owner])
    _set_cookie(response, visit, visit.guard.session_cookie, value, SESSION_S, "strict")
    return True


def logout(request: Request, response: Response) -> None:
    """Remove the session cookie."""
    visit: _Visit = request.scope["tuneboard.security"]
    _set_cookie(response, visit, visit.guard.session_cookie, "", 0, "strict")


class Guard:
    """ASGI middleware: refuses what may not pass, names the owner, adds the safe headers."""

    def __init__(
        self, app: ASGIApp, settings: Settings, signer: Signer, tokens: dict[str, str]
    ) -> None:
        self._app = app
        self._hosts = _known_hosts(settings)
        self._any_address = not _is_loopback(settings.host)
        self._settings = settings
        self.tokens = tokens
        self.signer = signer
        # Cookies know no ports: two installations on one machine must not share a name.
        self.session_cookie = f"tuneboard-session-{settings.port}"
        self.csrf_cookie = f"tuneboard-csrf-{settings.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websockets here: without an answer the server refuses the handshake
        request = Request(scope, receive)
        visit = scope["tuneboard.security"] = _Visit(self, request)
        request.state.owner = ""
        request.state.login_required = bool(self.tokens)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                visit.add_csrf_cookie(headers)
            await send(message)

        try:
            answer = self._check(request, visit)
        except HttpProblem as problem:
            answer = problem_response(request, problem_of(problem), problem.headers)
        if answer is not None:
            await answer(scope, receive, send_safely)
            return
        await self._app(scope, limited(request, receive, self._settings), send_safely)

    def owner_of_token(self, token: str) -> str | None:
        """Return whose token it is; every token is compared, whichever matches."""
        found = None
        for name, known in self.tokens.items():
            if matches(token, known):
                found = name
        return found

    def _check(self, request: Request, visit: _Visit) -> Response | None:
        self._check_host(request)
        owner = self._owner(request)
        request.state.owner = owner or ""
        path = request.url.path
        is_open = path in _OPEN_PATHS or path.startswith(_OPEN_PREFIX)
        if owner is None and not is_open:
            return _ask_for_login(request)
        if request.method not in SAFE_METHODS:
            self._check_origin(request)
            needs_token = _in_api(path) and _from_browser(request.headers)
            if needs_token and not visit.csrf_matches(request.headers.get(CSRF_HEADER, "")):
                raise _csrf_problem()
        return None

    def _check_host(self, request: Request) -> None:
        server = request.scope.get("server")
        if not self.tokens and server and _is_foreign_address(server[0]):
            raise HttpProblem(
                403,
                "Requests from beyond this machine need an access token, and none is set.",
                "Set TUNEBOARD_ACCESS_TOKENS=name:token and start again.",
            )
        name = _host_name(request.headers.get("host", ""))
        if name in self._hosts or (self._any_address and _address(name) is not None):
            return
        raise HttpProblem(
            421,
            f"This server does not answer for the host {name!r}.",
            "If that name is yours, add it to TUNEBOARD_ALLOWED_HOSTS.",
        )

    def _check_origin(self, request: Request) -> None:
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if site is not None and site not in {"same-origin", "none"}:
            raise _origin_problem(origin or site)
        # The scheme is left out: behind a proxy that ends TLS we do not know it.
        host = request.headers.get("host", "").lower()
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            raise _origin_problem(origin)

    def _owner(self, request: Request) -> str | None:
        if not self.tokens:
            return LOCAL_OWNER
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.owner_of_token(token.strip())
        cookie = request.cookies.get(self.session_cookie, "")
        for name, token in self.tokens.items():
            if self.signer.verify(cookie, "session", name, token):
                return name
        return None


class _Visit:
    """What the middleware knows of one request, for the helpers above."""

    def __init__(self, guard: Guard, request: Request) -> None:
        self.guard = guard
        self.request = request
        self._made = ""

    def csrf(self) -> str:
        """Return this browser's token, a new one where it has none."""
        cookie = self.request.cookies.get(self.guard.csrf_cookie, "")
        if self._verified(cookie):
            return cookie
        if not self._made:
            self._made = self.guard.signer.sign("csrf", SESSION_S, self._owner())
        return self._made

    def csrf_matches(self, token: str) -> bool:
        """Return whether `token` is the one in this browser's cookie, and made by us."""
        cookie = self.request.cookies.get(self.guard.csrf_cookie, "")
        return bool(cookie) and matches(token, cookie) and self._verified(cookie)

    def add_csrf_cookie(self, headers: MutableHeaders) -> None:
        """Send the token that `csrf` made during this request."""
        if self._made:
            response = Response()
            # Lax: a link from elsewhere to a page must not make the open tabs' token void.
            name = self.guard.csrf_cookie
            _set_cookie(response, self, name, self._made, SESSION_S, "lax")
            headers.append("set-cookie", response.headers["set-cookie"])

    def _verified(self, cookie: str) -> bool:
        return self.guard.signer.verify(cookie, "csrf", self._owner())

    def _owner(self) -> str:
        owner: str = self.request.state.owner
        return owner


def _set_cookie(
    response: Response,
    visit: _Visit,
    name: str,
    value: str,
    max_age_s: int,
    same_site: Literal["lax", "strict"],
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age_s,
        httponly=True,
        samesite=same_site,
        secure=visit.request.url.scheme == "https",
    )


def _ask_for_login(request: Request) -> Response:
    if _in_api(request.url.path) or request.method not in SAFE_METHODS:
        raise HttpProblem(
            401,
            "This needs an access token.",
            "Send `Authorization: Bearer TOKEN`, or log in at /login.",
            {"www-authenticate": "Bearer"},
        )
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)


def _csrf_problem() -> HttpProblem:
    return HttpProblem(
        403,
        "The request did not carry the token of a page of ours (CSRF protection).",
        "Reload the page and try again; its cookies must be allowed.",
    )


def _origin_problem(origin: str) -> HttpProblem:
    return HttpProblem(
        403,
        f"A page of {origin} may not change anything here.",
        "Use Tuneboard's own pages, or a script without a browser.",
    )


def _in_api(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")


def _from_browser(headers: Headers) -> bool:
    return "origin" in headers or "sec-fetch-site" in headers


def _known_hosts(settings: Settings) -> frozenset[str]:
    own = {"localhost", "127.0.0.1", "::1", settings.host, socket.gethostname()}
    return frozenset(name.lower() for name in own | set(settings.allowed_hosts))


def _host_name(host: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _is_foreign_address(host: str) -> bool:
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address is not None and not address.is_loopback
