"""Our own scripts and styles, and Plotly's, with addresses that change when they do.

Everything below `/static/VERSION/` carries one hash of all our files in its address, so browsers
keep them for ever and an ES module's relative imports stay within one version. Plotly's script
comes out of the installed package, which is never imported, and is compressed once.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from posixpath import join, normpath

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

STATIC = Path(__file__).parents[1] / "static"
IMPORT = re.compile(r'(\bfrom\s+|^import\s+)"(\.[^"]+)"', re.MULTILINE)
FOREVER = "public, max-age=31536000, immutable"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def mount_static(app: FastAPI) -> None:
    """Serve `/static/…` from `app`."""
    app.add_route("/static/vendor/{name}", _vendor, methods=["GET"], include_in_schema=False)
    app.add_route("/static/{version}/{path:path}", _own, methods=["GET"], include_in_schema=False)


def asset(path: str) -> str:
    """Return the address of one of our own files, for example `css/base.css`.

    Raises:
        LookupError: If there is no such file; a page must not ask for one.
    """
    if path not in _files():
        raise LookupError(path)
    return f"/static/{static_version()}/{path}"


def plotly_url() -> str:
    """Return the address of Plotly's script."""
    return f"/static/vendor/{_plotly_name()}"


def asset_text(path: str) -> str:
    """Return one of our own files as it is, for a page that brings everything along.

    Raises:
        LookupError: If there is no such file.
    """
    return _files()[path].decode()


def plotly_text() -> str:
    """Return Plotly's script, some 4 MB; read anew each time."""
    return _plotly_file().read_text(encoding="utf-8")


@cache
def modules(entry: str) -> tuple[str, ...]:
    """Return a module of ours and all that it imports: what a page can send for at once."""
    found: dict[str, None] = {}
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = None
            waiting += [imported(path, match) for match in IMPORT.finditer(asset_text(path))]
    return tuple(found)


def imported(path: str, match: re.Match[str]) -> str:
    """Return which of our files the module at `path` names in what `IMPORT` found there."""
    return normpath(join(path, "..", match[2]))


@cache
def static_version() -> str:
    """Return a hash of the names and contents of all our files."""
    digest = hashlib.sha256()
    for path, content in sorted(_files().items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


@cache
def _files() -> dict[str, bytes]:
    return {
        path.relative_to(STATIC).as_posix(): path.read_bytes()
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }


@cache
def _packed(path: str) -> bytes:
    return gzip.compress(_files()[path], mtime=0)


async def _own(request: Request) -> Response:
    path = request.path_params["path"]
    if path not in _files():
        raise HTTPException(404)
    current = request.path_params["version"] == static_version()
    headers = {
        # An old page may still ask for the version it knew; it gets today's, unkept.
        "Cache-Control": FOREVER if current else "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    content = _files()[path]
    if _takes_gzip(request):
        content = _packed(path)
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=MEDIA_TYPES[Path(path).suffix])


async def _vendor(request: Request) -> Response:
    if request.path_params["name"] != _plotly_name():
        raise HTTPException(404)
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    media_type = MEDIA_TYPES[".js"]
    if not _takes_gzip(request):
        return FileResponse(_plotly_file(), headers=headers, media_type=media_type)
    folder = Path(request.app.state.settings.data_dir) / "cache"
    packed = await run_in_threadpool(_packed_plotly, folder)
    headers["Content-Encoding"] = "gzip"
    return FileResponse(packed, headers=headers, media_type=media_type)


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


@cache
def _plotly_name() -> str:
    return f"plotly-{importlib.metadata.version('plotly')}.min.js"


@cache
def _plotly_file() -> Path:
    found = importlib.util.find_spec("plotly")
    if found is None or found.origin is None:
        raise RuntimeError("The plotly package is not installed; run `make setup`.")
    return Path(found.origin).parent / "package_data" / "plotly.min.js"


def _packed_plotly(folder: Path) -> Path:
    """Return the compressed script in `folder`, made on the first call; complete or not there."""
    packed = folder / f"{_plotly_name()}.gz"
    if not packed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(gzip.compress(_plotly_file().read_bytes(), 9, mtime=0))
        os.replace(name, packed)
    return packed
