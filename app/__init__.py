"""The reference application: a workflow for writing blog posts with the help of a language model.

Both names are loaded when they are first asked for, so that the pure modules below (``app.workflow.definitions``,
``app.workflow.scripts.prompt_constructor``) can be imported without Flask and the database layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.factory import create_app
    from app.workflow.scripts.llm_processor import RELEASE as __version__  # noqa: N811  # a constant under the name that packages use

__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> object:
    if name == "create_app":
        from app.factory import create_app

        return create_app
    if name == "__version__":
        # the release is named where releases differ, so that an overlaid processor tells its own
        from app.workflow.scripts.llm_processor import RELEASE

        return RELEASE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
