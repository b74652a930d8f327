"""Functions that a project names: ``file.py:function`` or ``package.module:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

from gonogo.errors import TargetError

__all__ = ["load_function"]


def load_function(reference: str, what: str, takes: str) -> Callable[[Any], Any]:
    """The function that a reference names.

    Args:
        reference: ``file.py:function`` or ``package.module:function``.
        what: what it is, for a message: ``the adapter``.
        takes: what it takes, for a message: ``a WorkerContext``.

    Raises:
        TargetError: it leads nowhere.
    """
    place, _, name = reference.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(f"gonogo_{what.rpartition(' ')[2]}", place)
            if spec is None or spec.loader is None:
                raise ImportError(f"{place} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        function = getattr(module, name)
    except (ImportError, AttributeError, ValueError, TypeError, OSError, SyntaxError) as error:
        raise TargetError(
            f"{what} {reference!r} cannot be loaded ({type(error).__name__}: {error}); "
            "write 'file.py:function' or 'package.module:function', and see that its imports are installed"
        ) from error
    if not callable(function):
        raise TargetError(f"{what} {reference!r} is {function!r}; it must be a function that takes {takes}")
    return function  # type: ignore[no-any-return]  # checked as far as Python can: it is callable
