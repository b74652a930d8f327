"""The entry point of WSGI servers: ``gunicorn app.wsgi:application``. Configured by ``BLOG_…`` variables."""

from __future__ import annotations

import os

from app.factory import create_app
from app.settings import Settings

__all__ = ["application"]

application = create_app(Settings.from_environ(os.environ))
