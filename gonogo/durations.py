"""Lengths of time as people write them on a command line: ``90s``, ``5m``, ``1h``."""

from __future__ import annotations

import math
import re

import click

__all__ = ["DURATION", "Duration"]

_FORM = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """A number and a unit; its value is in seconds, above 0."""

    name = "duration"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows."""
        return "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        found = _FORM.fullmatch(str(value).strip())
        seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is no duration; write one such as 60s, 5m or 1h", param, ctx)
        return seconds


DURATION = Duration()
