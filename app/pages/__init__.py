"""The pages: server-rendered, live where it helps, and whole without scripts."""

from __future__ import annotations

from app.pages.assets import mount_static
from app.pages.problem import render_problem
from app.pages.routes import router
from app.pages.templating import render_login

__all__ = ["mount_static", "render_login", "render_problem", "router"]
