"""Why a start failed, by what its log says: lines of JSON from a release that has them, a traceback from one that has not."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["reason_in"]

_RAISED = re.compile(r"(?m)^[A-Za-z_][\w.]*(?:Error|Exception|Exit)\b.*$")
_LONGEST = 300  # characters of one line


def reason_in(log: str) -> str:
    """The last exception in a log and where it was raised; where there is none, what the last lines say."""
    lines = log.strip().splitlines()
    for line in reversed(lines):
        exception = _parsed(line).get("exception")
        if isinstance(exception, dict):
            frames = exception.get("frames") or ["an unknown place"]
            return f"{exception.get('type')} at {frames[-1]}"[:_LONGEST]
    if raised := _RAISED.findall(log):
        return str(raised[-1])[:_LONGEST]
    said = [str(_parsed(line).get("message", line))[:_LONGEST] for line in lines[-3:]]
    return " | ".join(said) or "its log is empty"


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
