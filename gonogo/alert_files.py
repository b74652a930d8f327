"""What ``gonogo rules`` writes: rules, their tests and Alertmanager's routes, as YAML."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from gonogo.alert_rules import Rules
from gonogo.errors import DefinitionError

__all__ = [
    "ROUTES",
    "RULES",
    "RULE_TESTS",
    "read_webhook",
    "routes_text",
    "rule_tests_text",
    "rules_text",
    "write_files",
]

RULES, RULE_TESTS, ROUTES = "gonogo.rules.yml", "gonogo.rules.test.yml", "alertmanager.yml"
Written = Mapping[str, str]
_GROUPED = ["job", "trigger", "severity"]


class _Dumper(yaml.SafeDumper):
    """Expressions of several lines as blocks, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """What stands there twice is written twice."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(data: Any, remarks: Sequence[str]) -> str:
    """Plain data as YAML below remarks, the same bytes for the same data."""
    head = "".join(f"# {line}\n" for remark in remarks for line in remark.splitlines())
    return head + yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def _written_from(criteria: str) -> str:
    return f"Written by gonogo rules from {criteria}; do not edit."


def rules_text(rules: Rules, criteria: str) -> str:
    """The rules for Prometheus; ``criteria`` names the file that they come from."""
    return as_yaml({"groups": list(rules.groups)}, [_written_from(criteria), *rules.remarks])


def read_webhook(url: str) -> str:
    """The URL of a webhook, checked.

    Raises:
        DefinitionError: it is none.
    """
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise DefinitionError(f"{url!r} is not the URL of a webhook; write one such as http://127.0.0.1:8099/rollback")
    return url


def routes(rollback: str, people: str | None) -> dict[str, Any]:
    """Alertmanager's configuration: what is to be rolled back goes to one webhook at once, and everything goes to people.

    Args:
        rollback: the URL that is called when a trigger says to roll back. It is not called when an alert has ended.
        people: the URL that is told of everything; none where the receiver ``people`` is still to be filled in.
    """
    told = [{"url": read_webhook(people), "send_resolved": True}] if people is not None else []
    return {
        "route": {
            "receiver": "people",
            "group_by": _GROUPED,
            "group_wait": "5s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [
                {
                    "receiver": "rollback",
                    "matchers": ['severity="rollback"'],
                    "group_wait": "0s",
                    "group_interval": "10s",
                    "repeat_interval": "1h",
                    "continue": True,
                },
                {"receiver": "people"},
            ],
        },
        "receivers": [
            {
                "name": "rollback",
                "webhook_configs": [{"url": read_webhook(rollback), "send_resolved": False}],
            },
            {"name": "people", **({"webhook_configs": told} if told else {})},
        ],
    }


def routes_text(rollback: str, people: str | None, criteria: str) -> str:
    """``routes`` as YAML, with what is still to be filled in."""
    remarks = [_written_from(criteria)]
    if people is None:
        remarks.append("The receiver people is empty, so alerts reach nobody: give --alert-webhook.")
    return as_yaml(routes(rollback, people), remarks)


def rule_tests_text(tests: Mapping[str, Any], criteria: str) -> str:
    """Tests for promtool as YAML."""
    return as_yaml(tests, [_written_from(criteria), f"Run them with: promtool test rules {RULE_TESTS}"])


def write_files(folder: Path, files: Written) -> list[Path]:
    """Write files, each of them whole or not at all.

    Raises:
        DefinitionError: the folder cannot be written to.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".gonogo-") as scratch:
            for name, text in files.items():
                (Path(scratch) / name).write_text(text, encoding="utf-8")
            for name in files:
                written.append((Path(scratch) / name).replace(folder / name))
    except OSError as error:
        raise DefinitionError(
            f"{folder}: cannot be written to ({error.strerror}); name another folder with --out"
        ) from error
    return written
